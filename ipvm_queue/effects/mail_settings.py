"""The table `[smtp]` of the effects' settings.

::

    [smtp]
    server = "mail.example.com:587"
    tls = "starttls"                   # or "tls" (from the first byte, port 465), or "none" (only on the loopback)
    user = "ipvm"
    password_file = "/etc/ipvm/smtp"   # or password = "…"
    senders = ["reports@example.com", "*@jobs.example.com"]   # the mailboxes that jobs may send from
    receivers = ["*@example.com"]      # default: anybody
    ca_file = "/etc/ipvm/ca.pem"       # trusted beside the public ones
    hello = "worker.example.com"       # how this worker names itself
    timeout = 60.0                     # seconds of a whole conversation
    max_bytes = 26214400               # largest message
    max_receivers = 100
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.effects.endpoint import read_endpoint
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

STARTTLS: Final = "starttls"
TLS: Final = "tls"
PLAIN: Final = "none"
_PORTS: Final = {STARTTLS: 587, TLS: 465, PLAIN: 25}
_MIB: Final = 1024 * 1024
_NUMBERS: Final = {"timeout": 600.0, "max_bytes": 100 * _MIB, "max_receivers": 1000}
_TEXTS: Final = ("server", "tls", "user", "password", "password_file", "ca_file", "hello")
_LISTS: Final = ("senders", "receivers")


class MailSettings(NamedTuple):
    """What `[smtp]` says."""

    host: str
    port: int
    tls: str = STARTTLS
    login: tuple[str, str] | None = None
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ("*",)
    ca_file: str | None = None
    hello: str | None = None
    timeout: float = 60.0
    max_bytes: int = 25 * _MIB
    max_receivers: int = 100


def read_settings(table: Mapping[str, Any]) -> MailSettings:
    """Read the table; raises `UsageError` that names the field, also where the table is not there."""
    if not table:
        raise UsageError("this worker has no mail server ([smtp] server)")
    _check_fields(table)
    tls = table.get("tls", STARTTLS)
    if tls not in _PORTS:
        raise UsageError(f"smtp.tls is one of {', '.join(_PORTS)}, not {tls!r}")
    try:
        host, port = read_endpoint(table.get("server", ""))
    except ValueError:
        raise UsageError(f"smtp.server: {table.get('server')!r} is no HOST:PORT") from None
    if tls == PLAIN and not _is_loopback(host):
        raise UsageError("smtp.tls: without TLS only a server on the loopback is spoken to")
    others: dict[str, Any] = {name: table[name] for name in (*_NUMBERS, "ca_file", "hello") if name in table}
    lists: dict[str, Any] = {name: tuple(table[name]) for name in _LISTS if name in table}
    return MailSettings(host, port or _PORTS[tls], tls, _login(table), **lists, **others)


def _check_fields(table: Mapping[str, Any]) -> None:
    known = (*_TEXTS, *_LISTS, *_NUMBERS)
    for name, value in table.items():
        if name not in known:
            raise UsageError(f"[smtp] has no field {name!r}", hint=f"it has {', '.join(known)}")
        if name in _TEXTS and not isinstance(value, str):
            raise UsageError(f"smtp.{name} is a text, not {value!r}")
        if name in _LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise UsageError(f"smtp.{name} is a list of addresses, not {value!r}")
        if name in _NUMBERS and (
            isinstance(value, bool)
            or not isinstance(value, int | float if name == "timeout" else int)
            or not 0 < value <= _NUMBERS[name]
        ):
            raise UsageError(f"smtp.{name} is a number above 0 and at most {_NUMBERS[name]:g}, not {value!r}")


def _login(table: Mapping[str, Any]) -> tuple[str, str] | None:
    if "user" not in table:
        return None
    if "password_file" in table:
        try:
            return table["user"], Path(table["password_file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"smtp.password_file cannot be read: {table['password_file']}: {error}") from None
    if "password" not in table:
        raise UsageError("smtp.user needs password or password_file")
    return table["user"], table["password"]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
