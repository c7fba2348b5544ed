"""One change to a zone's server over TCP, and whether its answer is proved to be the server's (TSIG, RFC 8945)."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.dns_answer import evidence_of
from ipvm_queue.effects.dns_exchange import TCP, Exchange, time_left, timed_out, words_of

if TYPE_CHECKING:
    from dns.message import Message
    from dns.update import UpdateMessage

    from ipvm_queue.effects.dns_settings import Server

# What a server may say before it has looked at a signature: then nobody can sign it.
_UNSIGNED: Final = (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.NOTIMP, dns.rcode.FORMERR)


def send(message: UpdateMessage, server: Server, deadline: float, timeout: float) -> Exchange:
    """Send a change and return the server's answer, which is signed as the change is, or an unsigned refusal.

    Raises `dns/unreachable` and `dns/timeout` before anything went out (`sent` is False); `dns/timeout`, `dns/cut` and
    `dns/bad-answer` after it; `dns/tsig` where the server does not accept our signature (the runner's fault, nothing
    has changed), or where the answer lacks the one that would prove it.
    """
    exchange = Exchange(str(server), TCP, _answer(message, server, deadline, timeout))
    if not message.is_response(exchange.reply):
        raise _unreadable(server, "it answers another message")
    if message.keyring:
        _check_signature(message, exchange)
    return exchange


def _answer(message: UpdateMessage, server: Server, deadline: float, timeout: float) -> Message:
    evidence = {"server": str(server)}
    try:
        connection = socket.create_connection((server.address, server.port), time_left(deadline, timeout, server))
    except TimeoutError:
        raise timed_out(server, sent=False) from None
    except OSError as error:
        text = f"the DNS server {server} cannot be reached: {words_of(error)}"
        raise EffectError("dns/unreachable", text, "network", evidence=evidence, transient=True, sent=False) from None
    with closing(connection):
        connection.settimeout(0)
        expires = time.time() + time_left(deadline, timeout, server)
        try:
            dns.query.send_tcp(connection, message, expires)
            reply, _ = dns.query.receive_tcp(connection, expires, keyring=False)  # type: ignore[arg-type]
        except dns.exception.Timeout:
            raise timed_out(server, sent=True) from None
        except (OSError, EOFError) as error:
            text = f"the connection to {server} broke after the change was sent: {words_of(error)}"
            raise EffectError("dns/cut", text, "network", evidence=evidence) from None
        except dns.exception.DNSException as error:
            raise _unreadable(server, error) from None
    return reply


def _check_signature(message: UpdateMessage, exchange: Exchange) -> None:
    try:
        dns.message.from_wire(exchange.wire, keyring=message.keyring, request_mac=message.mac)
    except dns.tsig.PeerError as error:
        text = f"{exchange.server} does not accept our signature: {error}"
        raise EffectError("dns/tsig", text, "runner", evidence=evidence_of(exchange), sent=False) from None
    except dns.exception.DNSException as error:
        rcode = exchange.reply.rcode()
        if not exchange.reply.had_tsig and rcode in _UNSIGNED:
            return
        text = (
            f"{exchange.server} answered {dns.rcode.to_text(rcode)} without the signature that would prove it: {error}"
        )
        raise EffectError("dns/tsig", text, "world", evidence=evidence_of(exchange)) from None


def _unreadable(server: Server, why: object) -> EffectError:
    text = f"the DNS server {server} answered the change with what cannot be read: {why}"
    return EffectError("dns/bad-answer", text, "world", evidence={"server": str(server)})
