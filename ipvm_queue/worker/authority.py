"""On whose authority a worker runs a task: looked at by the worker itself, right before it runs.

Signatures and chains are looked at once for each run and process. Time and revocation are looked at each time that
nodes are leased, policies for each task on its resolved arguments; a command that a chain without policies covers is
decided once.
"""

from __future__ import annotations

from collections import OrderedDict
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ipvm_queue.effects import uses
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.queue.unrun import REFUSED
from ipvm_queue.ucan import LEEWAY, InvalidClaimError, UcanError, Validator
from ipvm_queue.ucan.proof import check_policies
from ipvm_queue.worker.papers import Asked, Handed, Standing, proxy_chain, read_asked, read_handed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.store import Grant, Papers
    from ipvm_queue.ucan import Delegation, Invocation

_RUNS: Final = 256


class NotHandedError(Exception):
    """Raised when this worker may not work on a run now, through no fault of the run: another may."""


class Gate(Protocol):
    """The gate, as a worker process sees it."""

    def standing(self) -> Standing | None:
        """Return the pop that this worker works under, None where it has none (any more)."""

    def hand_out(self, run: str) -> bytes | None:
        """Ask for a run to be handed to this worker; return the queue's answer, None where none came in time."""

    def revoked(self) -> Collection[Link]:
        """Return the CIDs of all revoked delegations."""


class Grants(Protocol):
    """What the delegations that were sent along with a job let its tasks do."""

    def allow(self, command: str, args: Value, *, now: int, revoked: Collection[Link]) -> bool:
        """Raise `UcanError` where a task may not be; return whether it may be with any other args too."""


class Mandate:
    """A run in this process's hands: what its receipts name, and what its tasks may do.

    `cause` is the CID of the hand-out (11), `plan` that by which it is to be done, `service` whom receipts are signed
    for, under `proxies` (2 and 4).
    """

    __slots__ = ("_free", "_grants", "_moment", "asked", "cause", "has_proxy_policies", "plan", "proxies", "service")

    def __init__(self, asked: Asked, handed: Handed, proxies: tuple[Delegation, ...], grants: Grants) -> None:
        self.asked = asked
        self.service = asked.service
        self.cause, self.plan = handed.cause, handed.plan
        self.proxies = proxies
        self.has_proxy_policies = any(proof.pol.statements for proof in proxies)
        self._grants = grants
        self._free: set[str] = set()
        self._moment: tuple[int, Collection[Link]] = (0, ())

    def look(self, now: int, revoked: Collection[Link]) -> None:
        """Take note of the time and of what has been revoked, in whose light tasks are judged from now on."""
        self._moment = (now, revoked)
        self._free.clear()

    def refusal(self, command: str, args: Value, task: Link) -> dict[str, Value] | None:
        """Return the error of a task that may not run, None for one that may. `args` are resolved.

        It has to be entitled to what it uses beside itself, too (`effects.uses`).
        """
        refusal = self._own_refusal(command, args, task)
        for each in uses(command, args) if refusal is None else ():
            refusal = refusal or self.objection(*each)
        return refusal

    def objection(self, command: str, args: Value) -> dict[str, Value] | None:
        """Return the error of what a task would have done beside itself and may not, None for what it may."""
        now, revoked = self._moment
        try:
            self._grants.allow(command, args, now=now, revoked=revoked)
        except UcanError as error:
            return _refused(error, "requestor")
        return None

    def _own_refusal(self, command: str, args: Value, task: Link) -> dict[str, Value] | None:
        if command in self._free:
            return None
        now, revoked = self._moment
        try:
            free = self._grants.allow(command, args, now=now, revoked=revoked)
        except UcanError as error:
            return _refused(error, "requestor")
        if self.has_proxy_policies:
            says: Value = {"cmd": command, "ran": [task], "rcpt": [task]}  # the receipt's CID is not known yet
            try:
                check_policies(says, self.proxies, promises=False)
            except UcanError as error:
                return _refused(error, "runner")
        elif free:
            self._free.add(command)
        return None


