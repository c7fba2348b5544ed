"""What `celery -A workers.wasm worker` makes of its options, and where it refuses to start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from modules import numbers, salt
from stack import ROOT

from ipvm_queue.ipld import Link

pytestmark = pytest.mark.integration

CONFIGURATION = 78  # EX_CONFIG of sysexits.h


def start(stack, *options, **environment):
    """Start a worker and return how it ended; it has half a minute to refuse."""
    command = [sys.executable, "-m", "celery", "-A", "workers.wasm", "worker", "-n", "refused@tests", *options]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=stack.environment() | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_pools_that_share_a_process_are_refused(idle):
    """A pool of threads ends the worker with the reason, before it has taken a message."""
    ended = start(idle, "-P", "threads")

    assert ended.returncode == CONFIGURATION
    assert "wasmtime" in ended.stderr
    assert "prefork" in ended.stderr
    assert not idle.redis.hexists("{ipvm:tests}:workers", "refused@tests")


@pytest.mark.parametrize("setting", ["IPVM_WORKER_KEY", "IPVM_CACHE_DIR"])
def test_a_worker_that_could_run_nothing_does_not_start(idle, tmp_path, setting):
    """Without a key to sign with, or a place for compiled modules, a worker ends with the reason."""
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "below")

    ended = start(idle, "-P", "solo", **{setting: place})

    assert ended.returncode == CONFIGURATION
    assert setting in ended.stderr
    assert "below" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not idle.redis.hexists("{ipvm:tests}:workers", "refused@tests")


def test_celerys_own_options_work(idle):
    """Workers with --autoscale and -Q consume what they are told to."""
    idle.start_worker("scaled", "-P", "prefork", "--autoscale", "2,1", "-Q", "ipvm.wasm")
    with idle.client() as client:
        client.blocks.put(numbers())
        job = {"type": "wasm/1.0", "with": Link.of(numbers()), "func": "add"}
        base = salt()

        done = client.submit({f"t{i}": job | {"input": [base, i]} for i in range(50)}).wait(60)

        assert done.status == "ok"
        assert [worker.queues for worker in client.workers()] == [["ipvm.wasm"]]
