"""Pipes: a command reads what its caller gives it."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest
from commands import BIN, ROOT

from ipvm_queue.ipld import Block, Link, write_car

COUNT = ROOT / "examples" / "guests" / "count.wasm"
integration = pytest.mark.integration
on_stack = pytest.mark.usefixtures("up")


def shell(line, **streams):
    """Run a line of the shell in which `ipvm` is ours; return how it ended."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(["bash", "-c", line], env=os.environ | {"PATH": path}, check=False, text=True, **pipes)


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
