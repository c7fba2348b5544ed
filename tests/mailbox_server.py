"""A real SMTP server for tests, on a free port of the loopback, and words for raw ones that break off."""

from __future__ import annotations

import email
import email.policy
import socket
from contextlib import contextmanager

from aiosmtpd.controller import Controller


class Inbox:
    """A handler that keeps what it takes, and answers as `answers` says for RCPT and DATA."""

    def __init__(self):
        self.taken = []
        self.answers = {}

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        """Refuse an address that has an answer of its own."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        """Keep the message, unless there is another answer; None hangs up without one."""
        answer = self.answers.get("DATA", "250 taken")
        if answer is None or answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.taken.append((envelope.mail_from, list(envelope.rcpt_tos), message, session.ssl is not None))
        if answer is None:
            server.transport.abort()
            return "250 nobody hears this"
        return answer


@contextmanager
def mail_server(inbox, **options):
    """Run a server for a handler; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        controller.stop()


def speak(connection, word):
    """Speak SMTP until `word` is heard; return whether it was."""
    lines, inside = connection.makefile("rb"), False
    while line := lines.readline():
        if line.upper().startswith(word):
            return True
        if not inside or line == b".\r\n":
            inside = line.upper().startswith(b"DATA")
            connection.sendall(b"354 go on\r\n" if inside else b"250 OK\r\n")
    return False


def until(word, then):
    """Return a server that speaks SMTP until it hears `word`, and then does `then(connection, done)`."""

    def serve(connection, done):
        connection.sendall(b"220 hello\r\n")
        if speak(connection, word):
            then(connection, done)

    return serve
