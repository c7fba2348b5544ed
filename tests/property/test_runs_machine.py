"""The scripts under any order of calls: every node settles once, and successors go exactly when they may."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from openings import opening
from stack import Stack

from ipvm_queue.ipld import DAG_CBOR, Link, decode, encode
from ipvm_queue.store import Ask, Attestation, Keys, NewRun, Record, RedisRuns, Settlement, connect

pytestmark = pytest.mark.integration

OWNERS = ("one/1", "one/2", "two/3")
LEASE = 0.03
owners = st.sampled_from(OWNERS)


def machine(broker):
    """Return the state machine on a broker."""
    keys = Keys("machine")
    runs = RedisRuns(broker, keys, lease=LEASE, receipt_lifetime=None)

    class Machine(RuleBasedStateMachine):
        """A run of some nodes, workers that do what they like with it, and what must hold all the same."""

        @initialize(
            edges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=18), count=st.integers(1, 10)
        )
        def open(self, edges, count):
            """Open a run of a random graph."""
            broker.flushall()
            self.count = count
            self.before = {node: set() for node in range(count)}
            for first, second in edges:
                if first < second < count:
                    self.before[second].add(first)
            self.targets = {node: [] for node in range(count)}
            for node, sources in self.before.items():
                for source in sorted(sources):
                    self.targets[source].append([node, len(sources), 0])
            self.held = {owner: [] for owner in OWNERS}
            self.settled = {}
            self.old = []
            self.tried = 0
            new = NewRun("run", opening(count, ready={0: [each for each in range(count) if not self.before[each]]}), 60)
            assert runs.open(new)
            assert not runs.open(new)

        def _take(self, owner, grant):
            for node, _ in grant.nodes:
                assert node not in self.settled
                assert self.before[node] <= set(self.settled), f"node {node} was released too early"
                self.held[owner].append(node)

        @rule(owner=owners, want=st.integers(1, 4), node=st.integers(0, 9))
        def begin(self, owner, want, node):
            """Take a message, of any node, as often as one likes."""
            self._take(owner, runs.begin("run", owner, "q", want, node))

        @rule(owner=owners, data=st.data())
        def enter(self, owner, data):
            """Ask for the receipts of nodes that one holds; nodes of even and odd number are the same Task."""
            nodes = list(dict.fromkeys(self.held[owner]))
            asks = [Ask(node, "work", [Link.of(b"%d" % (node % 2))]) for node in nodes]
            if asks and data.draw(st.booleans()):
                for ask, answer in zip(asks, runs.enter("run", owner, 0, asks), strict=True):
                    assert answer.verdict in ("run", "hit", "twin", "wait")
                    if answer.verdict == "wait":
                        self.held[owner].remove(ask.node)

        def _settlement(self, node, *, ahead=False):
            self.tried += 1
            receipt = encode({"n": node, "try": self.tried})
            record = Record(Link.of(receipt, DAG_CBOR), "ok", cached=False, out=encode({"ok": node}))
            tasks = [Link.of(b"%d" % (node % 2))]
            return Settlement(node, record, receipt, tasks, True, False, ahead, self.targets[node])  # noqa: FBT003

        def _settle(self, owner, settlements, want):
            receipts = [each.record.receipt for each in settlements]
            token = encode({"says": receipts})
            said = Attestation(Link.of(token, DAG_CBOR), token, receipts)
            grant = runs.settle("run", owner, 0, settlements, want=want, attestations=[said])
            for each, record in zip(settlements, runs.records("run", [s.node for s in settlements]), strict=True):
                if record is not None and record.receipt == each.record.receipt:
                    assert self.settled.setdefault(each.node, record.receipt) == record.receipt
                    assert self.before[each.node] <= set(self.settled), "settled before what it follows"
            self._take(owner, grant)

        @rule(owner=owners, want=st.integers(0, 3), data=st.data())
        def settle(self, owner, want, data):
            """Settle some of what one once held (the lease may be over), with a chain that ran ahead."""
            if not self.held[owner]:
                return
            node = data.draw(st.sampled_from(self.held[owner]))
            self.held[owner] = [each for each in self.held[owner] if each != node]
            chain = [self._settlement(node)]
            while data.draw(st.booleans()) and len(self.targets[node]) == 1 and self.targets[node][0][1] == 1:
                node = self.targets[node][0][0]
                chain.append(self._settlement(node, ahead=True))
            self.old.append((owner, chain))
            self._settle(owner, chain, want)

        @rule(data=st.data())
        def settle_again(self, data):
            """Say again what was said before, as a client does whose answer was lost."""
            if self.old:
                owner, chain = data.draw(st.sampled_from(self.old))
                self._settle(owner, chain, 0)

        @rule(owner=owners, crashed=st.booleans())
        def abandon(self, owner, crashed):
            """Die, and be told of."""
            runs.abandon("run", owner, crashed=crashed)
            self.held[owner] = []

        @rule(owner=owners)
        def renew(self, owner):
            """Keep what one holds."""
            assert runs.renew("run", owner, 0, self.held[owner], []) <= len(self.held[owner])

        @rule(owner=owners, data=st.data())
        def give_back(self, owner, data):
            """Return a node unbegun."""
            if self.held[owner]:
                node = data.draw(st.sampled_from(self.held[owner]))
                self.held[owner] = [each for each in self.held[owner] if each != node]
                runs.settle("run", owner, 0, [], back=[(node, [])])

        @rule()
        def sweep(self):
            """Let leases lapse, and repair."""
            time.sleep(LEASE * 1.2)
            broker.delete(keys.sweep)
            runs.sweep()

        @invariant()
        def nothing_is_lost(self):
            """Find what is not settled and may run in exactly one place; `left` counts what is not settled."""
            if not hasattr(self, "count"):
                return
            key = keys.run("run")
            settled = {int(node) for node in broker.hkeys(f"{key}:settled")}
            assert settled == set(self.settled)
            assert int(broker.hget(key, "left")) == self.count - len(settled)
            places = [broker.zrange(f"{key}:{part}", 0, -1) for part in ("ready:0", "leases", "waiting")]
            standing = [int(node) for place in places for node in place if int(node) not in settled]
            free = {node for node in range(self.count) if self.before[node] <= settled} - settled
            assert sorted(standing) == sorted(free)
            assert broker.hget(key, "state") == (b"running" if free else b"done")

        @invariant()
        def receipts_are_attested(self):
            """Find the token that says it for every receipt that settled, and none for one that did not."""
            if not hasattr(self, "count"):
                return
            found = {key.decode().rpartition(":")[2] for key in broker.keys(f"{keys.prefix}proxy:*")}
            assert found == {receipt.key for receipt in self.settled.values()}
            for receipt in self.settled.values():
                token = runs.attestation(receipt)
                assert receipt in decode(broker.get(keys.block(token)))["says"]

        def teardown(self):
            """Finish the run as a last worker would: it must end."""
            if not hasattr(self, "count"):
                return
            for _ in range(6 * self.count):
                if len(self.settled) == self.count:
                    break
                self.sweep()
                self.held["last"] = []
                self._take("last", runs.begin("run", "last", "q", 10, 0))
                for node in self.held["last"]:
                    self._settle("last", [self._settlement(node)], 0)
            assert len(self.settled) == self.count
            assert runs.header("run").status == "ok"

    return Machine


def test_any_order_of_calls():
    """No order of begin, enter, settle, renew, abandon, sweep and repeated calls loses or repeats a node."""
    with TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            stack.start_valkey()
            broker = connect(stack.url)
            run_state_machine_as_test(
                machine(broker),
                settings=settings(
                    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
            broker.close()
        finally:
            stack.stop()
