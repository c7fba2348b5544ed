"""One command, done at most once: claim, intend, do, say how it came out; docs/exactly-once.md draws it.

Whatever happens between the intent and the outcome, the act is in doubt and stays so until somebody knows: its holder,
late; the handler, by asking the world; an operator.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ipvm_queue.effects import NotDoneError
from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.observe import logger
from ipvm_queue.store import NotDurableError
from ipvm_queue.worker.ask import broken, examine
from ipvm_queue.worker.stops import CRASHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.effects import Call, Context, Effect, EffectError, Outcome
    from ipvm_queue.ipld import Value
    from ipvm_queue.store import Claim, Record, RedisActs, State, Wanted

    Sign = Callable[[dict[str, Value], State, dict[str, Value]], tuple[Record, bytes]]

Answer = TypeVar("Answer")
_log = logger(__name__)
_MARGIN: Final = 0.2  # of a lease: nothing is begun in its last part
_TELL_SECONDS: Final = 60.0  # how long an outcome is told to a broker that does not listen
_PAUSE: Final = 0.2
_ROUNDS: Final = 5
_APART: Final = {
    "code": "effect/two-acts",
    "message": "not run: another job asked for the same, and with other inputs since, so that nobody can say which act"
    " it is; sign the job with another nonce",
    "fault": "requestor",
}


class Acted(NamedTuple):
    """How a command came out for a run: `receipt` is the signed envelope.

    `record` and `out` are None where the receipt was found instead of made. `over` says that the act is done, and the
    receipt stands for it for good.
    """

    receipt: bytes
    record: Record | None = None
    out: dict[str, Value] | None = None
    over: bool = False


class Act(NamedTuple):
    """All that doing a command takes. `sign` makes a record and a receipt of a Result, a state and a `meta`.

    `discreet` says that secrets are in it: what the store is told of errors is their codes.
    """

    wanted: Wanted
    effect: Effect
    context: Context
    call: Call
    digest: bytes
    sign: Sign
    discreet: bool = False

    def known_as(self, name: str) -> Act:
        """Return it as the act that it turned out to be, perhaps another job's: the world knows it by that key."""
        return self._replace(wanted=self.wanted._replace(id=name), call=self.call._replace(task=Link.parse(name)))

    def told(self, error: EffectError) -> str:
        """Return what may be kept with an act of what a handler raised."""
        return error.code if self.discreet else f"{error.code}: {error.message}"


