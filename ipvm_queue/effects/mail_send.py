"""The conversation with a mail server, one step at a time, so that it is known what has happened where it breaks off.

| where it ends | then |
|---|---|
| before the final dot | no server delivers what was not ended: nothing has happened (RFC 5321 4.1.1.10) |
| after the final dot, with an answer | the answer says whether it took the message |
| after the final dot, without one | in doubt |
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Timer
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.effects.contract import EffectError, Outcome
from ipvm_queue.effects.mail_settings import STARTTLS, TLS
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.effects.mail_message import Message
    from ipvm_queue.effects.mail_settings import MailSettings
    from ipvm_queue.ipld import Value

_READY: Final = 220
_OK: Final = 250
_GO_ON: Final = 354
_LATER: Final = range(400, 500)
_DOT: Final = b".\r\n"
_SHOWN: Final = 200


class Reply(NamedTuple):
    """What a server answered: its code and its words."""

    code: int
    words: bytes

    def __str__(self) -> str:
        return f"{self.code} {self.words.decode(errors='replace')[:_SHOWN]}"


class Conversation:
    """One message to one server; `dotted` turns true when the end of the message is about to go out."""

    def __init__(self, settings: MailSettings, deadline: float) -> None:
        self._settings = settings
        self._deadline = min(deadline, time.monotonic() + settings.timeout)
        self.dotted = False
        self.expired = False
        self._smtp = smtplib.SMTP(local_hostname=settings.hello)

    def send(self, message: Message) -> Outcome:
        """Hand the message over; a refusal for good is an outcome. Raises `mail/…` errors."""
        with self._faults(), self._watched():
            self._greet()
            refusal = self._envelope(message)
            if refusal is not None:
                return Outcome({"error": refusal}, {"message_id": message.id, "server": self._server})
            reply = self._data(message)
            evidence = self._evidence(message, reply)
            self._part()
        if reply.code in _LATER:
            text = f"the mail server cannot take the message now: {reply}"
            raise EffectError("mail/later", text, "world", evidence=evidence, transient=True, sent=False)
        if reply.code != _OK:
            text = f"the mail server does not take the message: {reply}"
            return Outcome({"error": {"code": "mail/rejected", "message": text, "fault": "world"}}, evidence)
        return Outcome({"ok": {"message_id": message.id, "accepted": list(message.receivers)}}, evidence)

    @property
    def _server(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _greet(self) -> None:
        """Connect, prove who is there, log in."""
        settings = self._settings
        self._smtp.sock = socket.create_connection((settings.host, settings.port), self._left())
        self._left()  # until here the watch had nothing to end
        if settings.tls == TLS:
            self._secure()
        self._expect(Reply(*self._smtp.getreply()), _READY)
        self._smtp.ehlo_or_helo_if_needed()
        if settings.tls == STARTTLS:
            self._start_tls()
        if settings.login is not None:
            self._log_in(*settings.login)

    def _start_tls(self) -> None:
        """Go on inside TLS; what the server has said of itself before is forgotten (RFC 3207 4.2)."""
        if not self._smtp.has_extn("starttls"):
            raise EffectError("mail/tls", f"{self._server} offers no TLS", "world", sent=False)
        code, _ = self._smtp.docmd("STARTTLS")
        if code != _READY:
            raise EffectError("mail/tls", f"{self._server} starts no TLS: {code}", "world", sent=False)
        self._secure()
        self._smtp.file = self._smtp.helo_resp = self._smtp.ehlo_resp = None
        self._smtp.ehlo_or_helo_if_needed()

    def _secure(self) -> None:
        """Have the server prove who it is; the watch can end it, as it could not inside `wrap_socket` or `starttls`."""
        inside = self._context().wrap_socket(
            self._smtp.sock,  # type: ignore[arg-type]  # connected it is
            server_hostname=self._settings.host,
            do_handshake_on_connect=False,
        )
        self._smtp.sock = inside
        inside.settimeout(self._left())
        inside.do_handshake()

    def _log_in(self, user: str, password: str) -> None:
        try:
            self._smtp.login(user, password)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPAuthenticationError as error:
            text = f"{self._server} does not let this worker in: {error.smtp_code}"
            raise EffectError("mail/auth", text, "runner", sent=False) from None
        except smtplib.SMTPException as error:
            raise EffectError("mail/auth", f"{self._server}: {error}", "runner", sent=False) from None

    def _envelope(self, message: Message) -> dict[str, Value] | None:
        """Say from whom and to whom; return the error of a refusal. Either everybody is to get it, or nobody."""
        size = f" SIZE={len(message.data)}" if self._smtp.has_extn("size") else ""
        sender = Reply(*self._smtp.docmd("MAIL", f"FROM:<{message.sender}>{size}"))
        if sender.code != _OK:
            return self._refusal(
                "mail/refused", f"the mail server refuses the sender {message.sender}: {sender}", sender
            )
        refused = {}
        for receiver in message.receivers:
            reply = Reply(*self._smtp.docmd("RCPT", f"TO:<{receiver}>"))
            if reply.code not in (_OK, 251, 252):
                refused[receiver] = reply
        if not refused:
            return None
        words = "; ".join(f"{receiver} ({reply})" for receiver, reply in refused.items())
        worst = max(refused.values(), key=lambda reply: reply.code)
        return self._refusal("mail/refused", f"nothing was sent: the mail server refuses {words}", worst)

    def _refusal(self, code: str, message: str, reply: Reply) -> dict[str, Value]:
        self._part()
        if reply.code in _LATER:
            raise EffectError("mail/later", message, "world", transient=True, sent=False)
        return {"code": code, "message": message, "fault": "requestor"}

    def _data(self, message: Message) -> Reply:
        """Hand the message itself over; return what the server says at its end."""
        self._expect(Reply(*self._smtp.docmd("DATA")), _GO_ON)
        lines = message.data if message.data.endswith(b"\r\n") else message.data + b"\r\n"
        self._smtp.send(b"\r\n".join(b"." + line if line[:1] == b"." else line for line in lines.split(b"\r\n")))
        self._left()
        self.dotted = True
        self._smtp.send(_DOT)
        return Reply(*self._smtp.getreply())

    def _expect(self, reply: Reply, code: int) -> None:
        if reply.code != code:
            later = reply.code in _LATER
            text = f"{self._server} answered {reply}"
            raise EffectError("mail/later" if later else "mail/rejected", text, "world", transient=later, sent=False)

    def _part(self) -> None:
        """Say good-bye; nothing depends on it any more."""
        with suppress(smtplib.SMTPException, OSError):
            self._smtp.quit()

    def _evidence(self, message: Message, reply: Reply) -> dict[str, Value]:
        return {
            "message_id": message.id,
            "sha256": sha256(message.data).digest(),
            "server": self._server,
            "reply": str(reply),
        }

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.ca_file is not None:
            try:
                context.load_verify_locations(self._settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"smtp.ca_file: {self._settings.ca_file} has no certificates: {error}") from None
        return context

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0 or self.expired:
            text = "there is no time left to send it"
            raise EffectError("mail/timeout", text, "network", transient=True, sent=self.dotted)
        return left

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End the connection at the deadline, whatever it is waiting for: a server may trickle for ever."""

        def end() -> None:
            self.expired = True
            if self._smtp.sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(self._smtp.sock, socket.SHUT_RDWR)

        timer = Timer(self._left(), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._smtp.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what goes wrong into an error that says whose fault it is, and whether the message may have gone."""
        server = self._server
        try:
            yield
        except (smtplib.SMTPException, OSError) as error:
            # smtplib says of a read that took too long that the connection was closed
            if self.expired or any(isinstance(each, TimeoutError) for each in (error, error.__context__)):
                text = f"{server} took too long"
                raise EffectError("mail/timeout", text, "network", transient=True, sent=self.dotted) from None
            if isinstance(error, ssl.SSLError):
                why = getattr(error, "verify_message", None) or error.reason or str(error)
                raise EffectError("mail/tls", f"no TLS with {server}: {why}", "world", sent=self.dotted) from None
            code = "mail/cut" if isinstance(error, smtplib.SMTPException) or self.dotted else "mail/unreachable"
            raise EffectError(code, f"{server}: {error}", "network", transient=True, sent=self.dotted) from None
