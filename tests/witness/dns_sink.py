"""The witness of DNS: an authoritative server outside of everything, that counts each change that it makes, by name.

It speaks as much of RFC 2136 as a change of one name's records needs: the signature (TSIG), the prerequisites, and what
goes and comes. A change whose prerequisites do not hold is none. A name that begins with `old` has the TXT record `old`
from the start. Over UDP it says that the answer does not fit, so that all that counts goes over TCP.
"""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig

if TYPE_CHECKING:
    from collections.abc import Callable

    from dns.message import Message
    from dns.name import Name
    from dns.rdata import Rdata
    from dns.rrset import RRset

ZONE = "storm.test"
_OLD = dns.rdata.from_text("IN", "TXT", "old")


class DnsSink:
    """A witness on a free port of the loopback. `before` and `after` are called around the judging of a change."""

    def __init__(self, key: dns.tsig.Key) -> None:
        self.acts: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _key: None
        self.after: Callable[[str], None] = lambda _key: None
        self._ring = {key.name: key}
        self._records: dict[tuple[Name, int], set[Rdata]] = {}
        self._lock = Lock()
        self._server = ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._udp: socket.socket | None = None

    def truncate_on(self, port: int) -> None:
        """Answer every question over UDP on a port with: ask again over TCP."""
        self._udp = udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", port))

        def answer() -> None:
            while True:
                try:
                    wire, client = udp.recvfrom(65535)
                except OSError:
                    return
                with suppress(dns.exception.DNSException, OSError):
                    reply = dns.message.make_response(dns.message.from_wire(wire))
                    reply.flags |= dns.flags.TC
                    udp.sendto(reply.to_wire(), client)

        Thread(target=answer, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        if self._udp is not None:
            with suppress(OSError):
                self._udp.shutdown(socket.SHUT_RDWR)
            self._udp.close()

    def _handler(self) -> type[BaseRequestHandler]:
        sink = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with suppress(dns.exception.DNSException, OSError, EOFError):
                    while True:
                        length = int.from_bytes(_exactly(self.request, 2), "big")
                        asked = dns.message.from_wire(_exactly(self.request, length), keyring=sink._ring)
                        dns.query.send_tcp(self.request, sink._answer(asked))

        return Handler

    def _answer(self, asked: Message) -> Message:
        reply = dns.message.make_response(asked)
        if asked.opcode() == dns.opcode.UPDATE:
            reply.set_rcode(self._change(asked))
            return reply
        reply.flags |= dns.flags.AA
        question = asked.question[0]
        with self._lock:
            found = self._at(question.name, question.rdtype)
        if found:
            reply.answer.append(dns.rrset.from_rdata_list(question.name, 300, list(found)))
        return reply

    def _change(self, asked: Message) -> dns.rcode.Rcode:
        zone, needs, changes = asked.sections[0][0], asked.sections[1], asked.sections[2]
        if not asked.had_tsig or zone.name != dns.name.from_text(ZONE):
            return dns.rcode.REFUSED
        key = changes[0].name.relativize(zone.name).to_text()
        self.before(key)
        with self._lock:
            for need in needs:
                if (refused := self._unmet(need)) is not None:
                    return refused
            for each in changes:
                self._apply(each)
            self.acts[key] += 1
        self.after(key)
        return dns.rcode.NOERROR

    def _unmet(self, need: RRset) -> dns.rcode.Rcode | None:
        """Return the answer to a prerequisite that does not hold (RFC 2136 3.2)."""
        there = self._at(need.name, need.rdtype)
        if need.deleting == dns.rdataclass.NONE:
            return dns.rcode.YXRRSET if there else None
        if need.deleting == dns.rdataclass.ANY:
            return None if there else dns.rcode.NXRRSET
        return None if there == set(need) else dns.rcode.NXRRSET

    def _apply(self, each: RRset) -> None:
        there = self._at(each.name, each.rdtype)
        left = set() if each.deleting == dns.rdataclass.ANY else there | set(each)
        self._records[each.name, each.rdtype] = left

    def _at(self, name: Name, rdtype: int) -> set[Rdata]:
        first = {_OLD} if name.labels[0].startswith(b"old") and rdtype == dns.rdatatype.TXT else set()
        return self._records.get((name, rdtype), first)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
