"""The table `[http]` of the effects' settings.

::

    [http]
    allow_private = ["127.0.0.1:8080", "10.1.0.0/16", "[::1]:80"]  # else only public addresses are connected to
    timeout = 30.0             # seconds that a whole request may take, redirects included
    max_bytes = 16777216       # largest response body, after decompression
    max_request_bytes = 4194304
    redirects = 5              # followed by reads; commands follow none
    ca_file = "/etc/ipvm/ca.pem"            # trusted beside the public ones
    headers = ["X-Tenant"]                  # request headers that a job may set beside the usual ones
    user_agent = "ipvm-queue"

    [http.origins."https://api.example.com"]
    headers = { Authorization = "Bearer …" }                # added by the worker: the job never sees them
    reconcile = "https://api.example.com/acts/{key}"        # answers 2xx if the act with this Idempotency-Key happened,
                                                            # 404 or 410 if it did not
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx

from ipvm_queue.effects.http_address import Hole, read_hole
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = ("http", "https")
KEY_FIELD: Final = "{key}"
_MIB: Final = 1024 * 1024
_PORTS: Final = {"http": 80, "https": 443}
_NUMBERS: Final = {"timeout": 600.0, "max_bytes": 512 * _MIB, "max_request_bytes": 512 * _MIB, "redirects": 20}
_FIELDS: Final = frozenset({*_NUMBERS, "allow_private", "ca_file", "headers", "user_agent", "origins"})


class Origin(NamedTuple):
    """What the operator says about one origin: headers that its requests get, where to ask about an act."""

    headers: Mapping[str, str] = {}
    reconcile: str | None = None


class HttpSettings(NamedTuple):
    """What `[http]` says; `origins` are by `scheme://host:port`, `headers` in lower case."""

    holes: tuple[Hole, ...] = ()
    timeout: float = 30.0
    max_bytes: int = 16 * _MIB
    max_request_bytes: int = 4 * _MIB
    redirects: int = 5
    ca_file: Path | None = None
    headers: frozenset[str] = frozenset()
    user_agent: str = "ipvm-queue"
    origins: Mapping[str, Origin] = {}


def origin_of(url: httpx.URL) -> str:
    """Return `scheme://host:port`, the port always written."""
    return f"{url.scheme}://{url.host}:{url.port or _PORTS.get(url.scheme, 0)}"


def read_settings(table: Mapping[str, Any]) -> HttpSettings:
    """Read the table; raises `UsageError` that names the field."""
    for name in table:
        if name not in _FIELDS:
            raise UsageError(f"[http] has no field {name!r}", hint=f"it has {', '.join(sorted(_FIELDS))}")
    given: dict[str, Any] = {name: _number(name, table[name]) for name in _NUMBERS if name in table}
    if "ca_file" in table:
        given["ca_file"] = _file(table["ca_file"])
    if "user_agent" in table:
        given["user_agent"] = _header_value("user_agent", table["user_agent"])
    return HttpSettings(
        holes=tuple(read_hole(text) for text in _texts("allow_private", table.get("allow_private", []))),
        headers=frozenset(name.lower() for name in _texts("headers", table.get("headers", []))),
        origins=_origins(table.get("origins", {})),
        **given,
    )


def _number(name: str, value: object) -> float:
    whole = name != "timeout"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise UsageError(f"http.{name} is a {'whole ' if whole else ''}number, not {value!r}")
    least = 0 if name == "redirects" else 1 if whole else 0.001
    if not least <= value <= _NUMBERS[name]:
        raise UsageError(f"http.{name} is from {least:g} to {_NUMBERS[name]:g}, not {value!r}")
    return value


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"http.{name} is a list of texts, not {value!r}")
    return value


def _file(value: object) -> Path:
    if not isinstance(value, str) or not Path(value).is_file():
        raise UsageError(f"http.ca_file: {value!r} is no file")
    return Path(value)


def _header_value(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise UsageError(f"http.{name}: a header's value is printable ASCII")
    return value


def _origins(table: object) -> dict[str, Origin]:
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise UsageError("[http.origins] maps each origin (https://api.example.com) to a table")
    return {_origin(text): _entry(text, entry) for text, entry in table.items()}


def _origin(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in SCHEMES or not url.host or url.raw_path not in (b"/", b"") or url.userinfo:
        raise UsageError(f"[http.origins]: {text!r} is no origin", hint="https://api.example.com")
    return origin_of(url)


def _entry(text: str, entry: dict[str, Any]) -> Origin:
    if not entry.keys() <= {"headers", "reconcile"}:
        raise UsageError(f"[http.origins.{text!r}] has headers and reconcile")
    headers = entry.get("headers", {})
    if not isinstance(headers, dict):
        raise UsageError(f"[http.origins.{text!r}] headers is a table of texts")
    reconcile = entry.get("reconcile")
    if reconcile is not None and (not isinstance(reconcile, str) or KEY_FIELD not in reconcile):
        raise UsageError(f"[http.origins.{text!r}] reconcile is a URL that has {KEY_FIELD} in it")
    return Origin({name: _header_value(name, value) for name, value in headers.items()}, reconcile)
