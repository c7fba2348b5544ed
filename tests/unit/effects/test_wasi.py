"""WASI commands as effects: what they are granted, what they give, what ends them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from effect_context import EffectContext
from stack import children
from wasi_guests import component, running, wasi
from wasm_guests import wat

from ipvm_queue.effects import EffectError, Safety, find
from ipvm_queue.effects import check as wrong_with
from ipvm_queue.ipld import Link

QUERY = find("wasi:x", "wasi/query")
RUN = find("ipfs://x", "wasi/run")


def until(condition):
    """Return what a condition says once it is true."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("what was waited for did not happen")


def threads(pid):
    """Return the threads of a process."""
    return list(Path(f"/proc/{pid}/task").iterdir())


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """Return a worker's context, with a directory that its operator grants."""
    root = tmp_path_factory.mktemp("wasi")
    (root / "shared").mkdir()
    (root / "shared" / "in.txt").write_text("of the operator")
    directories = {
        "shared": {"path": str(root / "shared")},
        "written": {"path": str(root / "shared"), "writable": True},
        "gone": {"path": str(root / "gone")},
    }
    return EffectContext(root / "cache", wasi={"directories": directories, "max_scratch": 1 << 20})


@pytest.fixture
def run(context):
    """Return a function that runs a guest as a query and returns the Result."""

    def call(name, *, effect=QUERY, **args):
        data = wasi(name) if isinstance(name, str) else name
        return context.do(effect, f"wasi:{context.blocks.put(data)}", **args).out

    return call


def test_input_becomes_output(run, context):
    """Text, bytes and blocks come in on standard input; text goes out unless bytes are asked for."""
    assert run("cat", stdin="hé")["ok"]["stdout"] == "hé"
    assert run("cat", stdin=b"\xff\0", text=False)["ok"]["stdout"] == b"\xff\0"
    assert run("cat", stdin=context.blocks.put(b"block"))["ok"] == {
        "exit": 0,
        "stdout": "block",
        "stderr": "",
        "files": {},
    }
    assert run("cat", stdin={"a": [1, None]})["ok"]["stdout"] == '{"a":[1,null]}'
    assert run("cat", stdin=b"\xff")["error"]["code"] == "wasi/not-text"


def test_arguments_and_environment_are_those_given(run, context):
    """The first argument is the module's CID; nothing of the worker's own environment is there."""
    cid = context.blocks.put(wasi("args"))

    assert run("args", args=["a b", "é"])["ok"]["stdout"] == f"{cid}\0a b\0é\0"
    assert run("env")["ok"]["stdout"] == ""
    assert run("env", env={"A": "b=c"})["ok"]["stdout"] == "A=b=c\0"


def test_an_exit_code_is_an_error_with_what_was_written(run):
    """A command that fails says so itself, and its last words are kept."""
    error = run("seven")["error"]

    assert (error["code"], error["exit"], error["stderr"], error["fault"]) == ("wasi/exit", 7, "oops", "requestor")


def test_files_go_in_and_outputs_come_out(run, context):
    """What is put into /work can be read, and what is asked for there is stored as blocks."""
    assert run("read", files={"in.txt": "text"})["ok"]["stdout"] == "text"
    assert run("read", files={"in.txt": context.blocks.put(b"block"), "deep/er": b""})["ok"]["stdout"] == "block"
    files = run("write", stdin="kept", outputs=["out.txt"])["ok"]["files"]
    assert files == {"out.txt": Link.of(b"kept")}
    assert context.blocks.get(files["out.txt"]) == b"kept"
    assert run("cat", outputs=["none.txt"])["error"]["code"] == "folder/no-output"


def test_each_run_has_a_folder_of_its_own(run):
    """What one run leaves behind, the next does not find."""
    run("write", stdin="left")

    assert run("read")["error"]["exit"] == 44  # no such file


def test_nobody_gets_out_of_the_folder(run):
    """A path with dots in it is refused by WASI; a link that leads outside is no output."""
    assert run("escape")["error"]["exit"] != 0
    assert run("link", outputs=["out.txt"])["error"]["code"] in ("folder/no-output", "wasi/exit")


