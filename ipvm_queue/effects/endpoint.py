"""Where a server is, as an operator writes it: `192.0.2.1`, `[2001:db8::1]:53`, `mail.example.com:587`."""

from __future__ import annotations

from typing import Final

_MOST: Final = 1 << 16


def read_endpoint(text: str) -> tuple[str, int | None]:
    """Return host and port, None where none is written; raises `ValueError`."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(text)
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or (text.endswith(":") and not port and text.count(":") == 1):
        raise ValueError(text)
    if not port:
        return host, None
    if not port.isdecimal() or not 0 < int(port) < _MOST:
        raise ValueError(text)
    return host, int(port)
