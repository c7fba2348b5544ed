"""The witness of mail: an SMTP server outside of everything, that counts each message by the act in its Message-ID."""

from __future__ import annotations

import email
import email.policy
import socket
from asyncio import to_thread
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Callable


class MailSink:
    """A witness on a free port of the loopback. `before` and `after` are called around the counting of a message.

    Where `after` raises `ConnectionAbortedError`, the message was taken and nobody is told.
    """

    def __init__(self) -> None:
        self.acts: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _key: None
        self.after: Callable[[str], None] = lambda _key: None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        """Stop."""
        self._controller.stop()

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Count a message, which has been heard to its final dot."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        key = str(message["Message-ID"]).strip("<> ").partition("@")[0]
        await to_thread(self.before, key)
        self.acts[key] += 1
        try:
            await to_thread(self.after, key)
        except ConnectionAbortedError:
            server.transport.abort()
        return "250 taken"
