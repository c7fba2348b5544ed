"""A worker looks at a run's papers itself: whatever somebody has put in their place, nothing of the run is begun."""

from __future__ import annotations

from time import time
from typing import NamedTuple

import pytest
from gates import cid, delegation, flipped, invocation
from modules import numbers, salt

from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Keys
from ipvm_queue.ucan import Container, Invocation, Receipt, issue, read

pytestmark = pytest.mark.integration

KEYS = Keys("tests")
NUMBERS = Link.of(numbers())
ELSE = Link.of(b"something else", DAG_CBOR)


@pytest.fixture
def queue(idle):
    """Return a queue whose worker has a lease and consumes nothing yet, and a client."""
    idle.start_worker("w", "-P", "solo")
    idle.withdraw("w", "ipvm.wasm")
    with idle.client() as client:
        client.blocks.put(numbers())
        yield idle, client


def submit(client):
    """Return a run of one task that is handed to the worker."""
    return client.submit({"a": {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [salt(), 1]}})


class Papers(NamedTuple):
    """What the store has of a run: its hash, the pop that it is handed to, the hand-out, and all tokens sent along."""

    stack: object
    run: str
    fields: dict[bytes, bytes]
    pop: bytes
    handed: Receipt
    tokens: dict[Link, bytes]

    @classmethod
    def of(cls, stack, run):
        """Read them."""
        fields = stack.redis.hgetall(KEYS.run(run.id))
        ((pop, handed),) = stack.redis.hgetall(KEYS.handed(run.id)).items()
        tokens = Container.read(stack.redis.get(KEYS.block(Link(fields[b"grants"])))).tokens
        return cls(stack, run.id, fields, pop, read(handed), dict(tokens))

    def hand_out(self, signer=None, *, ran=None, out=None, meta=(), **names):
        """Put another hand-out in the place of the queue's, by default signed by the queue itself."""
        signer = signer or load_signer(self.stack.settings.queue_key)
        out = out or {"ok": {**self.handed.out["ok"], **names}}
        meta = {name: value for name, value in {**self.handed.meta, **dict(meta)}.items() if value is not None}
        self.put(issue(signer, ran or self.handed.ran, out, meta, int(time()))[1])

    def put(self, handed):
        """Put bytes in the place of the hand-out."""
        self.stack.redis.hset(KEYS.handed(self.run), self.pop, handed)

    def ask(self, eight, *others):
        """Put another invocation in the place of 8, with other tokens beside it."""
        kept = [data for link, data in self.tokens.items() if link != Link(self.fields[b"inv"])]
        container = Container.of([eight, *others, *kept]).write()
        self.stack.redis.set(KEYS.block(Link.of(container)), container)
        changes = {"inv": cid(eight).bytes, "grants": Link.of(container).bytes}
        self.stack.redis.hset(KEYS.run(self.run), mapping=changes)

    def eight(self):
        """Return the invocation of the job."""
        return self.tokens[Link(self.fields[b"inv"])]

    def become(self, other):
        """Let the run be another one, under its own id: the same plan, papers and hand-out."""
        names = (b"plan", b"doc", b"inv", b"push", b"grants", b"service", b"answer", b"message:0")
        self.stack.redis.hset(KEYS.run(self.run), mapping={name: other.fields[name] for name in names})
        self.put(self.stack.redis.hget(KEYS.handed(other.run), other.pop))
        old, new = (str(Link(each.fields[b"plan"])).encode() for each in (self, other))
        for place, message in enumerate(self.stack.redis.lrange(KEYS.list("ipvm.wasm"), 0, -1)):
            self.stack.redis.lset(KEYS.list("ipvm.wasm"), place, message.replace(old, new))


def another_s_work(papers):
    """Have the job run in the name of Mallory, under what was granted to the user."""
    mallory, service = Signer.generate(), papers.fields[b"service"].decode()
    proofs = [papers.tokens[link] for link in Invocation.parse(papers.eight()).prf]
    papers.ask(invocation(mallory, service, "/ipvm/run", {"job": Link(papers.fields[b"doc"])}, proofs))


