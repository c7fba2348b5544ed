"""Which addresses may be connected to: the public ones, and those that the operator opened a hole for.

A job must not reach what only this machine can: its own services, its network, the cloud's metadata. The address judged
is the one that is connected to, after names have been resolved, so a name that changes its mind gains nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ipvm_queue.effects.endpoint import read_endpoint
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network

Address: TypeAlias = IPv4Address | IPv6Address
_NAT64: Final = IPv6Network("64:ff9b::/96")
_HINT: Final = "127.0.0.1:8080, 10.1.0.0/16, 10.1.0.0/16:443 or [::1]:80"


class Hole(NamedTuple):
    """A network that is no public one and may be reached all the same; at one port, or at all where `port` is None."""

    network: IPv4Network | IPv6Network
    port: int | None = None

    def lets(self, address: Address, port: int) -> bool:
        """Whether it leads to this address and port."""
        return address in self.network and self.port in (None, port)


def may_connect(address: Address, port: int, holes: Iterable[Hole]) -> bool:
    """Whether this very address may be connected to."""
    plain = _unwrapped(address)
    return (_is_public(address) and _is_public(plain)) or any(hole.lets(plain, port) for hole in holes)


def _is_public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that packets to an IPv6 address end at, where it is such a one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


def read_hole(text: str) -> Hole:
    """Read an entry of `allow_private`: an address or a network, with a port or without; raises `UsageError`."""
    try:
        host, port = read_endpoint(text)
        return Hole(ip_network(host), port)
    except ValueError:
        raise UsageError(f"http.allow_private: {text!r} is no address or network", hint=_HINT) from None


def read_address(text: str) -> Address:
    """Return the address of a socket's name, without the zone of a link-local one."""
    return ip_address(text.partition("%")[0])
