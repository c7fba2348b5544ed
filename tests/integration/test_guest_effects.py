"""WASI commands and containers as tasks of jobs: promises in, receipts out, in real workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from container_images import image
from stack import Stack
from wasi_guests import wasi

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import Link

EFFECT = "ipvm/effect"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a queue whose worker grants a directory, and has the stand-in of tests/ for a container engine."""
    root = tmp_path_factory.mktemp("guests")
    shared, programs = root / "shared", root / "bin"
    shared.mkdir()
    programs.mkdir()
    script = programs / "podman"
    stand_in = Path(__file__).parents[1] / "stand_in_engine.py"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{stand_in}" "$@"\n')
    script.chmod(0o755)
    config = root / "effects.toml"
    config.write_text(f'[wasi.directories.shared]\npath = "{shared}"\nwritable = true\n')
    stack = Stack(root / "stack", aof=True, effects_config=config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(programs), prepend=":")
        try:
            stack.start_valkey()
            stack.start_worker("w", "-P", "prefork", "-c", "2", program="ipvm_queue.worker")
            yield stack, shared
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def client(world):
    """Return a client of that queue."""
    with world[0].client() as client:
        yield client


def guest(client, name, ability="wasi/query", **inputs):
    """Return a task that runs a guest."""
    return {"type": EFFECT, "with": f"ipfs://{client.blocks.put(wasi(name))}", "do": ability, "inputs": inputs}


def test_what_one_guest_says_another_reads(client):
    """Output and files go on by promises; receipts say what ran."""
    run = client.submit(
        {
            "a": guest(client, "cat", stdin="a line"),
            "b": guest(client, "write", stdin={"from": "a"}, outputs=["out.txt"]),
            "c": guest(client, "reread", files={"from": "b"}),
        }
    ).wait(60)

    assert run.status == "ok", run["b"].out
    assert run["a"].ok["stdout"] == "a line"
    assert run["a"].meta["effect"] == "ipfs wasi/query"
    assert isinstance(run["a"].meta["evidence"]["module"], Link)
    assert run["b"].ok["files"]["out.txt"] == Link.of(b"a line")
    assert run["c"].ok["stdout"] == "a line"


def test_a_guest_that_fails_is_a_receipt_and_not_a_crash(client):
    """Its exit code, its last words, whose fault it is."""
    run = client.submit({"a": guest(client, "seven")}).wait(60)

    assert run.status == "error"
    assert run["a"].error["code"] == "wasi/exit"
    assert run["a"].error["exit"] == 7


def test_a_command_writes_once_to_the_operators_directory(client, world):
    """It is guarded like every act."""
    run = client.submit({"a": guest(client, "write", "wasi/run", stdin="x", directories={"/d": "shared"})}).wait(60)

    assert run.status == "ok"
    assert (world[1] / "out.txt").read_text() == "x"


def test_what_no_guest_takes_is_refused_at_submission(client):
    """Unknown inputs and paths outside: before anything is pushed."""
    for inputs in ({"sockets": True}, {"files": {"../x": ""}}):
        with pytest.raises(DocumentError):
            client.submit({"a": guest(client, "cat", **inputs)})


def test_the_example_of_the_specification_runs(client):
    """A container by CID, with promises in its arguments (effects 4.3); the engine is the stand-in."""
    uri = f"docker:1:{client.blocks.put(image())}"
    run = client.submit(
        {
            "other": guest(client, "cat", stdin="some other action"),
            "a": {
                "type": EFFECT,
                "with": uri,
                "do": "executable/run",
                "inputs": {
                    "func": "-c",
                    "args": ['printf "%s|" "$@" "$FOO"', "sh", 1, "hello world", {"c": {"from": "other"}}],
                    "container": {"entry": "/bin/sh", "workdir": "/"},
                    "env": {"$FOO": "bar"},
                },
            },
        }
    ).wait(60)

    assert run.status == "ok", run["a"].out
    assert run["a"].ok["stdout"].startswith('1|hello world|{"c":{"exit":0')
    assert run["a"].ok["stdout"].endswith("|bar|")
