"""One question to a DNS server, one answer: over UDP, and over TCP where the answer does not fit.

Answers that come from elsewhere, or do not fit the question, are passed over: who is not on the path cannot answer for
the server, nor make the question fail.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query

from ipvm_queue.effects.contract import EffectError

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rdatatype import RdataType

    from ipvm_queue.effects.dns_settings import Server

UDP: Final = "udp"
TCP: Final = "tcp"
_PAYLOAD: Final = 1232  # what passes every path unfragmented


class Exchange(NamedTuple):
    """What a server answered: `server` as `address:port`, `transport` `udp` or `tcp`, and the reply."""

    server: str
    transport: str
    reply: Message

    @property
    def wire(self) -> bytes:
        """The reply's very bytes."""
        return self.reply.wire or b""


def question(name: Name, rdtype: RdataType, *, recurse: bool = True) -> Message:
    """Return a query for one name and type; `recurse` asks a resolver to find out, and to say whether DNSSEC holds."""
    flags = dns.flags.Flag(dns.flags.RD | dns.flags.AD if recurse else 0)
    return dns.message.make_query(name, rdtype, use_edns=0, payload=_PAYLOAD, flags=flags)


def ask(query: Message, server: Server, deadline: float, timeout: float) -> Exchange:
    """Ask one server; raises `dns/timeout` or `dns/unreachable`, both worth another try, or `dns/bad-answer`."""
    where = {"server": str(server)}
    try:
        try:
            left = time_left(deadline, timeout, server)
            reply = dns.query.udp(
                query, server.address, left, server.port,
                ignore_unexpected=True, ignore_errors=True, raise_on_truncation=True,
            )  # fmt: skip
            return Exchange(str(server), UDP, reply)
        except dns.message.Truncated:
            left = time_left(deadline, timeout, server)
            return Exchange(str(server), TCP, dns.query.tcp(query, server.address, left, server.port))
    except dns.exception.Timeout:
        raise timed_out(server, sent=False) from None
    except (OSError, EOFError) as error:
        message = f"the DNS server {server} cannot be reached: {words_of(error)}"
        raise EffectError("dns/unreachable", message, "network", evidence=where, transient=True, sent=False) from None
    except dns.exception.DNSException as error:
        message = f"the DNS server {server} answered what cannot be read: {error}"
        raise EffectError("dns/bad-answer", message, "world", evidence=where, transient=True, sent=False) from None


def time_left(deadline: float, timeout: float, server: Server) -> float:
    """Return the seconds that an exchange may take; raises `dns/timeout` where none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out(server, sent=False)
    return min(left, timeout)


def timed_out(server: Server, *, sent: bool) -> EffectError:
    """Return the error of a server that does not answer in time."""
    message = f"the DNS server {server} did not answer in time"
    return EffectError(
        "dns/timeout", message, "network", evidence={"server": str(server)}, transient=not sent, sent=sent
    )


def words_of(error: BaseException) -> str:
    """Return what a failed connection says of itself."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