def own_grant(papers):
    """Have the job run in the name of Mallory, to whom Mallory has granted everything."""
    mallory, service = Signer.generate(), papers.fields[b"service"].decode()
    grant = delegation(mallory, mallory.did, service, "/")
    papers.ask(invocation(mallory, service, "/ipvm/run", {"job": Link(papers.fields[b"doc"])}, [grant]), grant)


FORGERIES = {
    "by the worker": (lambda p, _: p.hand_out(load_signer(p.stack.settings.worker_key)), "InvalidClaim"),
    "by a queue of Mallory's": (lambda p, _: p.hand_out(Signer.generate()), "InvalidClaim"),
    "of another job": (lambda p, _: p.hand_out(inv=ELSE), "MalformedArguments"),
    "of another push": (lambda p, _: p.hand_out(push=ELSE), "MalformedArguments"),
    "to another pop": (lambda p, _: p.hand_out(pop=ELSE), "MalformedArguments"),
    "of another Task": (lambda p, _: p.hand_out(ran=ELSE), "MalformedArguments"),
    "with bytes for a link": (
        lambda p, _: p.hand_out(inv=p.handed.out["ok"]["inv"].bytes),
        "MalformedArguments",
    ),
    "with more in it": (lambda p, _: p.hand_out(more=1), "MalformedArguments"),
    "a refusal": (lambda p, _: p.hand_out(out={"error": {"code": "refused"}}), "MalformedArguments"),
    "without an end": (lambda p, _: p.hand_out(meta={"lease": None}), "Malformed"),
    "without a plan": (lambda p, _: p.hand_out(meta={"plan": None}), "Malformed"),
    "by another plan": (lambda p, _: p.hand_out(meta={"plan": ELSE}), "InvalidClaim"),
    "another run's": (
        lambda p, other: p.put(p.stack.redis.hget(KEYS.handed(other.run), other.pop)),
        "MalformedArguments",
    ),
    "with a turned bit": (
        lambda p, _: p.put(flipped(p.stack.redis.hget(KEYS.handed(p.run), p.pop))),
        "InvalidSignature",
    ),
    "no token": (lambda p, _: p.put(b"the queue hands this out"), "InvalidSignature"),
    "8 with a turned bit": (lambda p, _: p.ask(flipped(p.eight())), "InvalidSignature"),
    "8 by Mallory": (lambda p, _: another_s_work(p), "InvalidAudience"),
    "8 and 7 by Mallory": (lambda p, _: own_grant(p), "InvalidAudience"),
    "all of another run": (lambda p, other: p.become(other), "InvalidClaim"),
}


def test_papers_that_are_not_the_run_s_begin_nothing(queue):
    """By whomever, of another run, to another pop, altered: each such run ends with the rule, logged once."""
    stack, client = queue
    honest, lost = submit(client), submit(client)
    runs = {name: submit(client) for name in FORGERIES}
    for name, (forge, _) in FORGERIES.items():
        forge(Papers.of(stack, runs[name]), Papers.of(stack, honest))
    stack.redis.delete(KEYS.handed(lost.id))
    stack.control("w", "add_consumer", "ipvm.wasm")

    for name, run in runs.items():
        stack.wait_for(lambda run=run: run.status != "running")
        assert (name, run.status, run.reason.partition(":")[0]) == (name, "cancelled", FORGERIES[name][1])
        (line,) = stack.told("w", f"run={run.id} rule=")
        assert FORGERIES[name][1] in line
        assert client.receipts.of_tasks([run["a"].task]) == [None]
        left = {key.decode().rpartition(":")[2] for key in stack.redis.scan_iter(match=f"{KEYS.run(run.id)}:*")}
        assert left <= {"handed", "events", "blocks", "deaths"}
    assert [each.wait(60).status for each in (honest, lost)] == ["ok", "ok"]
    assert stack.redis.hlen(KEYS.handed(lost.id)) == 1
    stack.wait_for(lambda: stack.redis.llen(KEYS.list("ipvm.wasm")) == 0)