class Guard:
    """The acts of one process, which holds one claim at a time. `lease` is in seconds."""

    def __init__(self, acts: RedisActs, owner: str, lease: float) -> None:
        self._acts = acts
        self._owner = owner
        self._lease = lease
        self._lock = Lock()
        self._held: tuple[str, str] | None = None
        self._until = 0.0

    def act(self, act: Act, *, crashed: bool) -> Acted | None:
        """Do an act unless it has been done; None where the node has been put aside, or is somebody else's by now.

        `crashed` says that workers have died of it too often: it is not begun again, only what became of it is said.
        """
        for number in range(1, _ROUNDS + 1):
            asked = monotonic()
            claim = self._acts.claim(act.wanted, self._owner)
            if not claim.act:
                return self._answered(act, claim)
            known = act.known_as(claim.act)
            if claim.verdict == "doubt":
                if (judged := self._judge(known, claim.fence, claim.why)) is not None:
                    return judged
            elif crashed:
                return self._given_up(act, claim)
            else:
                self._hold(claim.act, claim.fence, asked)
                call = known.call._replace(attempt=number, follows_doubt=claim.judged)
                try:
                    found = self._run(known._replace(call=call), claim)
                finally:
                    self._held = None
                if found is not None or number == _ROUNDS:
                    return found
        return None

    def _answered(self, act: Act, claim: Claim) -> Acted | None:
        """Return what a claim that leaves nothing to do says of a node, None where that was put aside, or is lost."""
        if claim.verdict == "done":
            return Acted(claim.envelope, over=True)
        return self._failed(act, dict(_APART), {}) if claim.verdict == "apart" else None

    def _given_up(self, act: Act, claim: Claim) -> Acted:
        self._tell(lambda: self._acts.not_done(claim.act, claim.fence, "its workers died before they began"))
        return self._failed(act, dict(CRASHED), {})

    def renew(self) -> None:
        """Keep the claim that is held, if one is. Called by another thread while the effect is being done."""
        with self._lock:
            held, asked = self._held, monotonic()
            if held is not None and self._acts.renew(*held):
                self._until = asked + self._lease * (1 - _MARGIN)

    def _hold(self, act: str, fence: str, asked: float) -> None:
        with self._lock:
            self._held = (act, fence)
            self._until = asked + self._lease * (1 - _MARGIN)

    # Doing

    def _run(self, act: Act, claim: Claim) -> Acted | None:
        """Intend and do a claimed act; None where it is to be claimed again."""
        name, fence = act.wanted.id, claim.fence
        try:
            if not self._acts.intend(name, fence, act.digest):
                return None
        except NotDurableError as error:
            self._tell(lambda: self._acts.not_done(name, fence, "the broker could not keep the intent"))
            message = f"not run: {error.message}" + (f" ({error.hint})" if error.hint else "")
            return self._failed(act, {"code": "runner/not-durable", "message": message, "fault": "runner"}, {})
        except UnavailableError:
            self._tell(lambda: self._acts.not_done(name, fence, "the broker was away when it was to be intended"))
            raise
        if monotonic() >= self._until:  # who was asleep must not begin: others may know of the lapse already
            self._tell(lambda: self._acts.not_done(name, fence, "its holder was late, and did not begin"))
            return None
        started = time()
        try:
            outcome = act.effect.run(act.context, act.call)
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises, the act may have happened
            return self._no_answer(act, fence, broken(act.effect, raised), started)
        return self._done(act, fence, outcome, started)

    def _done(self, act: Act, fence: str, outcome: Outcome, started: float, *, judged: bool = False) -> Acted | None:
        """Say that the act is over; None where somebody with a newer fence has it."""
        out, evidence = examine(outcome, act.call)
        record, receipt = act.sign(out, "ok" if "ok" in out else "error", _meta(act.call, started, evidence, judged))
        told = (record.receipt, receipt)
        counts = self._tell(lambda: self._acts.done(act.wanted.id, fence, told, act.wanted.tasks, judged=judged))
        if counts is None:
            _log.warning("an outcome came too late", act=act.wanted.id, fence=fence)
            return None
        if counts[0] != record.receipt:
            return Acted(counts[1], over=True)
        return Acted(receipt, record, out, over=True)

    def _no_answer(self, act: Act, fence: str, error: EffectError, started: float) -> Acted | None:
        """Say that the handler has no answer: where nothing was sent the act is free, else it is in doubt."""
        name = act.wanted.id
        if not error.sent:
            self._tell(lambda: self._acts.not_done(name, fence, act.told(error)))
            return self._failed(act, error.error, _meta(act.call, started, error.evidence))
        why = act.told(error)
        self._tell(lambda: self._acts.doubt(name, fence, why, act.wanted.run))
        return self._judge(act, fence, why)

    def _failed(self, act: Act, error: dict[str, Value], meta: dict[str, Value]) -> Acted:
        """Return the receipt of an act that was not done, and may be when it is asked for again."""
        record, receipt = act.sign({"error": error}, "error", meta)
        return Acted(receipt, record, {"error": error})

    # Doubt

    def _judge(self, act: Act, fence: str, why: str) -> Acted | None:
        """Ask the world about an act in doubt; None where it has surely not happened and may be claimed again.

        That it has not happened *yet* is no reason to do it again, unless the world itself refuses a second one.
        """
        started = time()
        try:
            outcome = None if act.effect.reconcile is None else act.effect.reconcile(act.context, act.call)
        except NotDoneError:
            if act.effect.idempotency_key:
                self._tell(
                    lambda: self._acts.not_done(act.wanted.id, fence, "the world knows nothing of it", judged=True)
                )
                return None
            outcome, why = None, f"{why}; the world knows nothing of it yet"
        except Exception as raised:  # noqa: BLE001 - the doubt stays
            outcome, why = None, f"{why}; asked what became of it: {act.told(broken(act.effect, raised))}"
        if outcome is not None:
            return self._done(act, fence, outcome, started, judged=True)
        task = act.wanted.tasks[0]
        error: dict[str, Value] = {
            "code": "effect/in-doubt",
            "message": f"nobody knows whether it has happened: {why}; who finds out says so with"
            f" ipvm effect resolve {task} --done, or --not-done",
            "fault": "runner",
            "act": task,
        }
        record, receipt = act.sign({"error": error}, "in-doubt", _meta(act.call, started, {}))
        return Acted(receipt, record, {"error": error})

    def _tell(self, say: Callable[[], Answer]) -> Answer:
        """Say it to the store, again and again while it is away: what is not said is in doubt."""
        deadline = monotonic() + _TELL_SECONDS
        while True:
            try:
                return say()
            except UnavailableError:
                if monotonic() >= deadline:
                    raise
                sleep(_PAUSE)


def _meta(call: Call, started: float, evidence: dict[str, Value], judged: bool = False) -> dict[str, Value]:  # noqa: FBT001, FBT002
    """Return what a receipt says of an attempt: when it began (ms since 1970), how long it took, what answered."""
    attempt: dict[str, Value] = {"at": int(started * 1000), "ms": int((time() - started) * 1000)}
    found: dict[str, Value] = {"reconciled": True} if judged else {}
    return {"attempts": [attempt], "attempt": call.attempt, "evidence": evidence, **found}