class _Case(NamedTuple):
    """A run that this process knows: its mandate, until when that holds, and the tokens that it hangs on."""

    papers: Papers
    mandate: Mandate
    until: float
    links: frozenset[Link]


class Authorities:
    """The mandates of a worker process."""

    def __init__(
        self, gate: Gate, grants: Callable[[Asked, Validator], Grants], *, clock: Callable[[], float] = time
    ) -> None:
        self._gate = gate
        self._clock = clock
        self._grants = grants
        self._validator = Validator()
        self._cases: OrderedDict[str, _Case] = OrderedDict()
        self._revoked: Collection[Link] = frozenset()
        self._version: bytes | None = None

    def pop(self, run: str) -> Link | None:
        """Return the pop to ask a run's papers for, None where this process has them.

        Raises `NotHandedError` where the worker has no pop that holds.
        """
        return None if run in self._cases else self._standing().pop.link

    def mandate(self, run: str, plan: Link, document: Link, grant: Grant) -> Mandate:
        """Return the mandate for a run whose nodes have just been leased; `plan` and `document` are what it goes by.

        Raises `UcanError` where the job does not hold (any more), passed no gate or passed it with another plan,
        `NotHandedError` where another worker may go on.
        """
        now = int(self._clock())
        if grant.revoked != self._version:
            self._revoked, self._version = self._gate.revoked(), grant.revoked
        case = self._cases.get(run)
        if case is None:
            if grant.papers is None:
                raise InvalidClaimError("the run passed no gate: nothing says who asked for it")
            case = self._read(run, document, grant.papers, now)
        elif now > case.until or not case.links.isdisjoint(self._revoked):
            del self._cases[run]
            case = self._read(run, document, case.papers._replace(handout=b""), now)
        if case.mandate.plan != plan:
            raise InvalidClaimError(f"the queue has made the plan {case.mandate.plan} of this job, not {plan}")
        case.mandate.look(now, self._revoked)
        return case.mandate

    def _standing(self) -> Standing:
        standing = self._gate.standing()
        if standing is None:
            raise NotHandedError("this worker has no lease on the queue")
        return standing

    def _read(self, run: str, document: Link, papers: Papers, now: int) -> _Case:
        standing, validator, revoked = self._standing(), self._validator, self._revoked
        asked = read_asked(papers, document, standing.pop.sub, validator, now=now, revoked=revoked)
        if run_of(asked.job) != run:
            raise InvalidClaimError(f"what was asked for is run {run_of(asked.job)}, not {run}", token=asked.job.link)
        try:
            proxies = proxy_chain(standing, asked.service, validator, now=now, revoked=revoked)
        except UcanError as error:
            raise NotHandedError(f"this worker may not answer for {asked.service}: {error.message}") from error
        answer = papers.handout or self._gate.hand_out(run)
        if not answer:
            raise NotHandedError("the gate has not handed the run to this worker")
        handed = read_handed(answer, asked, standing)
        proofs = [validator.form(asked.tokens[link]) for link in asked.job.prf]
        chain: list[Invocation | Delegation] = [asked.job, *proofs, *proxies]
        ends = [token.exp + LEEWAY for token in chain if token.exp is not None]
        others = (asked.push.link, *asked.push.prf, *standing.pop.prf)
        links = frozenset((*others, *(token.link for token in chain)))
        mandate = Mandate(asked, handed, proxies, self._grants(asked, validator))
        case = self._cases[run] = _Case(papers, mandate, min([handed.until, *ends]), links)
        if len(self._cases) > _RUNS:
            self._cases.popitem(last=False)
        return case


def _refused(error: UcanError, fault: str) -> dict[str, Value]:
    token = {} if error.token is None else {"token": str(error.token)}
    return {"code": REFUSED, "rule": error.name, "message": error.message, **token, "fault": fault}
