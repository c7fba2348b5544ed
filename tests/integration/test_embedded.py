"""The embedded stack: it starts once, keeps its data, and leaves nothing running whatever ends its holders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from processes import processes, state_of, wait_until_gone

from ipvm_queue.embedded import Embedded
from ipvm_queue.embedded.group import bound
from ipvm_queue.embedded.local import STACK, connect
from ipvm_queue.errors import UnavailableError, UsageError
from ipvm_queue.settings import Settings

pytestmark = pytest.mark.integration

HOLDER = """
import sys
from pathlib import Path
from ipvm_queue.embedded import Embedded
from ipvm_queue.settings import Settings
with Embedded.join(Settings(data_dir=Path(sys.argv[1])), workers=False) as stack:
    print(stack.broker_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path):
    """Return settings whose data directory is empty, and longer than a socket's name may be."""
    return Settings(data_dir=tmp_path / ("long" * 25))


@pytest.fixture
def holder(settings):
    """Return a function that starts another process which holds the stack, and gives it with the broker's address."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(settings.data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def client(url):
    """Return a connection to Valkey that leaves nothing open behind it."""
    return redis.Redis.from_url(url, single_connection_client=True, decode_responses=True)


def supervisor_of(pids):
    """Return the pid of the supervisor among these."""
    return next(pid for pid in pids if b"ipvm_queue.embedded.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes())


def valkey_of(pids):
    """Return the pid of Valkey among these."""
    return next(pid for pid in pids if b"valkey-server" in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_stack_stops_with_its_block_and_keeps_its_data(settings):
    """Leaving the block stops every process, and the next stack finds what the last one held."""
    with Embedded.join(settings, workers=False) as stack:
        with client(stack.broker_url) as valkey:
            valkey.set("kept", "yes")
        pids = processes(stack.directory)
        assert len(pids) == 3
        supervisor = supervisor_of(pids)
    assert all(state_of(pid) == "Z" for pid in pids - {supervisor})
    wait_until_gone({supervisor})  # it closes our connection in its last moment, and is gone in the next

    with Embedded.join(settings, workers=False) as stack, client(stack.broker_url) as valkey:
        assert valkey.get("kept") == "yes"
        assert valkey.config_get("appendonly") == {"appendonly": "yes"}


def test_two_holders_share_one_stack(settings, holder):
    """A second command joins the running stack, which stays for it when the first one leaves."""
    with Embedded.join(settings, workers=False) as stack:
        _process, url = holder()
        assert url == stack.broker_url
        pids = processes(stack.directory)
    assert processes(settings.data_dir) == pids

    with client(url) as valkey:
        assert valkey.ping()


def test_commands_that_start_at_the_same_moment_share_one_stack(settings):
    """A race of starters ends with one stack that all of them hold."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(settings.data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    urls = {child.stdout.readline().strip() for child in children}
    pids = processes(settings.data_dir)
    for child in children:
        child.communicate("")

    assert len(urls) == 1
    assert len(pids) == 3
    wait_until_gone(pids)


def test_a_killed_holder_takes_the_stack_with_it(settings, holder):
    """A kill -9 of the only command that holds a stack stops all of it."""
    process, _url = holder()
    pids = processes(settings.data_dir)
    assert len(pids) == 3

    process.kill()

    wait_until_gone(pids)


def test_a_killed_supervisor_takes_the_stack_with_it_and_the_next_one_starts(settings, holder):
    """A kill -9 of the supervisor leaves nothing, and a new stack starts over its stale socket, with the data."""
    _process, url = holder()
    with client(url) as valkey:
        valkey.set("kept", "yes")
    pids = processes(settings.data_dir)

    os.kill(supervisor_of(pids), signal.SIGKILL)

    wait_until_gone(pids)
    with Embedded.join(settings, workers=False) as stack, client(stack.broker_url) as valkey:
        assert valkey.get("kept") == "yes"


def test_a_killed_guard_leaves_nothing_behind(settings, holder):
    """A kill -9 of every process of the stack but Valkey's own ends Valkey too."""
    process, _url = holder()
    pids = processes(settings.data_dir)
    for pid in pids - {valkey_of(pids), supervisor_of(pids)}:
        os.kill(pid, signal.SIGKILL)
    process.kill()

    wait_until_gone(pids)


def test_nobody_gets_in_without_the_password(settings):
    """Valkey listens on the loopback alone, answers no one without its password, and its directory is the user's."""
    with Embedded.join(settings, workers=False) as stack:
        parts = urlsplit(stack.broker_url)
        with pytest.raises(redis.AuthenticationError):
            client(f"redis://127.0.0.1:{parts.port}/0")
        listening = Path("/proc/net/tcp").read_text().split()

        assert f"0100007F:{parts.port:04X}" in listening
        assert f"00000000:{parts.port:04X}" not in listening
        assert stack.directory.stat().st_mode & 0o077 == 0
        assert (stack.directory / "valkey.conf").stat().st_mode & 0o077 == 0


def test_a_restarted_valkey_has_the_same_address(settings):
    """A Valkey that dies after a while is started again where its clients look for it."""
    with Embedded.join(settings, workers=False) as stack:
        time.sleep(2.1)  # one that dies sooner is a fault of the set-up, and ends the stack
        valkey = next(
            p for p in processes(stack.directory) if b"valkey-server" in Path(f"/proc/{p}/cmdline").read_bytes()
        )
        os.kill(valkey, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with client(stack.broker_url) as again:
                    assert again.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_data_that_valkey_cannot_read_is_an_error_with_its_words(settings):
    """A stack that cannot start says why and where the logs are, and leaves nothing running."""
    with Embedded.join(settings, workers=False) as stack:
        directory = stack.directory
    for file in (directory / "appendonlydir").glob("*.base.rdb"):
        file.write_bytes(b"not a dump")

    with pytest.raises(UnavailableError, match="Valkey did not start") as caught:
        Embedded.join(settings, workers=False)
    assert str(directory / "logs") in caught.value.hint
    wait_until_gone(processes(settings.data_dir))


def test_a_directory_that_cannot_be_used_is_an_error(tmp_path):
    """A data directory under a file is a usage error that says what to set."""
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot use") as caught:
        Embedded.join(Settings(data_dir=tmp_path / "file"), workers=False)
    assert "data_dir" in caught.value.hint


def test_logs_are_bounded(tmp_path):
    """A long log is moved aside in place, so that a program which appends to it goes on at the start."""
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old" * 100)
        bound(log, 200)
        writer.write(b"new")

    assert log.read_bytes() == b"new"
    assert (tmp_path / "x.log.1").read_bytes() == b"old" * 100


def test_words_that_are_no_request_end_the_connection_only(settings):
    """A holder that talks nonsense is let go, and the stack stays for the others."""
    with Embedded.join(settings, workers=False) as stack:
        for words in (b"nonsense\n", b"[]\n", b'{"workers": 1}\n', b"[" * 4000):
            with connect(stack.directory, STACK) as stranger:
                stranger.settimeout(10)
                stranger.sendall(words)
                assert stranger.recv(100) == b""
        with client(stack.broker_url) as valkey:
            assert valkey.ping()
