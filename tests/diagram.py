"""The tokens of the work-queue diagram, 1 to 11, by real keys; any of them can be another one than it should be."""

from __future__ import annotations

from principals import principal

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue.let_in import run_of
from ipvm_queue.store import Papers
from ipvm_queue.ucan import Container, Delegation, Invocation, issue
from ipvm_queue.worker.papers import Standing

QUEUE, SERVICE, WORKER, USER, MALLORY = map(principal, ("queue", "service", "worker", "user", "mallory"))
DOCUMENT, PLAN = (Link.of(name, DAG_CBOR) for name in (b"a signed job", b"its plan"))
NOW = 1_800_000_000
LEASE = 120


def delegate(issuer, audience, subject, command, **extra) -> Delegation:
    """Return a delegation that is good for a day."""
    policy = extra.pop("policy", None)
    extra.setdefault("expiration", NOW + 86400)
    return Delegation.issue(issuer, audience.did, subject.did, command, policy, **extra)


def invoke(issuer, subject, command, args, *proofs, **extra) -> Invocation:
    """Return an invocation that is good for an hour."""
    extra.setdefault("expiration", NOW + 3600)
    return Invocation.issue(issuer, subject.did, command, args, [proof.link for proof in proofs], **extra)


class Diagram:
    """All tokens of a run; `changes` puts other ones in the place of the numbered."""

    def __init__(self, **changes) -> None:
        give = changes.get
        self.one = give("one") or delegate(QUEUE, SERVICE, QUEUE, "/queue/push")
        self.again = give("again") or delegate(SERVICE, USER, QUEUE, "/queue/push")
        self.two = give("two") or delegate(SERVICE, QUEUE, SERVICE, "/ucan/proxy/sign")
        self.three = give("three") or delegate(QUEUE, WORKER, QUEUE, "/queue/pop")
        self.four = give("four") or delegate(QUEUE, WORKER, SERVICE, "/ucan/proxy/sign")
        self.seven = give("seven") or delegate(SERVICE, USER, SERVICE, "/")
        self.eight = give("eight") or invoke(USER, SERVICE, "/ipvm/run", {"job": DOCUMENT}, self.seven)
        pushed = {"inv": self.eight.link}
        self.nine = give("nine") or invoke(
            USER, QUEUE, "/queue/push", pushed, self.one, self.again, expiration=NOW + 300
        )
        self.ten = give("ten") or self.pop()
        self.also = tuple(give("also", ()))

    def pop(self) -> Invocation:
        """Return another pop by the same worker."""
        args = {"name": "w@tests", "queues": ["ipvm.wasm"], "slots": 2}
        return invoke(WORKER, QUEUE, "/queue/pop", args, self.three, expiration=NOW + 300)

    @property
    def standing(self) -> Standing:
        """What the worker holds."""
        return Standing(self.ten, self._bag(self.ten, self.two, self.three, self.four))

    @property
    def papers(self) -> Papers:
        """What the store has of the run, and the hand-out to the worker's pop."""
        tokens = self._bag(self.one, self.again, self.seven, self.eight, self.nine, *self.also)
        return Papers(self.eight.link, self.nine.link, Container(tokens).write(), self.eleven())

    @property
    def run(self) -> str:
        """The run's id."""
        return run_of(self.eight)

    def eleven(
        self, signer=QUEUE, *, lease: int | None = NOW + LEASE, plan=PLAN, pop: Invocation | None = None, **names
    ) -> bytes:
        """Return a hand-out of the run."""
        pop = pop or self.ten
        out = {"inv": self.eight.link, "push": self.nine.link, "pop": pop.link, **names}
        meta = {name: value for name, value in (("lease", lease), ("plan", plan)) if value is not None}
        return issue(signer, pop.task, {"ok": out}, meta, NOW)[1]

    @staticmethod
    def _bag(*tokens: Delegation | Invocation) -> dict[Link, bytes]:
        return {token.link: token.data for token in tokens}
