"""What a run was asked for with, as the store keeps it: the tokens, and the hand-outs to those who work on it."""

from __future__ import annotations

import pytest
from openings import opening

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Keys, NewRun, Papers, RedisBlocks, RedisRuns, Revocations, connect

pytestmark = pytest.mark.integration

PLAN, JOB, PUSH, POP, LATER = (Link.of(name.encode(), DAG_CBOR) for name in ("plan", "job", "push", "pop", "later"))
TOKENS, HANDOUT = b"all tokens", b"a hand-out"


@pytest.fixture
def runs(stack):
    """Return the runs of a queue of the test's own."""
    redis = connect(stack.url)
    yield RedisRuns(redis, Keys("papers"), lease=1.0, receipt_lifetime=None)
    redis.delete(*redis.keys("{ipvm:papers}:*"))
    redis.close()


def test_a_run_s_papers_come_with_its_first_nodes(runs, stack):
    """Who begins and says under which pop gets the tokens and the hand-out in the same answer."""
    grants = Link.of(TOKENS)
    stack.redis.set(Keys("papers").block(grants), TOKENS)
    gated = {"invocation": JOB, "push": PUSH, "service": "did:key:s", "grants": grants, "handed": {POP: HANDOUT}}
    runs.open(NewRun("run", opening(**gated), 60))

    assert runs.begin("run", "me", "q", 0, 0, pop=POP).papers == Papers(JOB, PUSH, TOKENS, HANDOUT)
    assert runs.begin("run", "me", "q", 0, 0, pop=LATER).papers == Papers(JOB, PUSH, TOKENS, b"")
    assert runs.begin("run", "me", "q", 1, 0).nodes == [(0, 0)]
    assert stack.redis.get(Keys("papers").block(Link.of(HANDOUT, DAG_CBOR))) == HANDOUT
    header = runs.header("run")
    assert (header.invocation, header.push, header.service, header.grants) == (JOB, PUSH, "did:key:s", grants)


def test_a_run_is_handed_once_to_each_pop(runs):
    """The first answer to a pop stays."""
    runs.open(NewRun("run", opening(), 60))
    assert runs.handed("run", POP) is None

    runs.hand("run", POP, HANDOUT)
    runs.hand("run", POP, b"another")

    assert runs.handed("run", POP) == HANDOUT


def test_a_run_without_papers_has_none(runs):
    """A run that nobody asked for with tokens answers like any other."""
    runs.open(NewRun("run", opening(), 60))

    grant = runs.begin("run", "me", "q", 1, 0, pop=POP)

    assert (grant.papers, grant.nodes, grant.revoked) == (None, [(0, 0)], b"")


def test_every_answer_says_whether_more_has_been_revoked(runs, stack):
    """A worker learns it from what it asks anyway: also where as much has been forgotten at the same time."""
    runs.open(NewRun("run", opening(), 60))
    revocations = Revocations(connect(stack.url), Keys("papers"))
    said = [runs.begin("run", "me", "q", 0, 0).revoked]
    for link in (JOB, PUSH):
        revocations.add(link, 1000)
        said.append(runs.begin("run", "me", "q", 0, 0).revoked)
        revocations.forget(2000)
        assert runs.settle("run", "me", 0, []).revoked == said[-1]

    assert said[0] == b""
    assert len(set(said)) == 3


def test_a_plan_comes_with_the_first_nodes(runs):
    """Whoever has not got it names it and gets its root block in the same answer; nobody else does."""
    plan = Link.of(b"a root", DAG_CBOR)
    runs.open(NewRun("run", opening(2, plan=plan), 60, {plan: b"a root"}))

    assert runs.begin("run", "me", "q", 1, 0, plan=plan)[2:] == ([(0, 0)], b"", None, 0, b"a root")
    assert runs.begin("run", "me", "q", 1, 1).plan == b""


def test_a_message_by_another_queue_leases_nothing(runs):
    """Nodes are leased to whoever consumes the queue that they are on, whatever a message names."""
    runs.open(NewRun("run", opening(messages={"q": "m", "r": "m"}, ready={1: [0]}), 60))

    assert runs.begin("run", "me", "q", 1, 0).nodes == []
    assert runs.begin("run", "me", "elsewhere", 1, 0).nodes == []
    grant = runs.begin("run", "me", "r", 1, 0)
    assert (grant.nodes, grant.queue) == ([(0, 0)], 1)


@pytest.mark.parametrize(("nodes", "size"), [(3, 10), (3, 2 << 20), (3000, 10)])
def test_a_run_has_all_that_it_starts_from(runs, stack, nodes, size):
    """Small or large, what is ready when it is opened is ready, its blocks are there, and nothing is left staged."""
    plan, brought = Link.of(b"a root", DAG_CBOR), Link.of(bytes(size))
    puts = RedisBlocks(stack.redis, Keys("papers"), 60).puts({brought: bytes(size)})
    runs.open(NewRun("run", opening(nodes, plan=plan, handed={POP: HANDOUT}), 60, {plan: b"a root"}, puts))

    stored = [Keys("papers").block(each) for each in (plan, brought, Link.of(HANDOUT, DAG_CBOR))]
    assert stack.redis.mget(stored) == [b"a root", bytes(size), HANDOUT]
    assert [stack.redis.ttl(each) > 0 for each in stored] == [False, True, False]
    key = Keys("papers").run("run")
    assert stack.redis.zrange(f"{key}:ready:0", 0, -1) == [str(node).encode() for node in range(nodes)]
    assert (stack.redis.ttl(f"{key}:ready:0"), stack.redis.smembers(f"{key}:blocks")) == (-1, {plan.key.encode()})
    assert runs.handed("run", POP) == HANDOUT
    assert stack.redis.keys(f"{key}:new:*") == []