def test_a_circle_of_links_is_no_output(run):
    """What it leads to is no file, whatever the system calls it; the guest has run, and that is its answer."""
    error = run("circle", outputs=["out.txt"])["error"]

    assert (error["code"], error["fault"], error["stdout"]) == ("folder/no-output", "requestor", "")


def test_clocks_and_randomness_are_there(run):
    """They are what makes this a query: each answer is another."""
    first, second = (run("world", text=False)["ok"]["stdout"] for _ in range(2))

    assert abs(int.from_bytes(first[:8], "little") / 1e9 - time.time()) < 60
    assert first[8:] != second[8:]


def test_operators_directories_are_granted_by_name(run):
    """Only what the operator named, only for `wasi/run`, and writable only where he said so."""
    assert run("read", effect=RUN, directories={"/data": "shared"})["ok"]["stdout"] == "of the operator"
    assert run("write", effect=RUN, stdin="x", directories={"/data": "shared"})["error"]["exit"] != 0
    assert run("write", effect=RUN, stdin="x", directories={"/data": "written"})["ok"]["exit"] == 0
    assert "directories" not in QUERY.schema["properties"]
    for name, code in (("etc", "wasi/not-granted"), ("gone", "wasi/no-directory")):
        with pytest.raises(EffectError) as refused:
            run("read", effect=RUN, directories={"/data": name})
        assert (refused.value.code, refused.value.sent) == (code, False)


def test_what_runs_without_grants_is_a_query_and_else_a_command():
    """The class follows from what can be granted."""
    assert QUERY.safety is Safety.QUERY
    assert RUN.safety is Safety.COMMAND


@pytest.mark.parametrize(
    ("guest", "args", "code"),
    [
        ("trap", {}, "wasi/unreachable"),
        ("spin", {"gas": 1_000_000}, "wasi/out-of-gas"),
        ("spin", {"gas": 1 << 60, "seconds": 1.0}, "wasi/time-limit"),
        ("cat", {"stdin": "x" * 5000, "max_bytes": 1000}, "wasi/output-limit"),
        ("flood", {"max_bytes": 1000}, "wasi/output-limit"),
        ("fill", {"scratch": 100_000}, "wasi/exit"),
        ("litter", {"scratch": 100_000}, "wasi/scratch-limit"),
        ("hide", {"scratch": 100_000, "gas": 10**9}, "wasi/scratch-limit"),
        ("hoard", {"gas": 10**9}, "wasi/scratch-limit"),
        ("bury", {"scratch": 300_000}, "wasi/scratch-limit"),
        ("dig", {}, "wasi/scratch-limit"),
        ("cat", {"memory": 65536}, "wasi/memory-limit"),
    ],
)
def test_every_limit_ends_a_guest(run, guest, args, code):
    """Gas, time, output, files (each and all), memory: an error that says which."""
    assert run(guest, **args)["error"]["code"] == code


