"""One Valkey, one worker and one client for all tests that need them; nothing of the user's own is read."""

from __future__ import annotations

import os

import pytest
from gates import HOUR, Parties
from modules import numbers, values
from sink import Sink
from stack import Stack
from web import Web


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory):
    """Keep the user's settings, keys and caches out of the tests, and the tests' out of theirs."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("IPVM_")]:
            patch.delenv(name)
        for name in ("CONFIG", "DATA", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.fixture(scope="session")
def stack(_own_home, tmp_path_factory):
    """Return the session's queue: a Valkey and a worker of two processes."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "2")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def client(stack):
    """Return the session's client."""
    with stack.client() as client:
        yield client


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue with a worker that takes everything, on a broker that keeps what it promises."""
    stack = Stack(tmp_path_factory.mktemp("world"), aof=True)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "2", program="ipvm_queue.worker")
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def sink():
    """Return a witness."""
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def web():
    """Return a server."""
    server = Web()
    yield server
    server.stop()


@pytest.fixture
def idle(tmp_path):
    """Return a queue of the test's own: a Valkey, and no worker until the test starts one."""
    stack = Stack(tmp_path / "idle", lease=1.0)
    try:
        stack.start_valkey()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    """Return those who stand before a module's own gate, with a worker that has popped for an hour behind it."""
    stack = Stack(tmp_path_factory.mktemp("gate"), pop_lease=float(HOUR))
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "solo")
        yield Parties(stack)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def numbers_cid(client):
    """Return the CID of the module of numbers, stored."""
    return client.blocks.put(numbers())


@pytest.fixture(scope="session")
def values_cid(client):
    """Return the CID of the module of values, stored."""
    return client.blocks.put(values())


@pytest.fixture
def add(numbers_cid):
    """Return a function that makes a job of `add`."""
    return lambda left, right, **more: _job(numbers_cid, "add", [left, right], more)


@pytest.fixture
def numeric(numbers_cid):
    """Return a function that makes a job of any function on numbers."""
    return lambda func, *args, **more: _job(numbers_cid, func, list(args), more)


@pytest.fixture
def valued(values_cid):
    """Return a function that makes a job of any function on values."""
    return lambda func, *args, **more: _job(values_cid, func, list(args), more)


def _job(module, func, args, more):
    return {"type": "wasm/1.0", "with": module, "func": func, "input": args, **more}
