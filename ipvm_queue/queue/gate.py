"""`Gate`: the WorkQueue's own process at its inbox. What does not pass here is not on the queue.

A gate that dies over a request leaves it in a list of its own, where the next one finds it; doing it again changes
nothing.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Final

from ipvm_queue.observe import logger
from ipvm_queue.queue.pause import collector_paused
from ipvm_queue.queue.round import Round
from ipvm_queue.ucan import Validator

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.queue.desk import Desk
    from ipvm_queue.store import Inbox, Revocations
    from ipvm_queue.store.inbox import Taken

_log = logger(__name__)
_MOST: Final = 64  # requests taken at once
_ROUND: Final = 0.05  # seconds that an answer may wait for those after it
_ALIVE: Final = 5.0  # seconds after which a silent gate counts as dead
_LOOK: Final = 1.0


class Gate:
    """Serves the inbox under a name of its own."""

    def __init__(
        self, name: str, signer: Signer, desk: Desk, inbox: Inbox, revocations: Revocations, *, max_bytes: int
    ) -> None:
        self._name = name
        self._signer = signer
        self._desk = desk
        self._inbox = inbox
        self._revocations = revocations
        self._max_bytes = max_bytes
        self._validator = Validator()
        self._looked = 0.0

    def serve(self, seconds: float) -> int:
        """Answer what comes within `seconds`; return how many requests that was. Raises `UnavailableError`."""
        self._look_around()
        requests = self._inbox.take(self._name, seconds, _MOST)
        self._answer(requests)
        return len(requests)

    def _answer(self, requests: list[Taken]) -> None:
        while requests:
            rest = [each.request for each in requests[self._round(requests) :]]
            requests = self._inbox.look(self._name, rest)  # again: what was revoked meanwhile counts

    def _round(self, requests: list[Taken]) -> int:
        """Answer the first of `requests`, as many as can be in a moment; return how many those are."""
        begun, done = monotonic(), 0
        answers = Round(
            self._signer,
            self._desk,
            self._inbox,
            self._revocations,
            self._validator,
            gate=self._name,
            max_bytes=self._max_bytes,
        )
        with collector_paused():
            for request, parcel in requests:
                answers.take(request, parcel)
                done += 1
                if answers.is_outdated or monotonic() - begun > _ROUND:
                    break
            answers.enter()
        if answers.answers:
            self._inbox.reply(self._name, answers.answers)
        return done

    def _look_around(self) -> None:
        if monotonic() - self._looked < _LOOK:
            return
        self._looked = monotonic()
        self._inbox.serve(self._name, _ALIVE)
        self._inbox.inherit(self._name)
        left = self._inbox.left_over(self._name)  # taken before a stop, or by a call whose answer was lost
        while left:
            some, left = left[:_MOST], left[_MOST:]
            self._answer(self._inbox.look(self._name, some))
        for lease in self._desk.look_around(int(time())):
            _log.info("a lease is over", worker=lease.worker, name=lease.name)
        for receipt in self._desk.look_next_door():
            _log.info("a receipt was fetched next door", receipt=str(receipt))
