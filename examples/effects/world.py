"""A small world on this machine: names, a shop and a mail server, there while a command runs.

`python3 world.py COMMAND…` starts them, runs the command, which prints the JSON of `ipvm-submit --json`, and then says
how each job ended and what the world has seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, BaseServer, StreamRequestHandler, ThreadingTCPServer, ThreadingUDPServer
from threading import Thread
from typing import Any, Final

import dns.message
import dns.rcode
import dns.rrset

HOST: Final = "127.0.0.1"
SHOP: Final = f"http://{HOST}:18080"
SEEN: list[str] = []
ORDERS: dict[str, int] = {}


class Names(BaseRequestHandler):
    """Answers for shop.example; no other name exists."""

    def handle(self) -> None:
        """Answer one question."""
        data, answers = self.request
        asked = dns.message.from_wire(data)
        reply = dns.message.make_response(asked)
        if asked.question[0].name.to_text() == "shop.example.":
            reply.answer.append(dns.rrset.from_text("shop.example.", 300, "IN", "TXT", f'"{SHOP}/price"'))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        answers.sendto(reply.to_wire(), self.client_address)


class Shop(BaseHTTPRequestHandler):
    """Says what tea costs, takes orders by their Idempotency-Key, and remembers them."""

    def answer(self, status: int, value: Any) -> None:
        """Send a value as JSON."""
        body = json.dumps(value).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer for the price, and for acts by their keys."""
        _, _, key = self.path.partition("/acts/")
        if key:
            SEEN.append("somebody asks the shop what became of an order")
            self.answer(200 if key in ORDERS else 404, {"order": ORDERS.get(key)})
        elif self.path == "/price":
            SEEN.append("somebody asks the shop for its price")
            self.answer(200, {"tea": 7})
        else:
            SEEN.append("somebody asks the shop for what it does not have")
            self.answer(404, None)

    def do_POST(self) -> None:
        """Take an order; at /cut the connection breaks before the answer."""
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        SEEN.append(f"the shop takes an order: {order['item']}" + (" (again)" if key in ORDERS else ""))
        ORDERS.setdefault(key, len(ORDERS) + 1)
        if self.path != "/cut":
            self.answer(201, {"order": ORDERS[key]})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Mail(StreamRequestHandler):
    """Takes every message."""

    def handle(self) -> None:
        """Speak just enough SMTP."""
        self.wfile.write(b"220 mail.shop.example\r\n")
        subject = ""
        while line := self.rfile.readline():
            word = line.split(maxsplit=1)[0].upper()
            if word == b"RCPT":
                receiver = line.split(b"<")[1].split(b">")[0].decode()
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (text := self.rfile.readline()) != b".\r\n":
                    subject = text[9:].decode().strip() if text.startswith(b"Subject: ") else subject
                SEEN.append(f"{receiver} has mail: {subject}")
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


class MailServer(ThreadingTCPServer):
    """Takes its port again at once."""

    allow_reuse_address = True


SERVERS: Final = ((ThreadingUDPServer, 18053, Names), (ThreadingHTTPServer, 18080, Shop), (MailServer, 18025, Mail))


def shown(out: dict[str, Any]) -> str:
    """Return how a job ended, on one line, without what is another on each machine."""
    if "error" in out:
        return f"error {out['error']['code']}, the {out['error']['fault']}'s fault"
    value = out["ok"]
    if isinstance(value, dict):
        value = value.get("body", value.get("accepted"))
    return f"ok {json.dumps(value)}"


def listen(kind: type[BaseServer], port: int, handler: Any) -> BaseServer:
    """Return a server on a port; where another one is still there, wait for it to end."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return kind((HOST, port), handler)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> int:
    """Run the command in this world."""
    for kind, port, handler in SERVERS:
        Thread(target=listen(kind, port, handler).serve_forever, daemon=True).start()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=False)
    answer = json.loads(done.stdout)
    for label, task in sorted(answer.get("tasks", {}).items()):
        print(f"{label}: {shown(task['out'])}")
    print(f"status: {answer['status']}")
    for event in SEEN or ["the world has seen nothing"]:
        print(f"- {event}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
