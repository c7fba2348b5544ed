"""The table `[dns]` of the effects' settings.

::

    [dns]
    resolver = ["192.0.2.53", "[2001:db8::53]:5353"]   # default: what /etc/resolv.conf names
    servers = ["192.0.2.1:53"]                         # those that a URI may name itself: dns://192.0.2.1:53/example.com
    timeout = 3.0                                      # seconds that one server gets to answer
    ttl = 300                                          # of records that are written without one

    [dns.zones]                                        # which zones may be changed, and where
    "example.com" = "192.0.2.1:53"

    [dns.tsig]                                         # signs changes (RFC 8945)
    name = "ipvm"
    algorithm = "hmac-sha256"
    secret_file = "/etc/ipvm/tsig.key"                 # base64; or secret = "…"
"""

from __future__ import annotations

from base64 import b64decode
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dns.exception
import dns.name
import dns.resolver
import dns.tsig

from ipvm_queue.effects.endpoint import read_endpoint
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dns.name import Name

PORT: Final = 53
DEFAULT_TIMEOUT: Final = 3.0
DEFAULT_TTL: Final = 300
MAX_TTL: Final = 2**31 - 1
_FIELDS: Final = frozenset({"resolver", "servers", "timeout", "ttl", "zones", "tsig"})
_TSIG_FIELDS: Final = frozenset({"name", "algorithm", "secret", "secret_file"})
_ALGORITHMS: Final = ("hmac-sha256", "hmac-sha384", "hmac-sha512")


class Server(NamedTuple):
    """Where a DNS server is; `str()` gives `192.0.2.1:53` or `[2001:db8::1]:53`."""

    address: str
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class DnsSettings(NamedTuple):
    """What `[dns]` says; `zones` are by origin, `key` is None where changes are not signed."""

    resolvers: tuple[Server, ...]
    servers: tuple[Server, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    ttl: int = DEFAULT_TTL
    zones: Mapping[Name, Server] = {}
    key: dns.tsig.Key | None = None

    def zone_of(self, name: Name) -> tuple[Name, Server] | None:
        """Return the deepest zone that holds `name`, with its server; None where no zone is to be changed there."""
        holders = [origin for origin in self.zones if name.is_subdomain(origin)]
        if not holders:
            return None
        origin = max(holders, key=len)
        return origin, self.zones[origin]


def read_settings(table: Mapping[str, Any]) -> DnsSettings:
    """Read the table; raises `UsageError` that names the field."""
    for name in table:
        if name not in _FIELDS:
            raise UsageError(f"[dns] has no field {name!r}", hint=f"it has {', '.join(sorted(_FIELDS))}")
    return DnsSettings(
        resolvers=_servers(table["resolver"], "dns.resolver") if "resolver" in table else _system(),
        servers=_servers(table.get("servers", []), "dns.servers"),
        timeout=_number(table.get("timeout", DEFAULT_TIMEOUT), "dns.timeout", 60),
        ttl=int(_number(table.get("ttl", DEFAULT_TTL), "dns.ttl", MAX_TTL)),
        zones=_zones(table.get("zones", {})),
        key=_key(table["tsig"]) if "tsig" in table else None,
    )


def read_server(text: object, field: str) -> Server:
    """Read `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; raises `UsageError` that names the field."""
    hint = "192.0.2.1:53 or [2001:db8::1]:53"
    try:
        host, port = read_endpoint(str(text))
        return Server(str(ip_address(host)), port or PORT)
    except ValueError:
        raise UsageError(f"{field}: {text!r} is no address of a server", hint=hint) from None


def _servers(given: object, field: str) -> tuple[Server, ...]:
    if not isinstance(given, str | list):
        raise UsageError(f"{field} is a list of servers' addresses, not {given!r}")
    return tuple(read_server(text, field) for text in ([given] if isinstance(given, str) else given))


def _system() -> tuple[Server, ...]:
    try:
        addresses = dns.resolver.Resolver().nameservers
    except dns.exception.DNSException:  # no /etc/resolv.conf: then nobody can be asked, and the read says so
        return ()
    return tuple(Server(str(address)) for address in addresses)


def _zones(given: object) -> dict[Name, Server]:
    if not isinstance(given, dict):
        raise UsageError("[dns.zones] maps each zone to the address of its primary server")
    return {_origin(zone): read_server(server, f"dns.zones.{zone}") for zone, server in given.items()}


def _origin(zone: str) -> Name:
    try:
        return dns.name.from_text(zone)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise UsageError(f"[dns.zones]: {zone!r} is no domain name: {error}") from None


def _key(table: object) -> dns.tsig.Key:
    if not isinstance(table, dict) or not table.keys() <= _TSIG_FIELDS or "name" not in table:
        raise UsageError("[dns.tsig] has name, algorithm, and secret or secret_file")
    algorithm = table.get("algorithm", _ALGORITHMS[0])
    if algorithm not in _ALGORITHMS:
        raise UsageError(f"dns.tsig.algorithm: {algorithm!r} is not one of {', '.join(_ALGORITHMS)}")
    try:
        secret = Path(table["secret_file"]).read_text().strip() if "secret_file" in table else table["secret"]
        return dns.tsig.Key(table["name"], b64decode(secret, validate=True), algorithm)
    except OSError as error:
        raise UsageError(f"dns.tsig.secret_file: {error.strerror}: {table['secret_file']}") from None
    except (KeyError, ValueError, TypeError, AttributeError, dns.exception.DNSException):
        raise UsageError("dns.tsig: name is a domain name and the secret is base64") from None


def _number(value: object, field: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise UsageError(f"{field} is a number above 0 and at most {most:g}, not {value!r}")
    return value