def test_nothing_of_a_folder_stays(run, tmp_path, monkeypatch):
    """However deep a guest nests directories in it, in the time until somebody looks."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("dig")

    assert list(tmp_path.iterdir()) == []


def test_a_guest_that_sleeps_is_killed_at_its_time(run):
    """No trap reaches a guest in a host call; its process ends with it."""
    begun = time.monotonic()
    with pytest.raises(EffectError) as ended:
        run("sleep", seconds=0.5)

    assert (ended.value.code, ended.value.sent) == ("wasi/time-limit", True)
    assert time.monotonic() - begun < 30


def test_a_guest_ends_with_its_worker(context, tmp_path):
    """Who dies over a guest leaves no process behind that goes on."""
    (tmp_path / "guest.wasm").write_bytes(wasi("sleep"))
    script = (
        "import sys; from pathlib import Path; from ipvm_queue.ipld import Link; from ipvm_queue.wasm.wasi import *\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "Wasi(Path(sys.argv[2])).run(Link.of(data), data, Grants(), WasiLimits(10**9, 60.0, 1 << 24, 1000, 100000))"
    )
    cache = context.settings.cache_dir / "modules"
    worker = subprocess.Popen([sys.executable, "-c", script, tmp_path / "guest.wasm", cache])
    try:
        (guest,) = until(lambda: children(worker.pid))
        until(lambda: len(threads(guest)) > 1)  # one of them watches
    finally:
        worker.kill()
        worker.wait()
    until(lambda: not Path(f"/proc/{guest}").exists())


def test_components_are_commands_too(run):
    """A component exports `wasi:cli/run`; its result is the exit code."""
    assert run(component(0))["ok"]["exit"] == 0
    assert run(component(1))["error"]["exit"] == 1


@pytest.mark.parametrize(
    ("core", "kind"), [("(param i32)", '(param "x" u32)'), ("", ""), ("(result i32) i32.const 0", "(result u8)")]
)
def test_a_component_whose_run_is_another_is_not_run(run, core, kind):
    """`run: func() -> result` is what there is to call; anything else is the guest's mistake, and final."""
    error = run(running(core, kind), effect=RUN)["error"]

    assert (error["code"], error["fault"]) == ("wasi/bad-abi", "requestor")


def test_evidence_says_what_ran(context):
    """A receipt's meta names module, engine and gas."""
    cid = context.blocks.put(wasi("cat"))
    evidence = context.do(QUERY, f"ipfs://{cid}").evidence

    assert evidence["module"] == cid
    assert evidence["engine"].startswith("wasmtime/")
    assert evidence["gas"] > 0


def test_evidence_names_no_gas_that_is_not_known(context):
    """The engine loses count at a trap that the processor finds."""
    cid = context.blocks.put(wat('(module (memory 1) (func (export "_start") (drop (i32.load (i32.const -1)))))'))
    done = context.do(QUERY, f"ipfs://{cid}")

    assert done.out["error"]["code"] == "wasi/memory-out-of-bounds"
    assert set(done.evidence) == {"module", "engine"}


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\0asm\x01\0\0\0", "wasi/missing-export"), (b"no", "wasi/invalid-module"), (None, "block/missing")],
)
def test_what_is_no_command_is_not_started(context, data, code):
    """It is told apart from what ran: nothing has happened."""
    uri = f"wasi:{Link.of(b'nowhere') if data is None else context.blocks.put(data)}"
    with pytest.raises(EffectError) as refused:
        context.do(QUERY, uri)

    assert (refused.value.code, refused.value.fault, refused.value.sent) == (code, "requestor", False)


@pytest.mark.parametrize(
    ("uri", "args"),
    [
        ("wasi:nothing", {}),
        ("ipfs://Qm", {}),
        (None, {"files": {"../x": "x"}}),
        (None, {"files": {"/x": "x"}}),
        (None, {"outputs": ["a//b"]}),
        (None, {"outputs": ["a" * 256]}),
        (None, {"files": {"é" * 128: "x"}}),
        (None, {"env": {"A=B": "x"}}),
        (None, {"env": {"A": "x\0y"}}),
        (None, {"args": ["a\0b"]}),
    ],
)
def test_what_cannot_be_is_refused_at_submission(uri, args, context):
    """URIs, paths, names: what a schema does not see, `check` does; brought by a promise, the worker does."""
    uri = uri or f"wasi:{Link.of(b'x')}"

    assert list(wrong_with(uri, "wasi/query", args))
    with pytest.raises(EffectError) as refused:
        context.do(QUERY, uri, **args)
    assert (refused.value.code, refused.value.sent) == ("wasi/argument", False)


def test_more_than_the_operator_allows_is_refused(run):
    """Memory and folder have bounds of the operator's."""
    for args in ({"scratch": 2 << 20}, {"memory": 2 << 30}):
        with pytest.raises(EffectError) as refused:
            run("cat", **args)
        assert (refused.value.code.endswith("-limit"), refused.value.sent) == (True, False)
