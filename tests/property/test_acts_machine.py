"""The scripts of acts under any order of calls: one effect an act at most, and none that nobody knows of."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from openings import opening
from stack import Stack

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.store import Keys, NewRun, RedisActs, RedisRuns, Wanted, connect

pytestmark = pytest.mark.integration

OWNERS = ("one/1", "two/2", "three/3")
LEASE = 60.0  # it lapses when a rule says so
TASK = Link.of(b"task", DAG_CBOR)
ACTS = ("a", "b")
numbers = count()
owners = st.sampled_from(OWNERS)
acts = st.sampled_from(ACTS)


def machine(broker):
    """Return the state machine on a broker."""
    keys = Keys("machine")
    guard = RedisActs(broker, keys, lease=LEASE, receipt_lifetime=None)
    runs = RedisRuns(broker, keys, lease=60.0, receipt_lifetime=None)

    class Machine(RuleBasedStateMachine):
        """Two acts on one resource, runs that ask for them, and holders that may stop anywhere."""

        @initialize()
        def start(self):
            """Begin with nothing."""
            broker.flushall()
            self.effects = {act: [] for act in ACTS}  # the fences under which each was done
            self.receipts = {}
            self.steps = {}  # (owner, act, fence) -> how far its holder has come
            self.waiting = set()
            self.freed = set()  # the acts of which another than their holder has said that they had not happened

        def _lease(self, owner):
            """Open a run whose one node is leased to an owner, as a redelivery or a second submission does."""
            run = f"{next(numbers):016x}"
            runs.open(NewRun(run, opening(), 60))
            runs.begin(run, owner, "q", 1, 0)
            return run

        @rule(owner=owners, act=acts)
        def claim(self, owner, act):
            """Ask for an act."""
            run = self._lease(owner)
            claim = guard.claim(Wanted(act, run, 0, 0, [TASK], "about", "label", "zone"), owner)
            if claim.verdict == "run":
                assert act not in self.receipts
                assert not self.effects[act], "what may have been done was claimed"
                assert claim.judged == (act in self.freed)
                assert all(fence != claim.fence for _, _, fence in self.steps)
                self.steps[owner, act, claim.fence] = "claimed"
            elif claim.verdict == "done":
                assert (claim.receipt, claim.envelope) == self.receipts[act]
            elif claim.verdict == "wait":
                self.waiting.add(run)
                assert broker.zscore(f"{keys.run(run)}:waiting", "0") is not None
            else:
                assert claim.verdict == "doubt"
                assert run in guard.get(act).runs

        def _holder(self, data, *stages):
            found = sorted(holder for holder, stage in self.steps.items() if stage in stages)
            return found[data.draw(st.integers(0, len(found) - 1))] if found else None

        @rule(data=st.data())
        def intend(self, data):
            """Make the intent durable, perhaps late."""
            if holder := self._holder(data, "claimed", "intended"):
                _, act, fence = holder
                self.steps[holder] = "intended" if guard.intend(act, fence, b"digest") else "lost"

        @rule(data=st.data())
        def effect(self, data):
            """Do it, whatever has happened since: a holder may have been asleep."""
            if holder := self._holder(data, "intended"):
                _, act, fence = holder
                self.effects[act].append(fence)
                self.steps[holder] = "acted"
                assert len(self.effects[act]) == 1, "done twice"

        @rule(data=st.data())
        def done(self, data):
            """Say that it is done, perhaps again, perhaps with a receipt of another hand."""
            if holder := self._holder(data, "acted"):
                _, act, fence = holder
                envelope = b"receipt %d" % next(numbers)
                receipt = (Link.of(envelope, DAG_CBOR), envelope)
                counts = guard.done(act, fence, receipt, [TASK])
                assert counts is not None, "the newest fence was refused"
                assert self.receipts.setdefault(act, counts) == counts

        @rule(data=st.data())
        def retreat(self, data):
            """Say that it was not done, from before the effect."""
            if holder := self._holder(data, "claimed", "intended", "lost"):
                _, act, fence = holder
                guard.not_done(act, fence, "did not begin")
                self.steps[holder] = "over"

        @rule(data=st.data())
        def doubt(self, data):
            """Say that one does not know."""
            if holder := self._holder(data, "acted"):
                _, act, fence = holder
                guard.doubt(act, fence, "the answer was lost", "run")

        @rule(data=st.data())
        def renew(self, data):
            """Keep a claim, if it is still one's own."""
            if holder := self._holder(data, "claimed", "intended", "acted"):
                _, act, fence = holder
                if guard.renew(act, fence):
                    assert guard.get(act).fence == fence

        @rule(data=st.data(), at_once=st.booleans())
        def die(self, data, at_once):
            """Say nothing any more; the lease lapses sooner or later."""
            if holder := self._holder(data, "claimed", "intended", "acted"):
                self.steps[holder] = "over"
                if at_once:
                    self.lapse()

        @rule()
        def lapse(self):
            """Let every lease lapse, as if its time were over."""
            for act in ACTS:
                if broker.hexists(keys.act(act), "until"):
                    broker.hset(keys.act(act), "until", 0)
            broker.delete(*(broker.keys(f"{keys.prefix}lock:*") or ["none"]))

        @rule(act=acts)
        def judge(self, act):
            """Say what became of a doubt, when nobody is about to act: by a handler that asks, or by an operator.

            It is looked at by whoever asks for the act.
            """
            self.claim(OWNERS[0], act)
            found = guard.get(act)
            if found is None:
                return
            if self.effects[act]:
                envelope = b"judged %d" % next(numbers)
                receipt = (Link.of(envelope, DAG_CBOR), envelope)
                counts = guard.done(act, found.fence, receipt, [TASK], judged=True)
                assert (counts is not None) == (found.state in ("in-doubt", "done"))
                if counts is not None:
                    assert self.receipts.setdefault(act, counts) == counts
            elif not any(key[1:] == (act, found.fence) and stage == "intended" for key, stage in self.steps.items()):
                freed = guard.not_done(act, found.fence, "nobody did", judged=True)
                assert freed == (found.state == "in-doubt")
                self.freed |= {act} if freed else set()

        @invariant()
        def the_server_knows_or_doubts(self):
            """Find every effect in the state of its act, and every receipt where it was put."""
            for act in ACTS if hasattr(self, "effects") else ():
                found = guard.get(act)
                state = None if found is None else found.state
                assert not self.effects[act] or state in ("intended", "in-doubt", "done")
                assert (state == "done") == (act in self.receipts)
                doubts = {each.decode() for each in broker.zrange(keys.doubts, 0, -1)}
                assert (act in doubts) == (state == "in-doubt")
                assert broker.ttl(keys.act(act)) in (-1, -2), "a guard record would expire"

        @invariant()
        def one_act_at_a_time_touches_the_resource(self):
            """Find at most one act under a live lease."""
            held = [guard.get(act) for act in ACTS] if hasattr(self, "effects") else []
            now = broker.time()
            millis = now[0] * 1000 + now[1] // 1000
            live = [
                act.id
                for act in held
                if act is not None
                and act.state in ("claimed", "intended")
                and int(broker.hget(keys.act(act.id), "until")) > millis + 5
            ]
            assert len(live) <= 1

    return Machine


def test_any_order_of_calls():
    """No order of claims, intents, effects, outcomes, lapses, deaths and judgements does an act twice or loses one."""
    with TemporaryDirectory() as directory:
        stack = Stack(Path(directory), queue="machine", aof=True)
        broker = connect(stack.url)
        try:
            stack.start_valkey()
            run_state_machine_as_test(
                machine(broker),
                settings=settings(
                    max_examples=150,
                    stateful_step_count=40,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            broker.close()
            stack.stop()
