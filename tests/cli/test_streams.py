"""Pipes, closed streams and full disks: a command reads and writes what its caller gives it, or says why not."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest
from commands import BIN, PIPELINE, ROOT

from ipvm_queue.ipld import Block, Link, write_car

COUNT = ROOT / "examples" / "guests" / "count.wasm"
integration = pytest.mark.integration
on_stack = pytest.mark.usefixtures("up")
FULL = "error[usage]: cannot write standard output: No space left on device\n"


def shell(line, **streams):
    """Run a line of the shell in which `ipvm` and `ipvm-submit` are ours; return how it ended."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(["bash", "-c", line], env=os.environ | {"PATH": path}, check=False, text=True, **pipes)


def unread(*command):
    """Run a command whose standard output nobody reads; return its exit code and what it says."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([BIN / command[0], *command[1:]], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    return done.returncode, done.stderr.decode()


@integration
@on_stack
@pytest.mark.parametrize("line", [f"ipvm block put <(cat {COUNT})", f"cat {COUNT} | ipvm block put /dev/stdin"])
def test_a_pipe_is_as_good_as_a_file(line):
    """Of a block that comes through a pipe every byte is stored."""
    assert shell(line).stdout == f"{Link.of(COUNT.read_bytes())}\n"


@integration
@on_stack
def test_a_car_comes_through_a_pipe_too():
    """However few bytes of it come at first: its blocks are stored, not itself."""
    blocks = [Block.of(b"one"), Block.of(b"two")]
    car = write_car([blocks[0].cid], blocks)
    read, write = os.pipe()

    def give():
        with os.fdopen(write, "wb", buffering=0) as pipe:
            for start in range(len(car)):
                pipe.write(car[start : start + 1])

    giver = threading.Thread(target=give)
    giver.start()
    done = shell("ipvm block put /dev/stdin", stdin=read)
    os.close(read)
    giver.join()

    assert done.stdout == f"{blocks[0].cid}\n{blocks[1].cid}\n"


@pytest.mark.parametrize(
    "command", [["ipvm", "--help"], ["ipvm", "doctor"], ["ipvm", "effect", "kinds"], ["ipvm", "completion", "bash"]]
)
def test_a_reader_that_leaves_early_is_no_error(command):
    """A pipe that nobody reads any more ends a command without a word, and with no code of a run's."""
    assert unread(*command) == (141, "")


@integration
@on_stack
def test_a_result_that_nobody_reads_is_no_failure_of_the_run():
    """`ipvm-submit job.json | true` does not end as a run with an error would."""
    assert unread("ipvm-submit", PIPELINE)[0] == 141


@pytest.mark.parametrize("line", ["ipvm --help", "ipvm completion bash", "ipvm effect kinds --json"])
def test_a_full_disk_is_told(line):
    """What standard output does not take is an error in words, once."""
    done = shell(f"{line} > /dev/full")

    assert (done.returncode, done.stderr) == (2, FULL)


def test_a_full_disk_hides_no_other_error():
    """Where an error cannot even be answered in JSON, both are told in words, and the exit code is the first one's."""
    done = shell("ipvm key show missing.pem --json > /dev/full")

    assert done.returncode == 2
    assert done.stderr.startswith("error[key]: there is no key")
    assert done.stderr.endswith(FULL)


@integration
@on_stack
def test_a_result_that_cannot_be_written_is_told():
    """Whatever became of the run, the exit code says that its result is not where it was to be."""
    done = shell(f"ipvm-submit --json {PIPELINE} > /dev/full")

    assert done.returncode == 2
    assert done.stderr.endswith(FULL)


@integration
@on_stack
@pytest.mark.parametrize("errors", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_progress_that_cannot_be_written_costs_no_result(errors):
    """Standard error may be closed, full or unread: the result and the exit code are the run's."""
    done = shell(f"ipvm-submit {PIPELINE} {errors}")

    assert (done.returncode, done.stdout) == (0, 'fullName: "Boris Mann"\ncount: 10\n')


@pytest.mark.parametrize("line", ["ipvm doctor", "ipvm key list", "ipvm effect kinds --json", "ipvm --help"])
def test_standard_output_may_be_closed(line):
    """A command that nobody wants to hear from does its work in silence."""
    done = shell(f"{line} >&-")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "ipvm-submit -",
        "ipvm ucan validate",
        "ipvm ucan inspect -",
        "ipvm open -",
        "ipvm receipt verify -",
    ],
)
def test_standard_input_may_be_closed(line):
    """A command that reads a closed standard input finds nothing there, and says what it wanted."""
    shell("ipvm key new")
    done = shell(f"{line} <&-")

    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error[")
    assert "internal" not in done.stderr
