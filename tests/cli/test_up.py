"""`ipvm up`: a stack that stays, and what it says of itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
from commands import BIN, PIPELINE
from processes import processes, wait_until_gone

integration = pytest.mark.integration


@integration
def test_a_stack_stays_until_it_is_interrupted(begin, home):
    """`ipvm up` prints where things are, lets other commands join, shows Flower, and stops it all on Ctrl-C."""
    up = begin("ipvm", "up", "--json")
    told = json.loads(up.stdout.readline())
    pids = processes(home)
    submitted = subprocess.run([BIN / "ipvm-submit", PIPELINE], capture_output=True, text=True, check=True)
    assert submitted.stdout.endswith("count: 10\n")
    assert pids <= processes(home)
    if told["flower"]:
        page = _wait_for_page(told["flower"])
        assert "Flower" in page

    up.send_signal(signal.SIGINT)
    up.communicate(timeout=30)

    assert up.returncode == 0
    wait_until_gone(pids)
    assert processes(home) == set()


def test_a_port_that_is_taken_is_not_announced(call, home):
    """`ipvm up --port N` where somebody listens on N already starts nothing, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = call("ipvm", "up", "--flower", "--port", port)

    assert (answer.code, answer.out) == (2, "")
    assert f"Flower cannot have the port {port}: Address already in use" in answer.err
    assert processes(home) == set()


@integration
def test_a_stack_that_others_do_not_find_says_how_to_submit(begin, monkeypatch):
    """Where another broker is set, the command that `ipvm up` names finds the stack all the same."""
    monkeypatch.setenv("IPVM_BROKER_URL", "redis://127.0.0.1:1/0")
    up = begin("ipvm", "up", "--no-flower")
    told = [up.stderr.readline() for _ in range(4)]

    (command,) = [line.removeprefix("submit with: ").split() for line in told if line.startswith("submit with: ")]
    submitted = subprocess.run(
        [BIN / command[0], *command[1:-1], PIPELINE], capture_output=True, text=True, check=False
    )
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=30)

    assert not any("by itself" in line for line in told)
    assert submitted.stdout.endswith("count: 10\n")


@integration
def test_a_killed_up_leaves_nothing_running(begin, home):
    """Kill -9 of `ipvm up` ends Valkey, the workers and Flower."""
    up = begin("ipvm", "up", "--json")
    told = json.loads(up.stdout.readline())
    if told["flower"]:
        _wait_for_page(told["flower"])
    pids = processes(home)

    up.kill()
    up.communicate()

    wait_until_gone(pids)
    if told["flower"]:
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(told["flower"], timeout=5)  # noqa: S310 - our own address


def _wait_for_page(address):
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own address
                return answer.read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
