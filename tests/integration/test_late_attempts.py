"""An attempt that was given up and arrives all the same: the act has happened once, and its receipt says so."""

from __future__ import annotations

from threading import Event

import pytest
from stack import Stack
from witnesses import Witnesses

pytestmark = pytest.mark.integration


class Traffic:
    """What the first change meets at its server: its connection is cut, and it is judged after the second has come."""

    def __init__(self):
        self.cut = lambda: None
        self.second, self.done = Event(), Event()
        self.count = 0

    def before(self, _key):
        """Hold the first back until there is a second, and let it go first."""
        self.count += 1
        if self.count == 1:
            self.cut()
            self.second.wait(60)
        else:
            self.second.set()
            self.done.wait(60)

    def after(self, _key):
        """Say that one has been made."""
        self.done.set()


@pytest.fixture
def traffic():
    """Return what happens at the server."""
    return Traffic()


@pytest.fixture
def world(tmp_path, traffic):
    """Return a queue whose worker may change the witness's zone, and the witnesses."""
    witnesses = Witnesses(traffic.before, traffic.after)
    traffic.cut = witnesses.proxies["dns"].cut
    config = tmp_path / "effects.toml"
    config.write_text(witnesses.config())
    stack = Stack(tmp_path / "stack", aof=True, effects_config=config)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "1", program="ipvm_queue.worker")
        yield stack, witnesses
    finally:
        stack.stop()
        witnesses.close()


def test_a_refusal_that_an_earlier_attempt_has_brought_about_is_read_back(world, traffic):
    """A change that was held back, judged undone and made again: the server refuses the second, for the first came."""
    stack, witnesses = world
    with stack.client() as client:
        uri = "dns:late.storm.test?TYPE=TXT"
        run = client.submit({"a": {"type": "ipvm/effect", "with": uri, "do": "crud/create", "value": "x"}}).wait(60)

        assert (run.status, run["a"].ok["records"]) == ("ok", ['"x"'])
        assert run["a"].meta["reconciled"]
    assert traffic.count == 2
    assert witnesses.count("late") == 1
