"""The scripts of acts under any order of calls: one effect an act at most, and none that nobody knows of.

Several jobs ask for what comes to the same Task, one of them with inputs that change.
"""

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


def link(text):
    """Return the CID of a text."""
    return Link.of(text.encode(), DAG_CBOR)


ONE, OTHER = link("one Task"), link("another")
# By job: the Tasks that its command comes to, and its addresses whatever that is; the last is what it is known by.
JOBS = {
    "plain": ([ONE], []),
    "other": ([OTHER], []),
    "promised": ([ONE], [link("promised")]),
    "changing": ([ONE, OTHER], [link("promised in this run"), link("place in the job")]),
}
WANTS = [(job, task) for job, (tasks, _) in JOBS.items() for task in tasks]
numbers = count()
owners = st.sampled_from(OWNERS)
wants = st.sampled_from(WANTS)


def wanted(run, job, task):
    """Return what a job of a run asks for."""
    places = JOBS[job][1]
    return Wanted([task, *places][-1].key, run, 0, 0, task, places, "about", "label", "zone")


def machine(broker):
    """Return the state machine on a broker."""
    keys = Keys("machine")
    guard = RedisActs(broker, keys, lease=LEASE, receipt_lifetime=None)
    runs = RedisRuns(broker, keys, lease=60.0, receipt_lifetime=None)

    class Machine(RuleBasedStateMachine):
        """Acts on one resource, runs of several jobs that ask for them, and holders that may stop anywhere."""

        @initialize()
        def start(self):
            """Begin with nothing."""
            broker.flushall()
            self.effects = {}  # act -> (job, Task) that it was done for
            self.receipts = {}
            self.steps = {}  # (owner, act, fence) -> how far its holder has come
            self.held = {}  # (owner, act, fence) -> (job, Task) that it was claimed for
            self.told = {}  # job -> the receipt that it was given
            self.asked = set()
            self.waiting = set()
            self.freed = set()  # the acts of which another than their holder has said that they had not happened

        def _lease(self, owner):
            """Open a run whose one node is leased to an owner, as a redelivery or a second submission does."""
            run = f"{next(numbers):016x}"
            runs.open(NewRun(run, opening(), 60))
            runs.begin(run, owner, "q", 1, 0)
            return run

        @rule(owner=owners, want=wants)
        def claim(self, owner, want):
            """Ask for an act."""
            job, task = want
            run = self._lease(owner)
            claim = guard.claim(wanted(run, *want), owner)
            self.asked.add(want)
            if claim.verdict == "run":
                assert job not in self.told
                for act, (doer, done) in self.effects.items():
                    assert act != claim.act, "what may have been done was claimed"
                    assert job != doer, "a job's command was claimed again"
                    assert task != done, "a Task was claimed again"
                assert claim.judged == (claim.act in self.freed)
                holder = (owner, claim.act, claim.fence)
                assert all(fence != claim.fence for _, _, fence in self.steps)
                self.steps[holder], self.held[holder] = "claimed", want
            elif claim.verdict == "done":
                (act,) = (act for act, receipt in self.receipts.items() if receipt == (claim.receipt, claim.envelope))
                doer, done = self.effects[act]
                assert done == task or doer == job, "the receipt of another's Task"
                assert self.told.setdefault(job, claim.receipt) == claim.receipt
            elif claim.verdict == "wait":
                self.waiting.add(run)
                assert broker.zscore(f"{keys.run(run)}:waiting", "0") is not None
            elif claim.verdict == "doubt":
                assert run in guard.get(claim.act).runs
            else:
                assert claim.verdict == "apart"
                assert self.asked >= {("changing", ONE), ("changing", OTHER)}

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
                job, task = self.held[holder]
                assert holder[1] not in self.effects, "done twice"
                assert all(job != doer and task != done for doer, done in self.effects.values()), "done as another act"
                self.effects[holder[1]] = (job, task)
                self.steps[holder] = "acted"

        @rule(data=st.data())
        def done(self, data):
            """Say that it is done, perhaps again, perhaps with a receipt of another hand."""
            if holder := self._holder(data, "acted"):
                _, act, fence = holder
                envelope = b"receipt %d" % next(numbers)
                receipt = (Link.of(envelope, DAG_CBOR), envelope)
                counts = guard.done(act, fence, receipt, wanted("", *self.held[holder]).tasks)
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
            for act in guard.all():
                broker.hset(keys.act(act.id), "until", 0)
            broker.delete(*(broker.keys(f"{keys.prefix}lock:*") or ["none"]))

        @rule(want=wants)
        def judge(self, want):
            """Say what became of a doubt, when nobody is about to act: by a handler that asks, or by an operator.

            It is looked at by whoever asks for the act.
            """
            self.claim(OWNERS[0], want)
            found = guard.find(want[1])
            if found is None:
                return
            act = found.id
            if act in self.effects:
                envelope = b"judged %d" % next(numbers)
                receipt = (Link.of(envelope, DAG_CBOR), envelope)
                counts = guard.done(act, found.fence, receipt, [found.task], judged=True)
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
            states = {act.id: act.state for act in guard.all()}
            doubts = {each.decode() for each in broker.zrange(keys.doubts, 0, -1)}
            assert doubts == {act for act, state in states.items() if state == "in-doubt"}
            assert self.effects.keys() <= states.keys()
            for act, state in states.items():
                assert act not in self.effects or state in ("intended", "in-doubt", "done")
                assert (state == "done") == (act in self.receipts)
                assert broker.ttl(keys.act(act)) == -1, "a guard record would expire"

        @invariant()
        def one_act_at_a_time_touches_the_resource(self):
            """Find at most one act under a live lease."""
            now = broker.time()
            millis = now[0] * 1000 + now[1] // 1000
            live = [
                act.id
                for act in guard.all()
                if act.state in ("claimed", "intended") and int(broker.hget(keys.act(act.id), "until")) > millis + 5
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
