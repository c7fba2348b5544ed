"""`Counter`: where a user stands before the gate, asks, and reads the answer."""

from __future__ import annotations

from secrets import token_hex
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import CodecError, IpvmError, RefusedError, UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.queue import requests
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.ucan import Invocation, Validator, read
from ipvm_queue.ucan.classic import queue_of
from ipvm_queue.ucan.proof import is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.proofs import Proofs
    from ipvm_queue.queue.requests import Request
    from ipvm_queue.store import Inbox, Registry
    from ipvm_queue.ucan import Delegation

PATIENCE: Final = 60.0
_TICK: Final = 3.0
_LAST: Final = 0.5  # seconds in which an answer is on its way that was given before the request was taken back
_MAYBE: Final = "what was asked may be done yet, for some minutes, when it is back: ipvm run list"
_UNSERVED: Final = "no gate serves this queue"
_HINT: Final = "ask the queue's operator for a delegation (ipvm delegate), and send it along: --proof FILE"


class NoAnswerError(UnavailableError):
    """Raised where a gate has not answered: what was asked may have been done, if it died over that."""


class Accepted(NamedTuple):
    """A job that was let in: the run's id, and the CIDs of its plan and of its invocation (8)."""

    run: str
    plan: Link
    invocation: Link


class Counter:
    """Asks a queue's gate in the name of `signer`.

    `job_ttl` is how many seconds its jobs may run; `waiting` is told, in words, when an answer takes long. Whom the
    queue is, the proofs say: the subject on which they let the signer push. Raises `UnavailableError` where
    no gate answers.
    """

    def __init__(
        self,
        signer: Signer,
        proofs: Proofs,
        inbox: Inbox,
        registry: Registry,
        *,
        job_ttl: int = 0,
        patience: float = PATIENCE,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self._signer = signer
        self._proofs = proofs
        self._inbox = inbox
        self._registry = registry
        self._job_ttl = job_ttl
        self._patience = patience
        self._waiting = waiting
        self._queue: str | None = None
        self._service: str | None = None

    @property
    def queue(self) -> str:
        """The queue's DID; raises `RefusedError` where no proof says that the signer may push to it."""
        if self._queue is None:
            known = self._proofs.subjects(self._signer.did, requests.PUSH, now=int(time()))
            said = self._registry.queue()
            if said is not None:  # a service's proof for everything covers pushing, though there is no queue of its
                known = [did for did in known if did == said]
            if not known:
                raise RefusedError(
                    f"no proof lets {self._signer.did} push to this queue", hint=_HINT, rule="InvalidClaim"
                )
            self._queue = known[0]
        return self._queue

    @property
    def service(self) -> str:
        """The DID of the service in whose name jobs are run; raises `RefusedError` where no proof lets the signer."""
        if self._service is None:
            known = self._proofs.subjects(self._signer.did, requests.RUN, now=int(time()))
            known = [did for did in known if did != self.queue] or known
            if not known:
                raise RefusedError(f"no proof lets {self._signer.did} have jobs run", hint=_HINT, rule="InvalidClaim")
            self._service = known[0]
        return self._service

    def trust(self, queue: str) -> None:
        """Take a DID for the queue's: a worker knows it from the delegation by which it pops."""
        self._queue = queue

    def meet(self, known: Collection[str]) -> None:
        """Take for the queue whom the gate says that it is, where that is one of the `known` DIDs.

        For who need not be let in to be heard: whoever takes back what it has delegated.
        """
        said = self._registry.queue()
        if said is not None and said in known:
            self._queue = said

    def push(self, job: Link, blocks: Mapping[Link, bytes], *, patience: float | None = None) -> Accepted:
        """Have a signed job (by its document's CID) enqueued, with the blocks it brings; raises `RefusedError`.

        A `NoAnswerError` names the run that it is if it was let in all the same, by a gate whose answer was lost.
        """
        asked = requests.push(
            self._signer, self.queue, self.service, job, self._proofs, now=int(time()), lifetime=self._job_ttl
        )
        try:
            answer = self.ask(asked, blocks, patience=patience)
        except NoAnswerError as error:
            eight = Invocation.parse(asked.container.tokens[asked.invocation.args["inv"]])
            raise NoAnswerError(error.message, hint=error.hint, run=run_of(eight)) from error
        match answer:
            case {"run": str() as run, "plan": Link() as plan, "inv": Link() as invocation}:
                return Accepted(run, plan, invocation)
            case other:
                raise UnavailableError(f"the gate answered something else: {other!r:.200}")

    def hand_over(self, bundle: bytes) -> list[Link]:
        """Have the queue take in what a bundle of another queue proves; return the receipts. Raises `RefusedError`."""
        link = Link.of(bundle)
        asked = requests.receipts(self._signer, self.queue, link, self._proofs, now=int(time()))
        found = self.ask(asked, {link: bundle}).get("receipts")
        return [each for each in found if isinstance(each, Link)] if isinstance(found, list) else []

    def cancel(self, run: str, reason: str) -> str:
        """Have a run of the signer's ended; return the state it was in."""
        found = self.ask(requests.cancel(self._signer, self.queue, run, reason, now=int(time())))
        return str(found.get("state"))

    def exchange(self, jwt: str) -> Delegation:
        """Return what the gate gives for a JWT of UCAN 0.8: a delegation to push, from the queue that the JWT names.

        Raises `RefusedError` with the rule that the JWT breaks.
        """
        now, queue = int(time()), queue_of(jwt)
        self.trust(queue)
        match self.ask(requests.exchange(self._signer, queue, jwt, now=now)):
            case {"delegation": bytes() as data}:
                given = Validator().delegation(data, now=now, audience=self._signer.did)
                if is_same(given.iss, queue):
                    return given
        raise UnavailableError("the gate answered something else than a delegation of its own")

    def ask(
        self, asked: Request, blocks: Mapping[Link, bytes] | None = None, *, patience: float | None = None
    ) -> dict[str, Value]:
        """Hand a request to the gate, wait at most `patience` seconds, and return what its answer says is `ok`.

        A request that nobody waits for any more is taken back. Raises `RefusedError` with the rule and the token that
        broke it, `NoAnswerError` where no answer comes, and on Ctrl-C a `KeyboardInterrupt` that says what became of
        the request.
        """
        request = token_hex(16)
        try:
            self._inbox.leave(request, asked.container.write(), blocks or {})
            answer = self._wait(request, self._patience if patience is None else patience)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._leave_off(request, asked)) from None
        if answer is None:
            self._inbox.withdraw(request)
            answer = self._inbox.answer(request, _LAST)
        if answer is None:
            raise NoAnswerError(
                f"{'the gate does not answer' if self._is_served() else _UNSERVED}: the request is taken back",
                hint="start one: celery -A workers.gate worker -P solo",
            )
        return self._read(answer, asked)

    def _wait(self, request: str, patience: float) -> bytes | None:
        deadline = monotonic() + patience
        said = ""
        while (left := deadline - monotonic()) > 0:
            try:
                answer = self._inbox.answer(request, min(_TICK, left))
            except UnavailableError as error:
                raise NoAnswerError(error.message, hint=_MAYBE) from error
            if answer is not None:
                return answer
            reason = "waiting for the gate to answer" if self._is_served() else f"waiting: {_UNSERVED}"
            if self._waiting is not None and reason != said:
                self._waiting(reason)
            said = reason
        return None

    def _is_served(self) -> bool:
        return any(requests.GATE_QUEUE in each.queues for each in self._registry.workers())

    def _leave_off(self, request: str, asked: Request) -> str:
        """Take back a request whose user does not wait any more; return what became of it."""
        taken_back = self._inbox.withdraw(request)
        answer = self._inbox.answer(request, _LAST)
        if answer is None:
            return "the request is taken back" if taken_back else "the gate had answered: ipvm run list"
        try:
            run = self._read(answer, asked).get("run")
        except IpvmError as error:
            return error.message
        return f"run {run} goes on: ipvm run watch {run}" if run else "it was done"

    def _read(self, data: bytes, asked: Request) -> dict[str, Value]:
        try:
            receipt = read(data)
        except CodecError as error:
            raise UnavailableError(f"the answer is not signed as it should be: {error.message}") from error
        if not is_same(receipt.issuer, self.queue):
            raise UnavailableError(f"the answer is {receipt.issuer}'s, not the queue's, {self.queue}")
        own = receipt.ran == asked.invocation.task
        match receipt.out:
            case {"error": {"message": str() as message, **fields}} if own or receipt.ran == requests.NO_REQUEST:
                hint = fields.get("hint")
                more = {str(name): value for name, value in fields.items() if name not in ("code", "hint")}
                raise RefusedError(message, hint=str(hint) if hint else None, **more)
            case {"ok": dict() as found} if own:
                return found
        raise UnavailableError("the answer is to another request")
