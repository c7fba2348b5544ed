"""Mail addresses and `mailto:` URIs: whose mailbox sends, and to whom.

The URI of `msg/send` names the mailbox that sends, as capabilities do: who may use `mailto:alice@example.com` may send
as Alice. `mailto:alice@example.com` and `mailto://alice@example.com` are the same.
"""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Final, NoReturn
from urllib.parse import unquote

from ipvm_queue.effects.contract import EffectError

SCHEME: Final = "mailto"
MAX_ADDRESS: Final = 254  # RFC 5321 4.5.3.1.3, without the brackets
MAX_ENTRY: Final = 1024
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
MAX_LOCAL: Final = 64


def sender_of(uri: str) -> str:
    """Return the address that a `mailto:` URI names; raises `mail/bad-uri`."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != SCHEME:
        _refuse("bad-uri", f"{uri[:80]!r} is no mailto: URI")
    if "?" in rest or "#" in rest or "," in rest:
        _refuse("bad-uri", "the URI names the mailbox that sends and no more: subject and receivers are inputs")
    address = unquote(rest.removeprefix("//"))
    try:
        return read_spec(address)
    except ValueError as error:
        _refuse("bad-uri", f"{address[:80]!r} is no mail address: {error}")


def read_address(text: str, field: str) -> Address:
    """Read `a@example.com` or `Name <a@example.com>`; raises `mail/bad-address` that names the field."""
    try:
        if not isinstance(text, str) or len(text) > MAX_ENTRY:
            raise ValueError(f"it is a text of at most {MAX_ENTRY} characters")  # noqa: TRY301 - said once, below
        if not text.isprintable():
            raise ValueError("it has a line break or a control character in it")  # noqa: TRY301
        name, spec = parseaddr(text) if "<" in text else ("", text.strip())
        return Address(display_name=name, addr_spec=read_spec(spec))
    except (ValueError, TypeError) as error:
        _refuse("bad-address", f"{field!r}: {str(text)[:80]!r} is no mail address: {error}")


def read_spec(text: str) -> str:
    """Return an address with its domain as it goes over the wire (IDNA, lower case); raises `ValueError`."""
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > MAX_LOCAL:
        raise ValueError("it looks like name@example.com")
    try:
        ascii_domain = domain.encode("idna").decode().lower() if not domain.isascii() else domain.lower()
    except UnicodeError:
        raise ValueError(f"{domain[:80]!r} is no domain") from None
    if not all(_LABEL.fullmatch(label) for label in ascii_domain.split(".")):
        raise ValueError(f"{domain[:80]!r} is no domain")
    spec = f"{local}@{ascii_domain}"
    if len(spec) > MAX_ADDRESS:
        raise ValueError(f"it has more than {MAX_ADDRESS} characters")
    return spec


def matches(spec: str, pattern: str) -> bool:
    """Whether an address is one of `alice@example.com`, `*@example.com` or `*`."""
    pattern = pattern.lower()
    return pattern in ("*", spec.lower()) or (pattern.startswith("*@") and spec.lower().endswith(pattern[1:]))


def _refuse(code: str, message: str) -> NoReturn:
    raise EffectError(f"mail/{code}", message, "requestor", sent=False)
