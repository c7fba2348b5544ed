"""`ipvm`: runs, receipts, blocks, memo, keys and graphs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from commands import BIN, PIPELINE, ROOT
from stack import Stack

from ipvm_queue.crypto import load_signer
from ipvm_queue.ipld import RAW, Block, Link, decode, encode, read_car, write_car
from ipvm_queue.ucan import issue

NOTHING = {"type": "wasm/1.0", "with": "file:" + str(ROOT / "examples" / "guests" / "faults.wasm"), "func": "spin"}
FAULTS = ROOT / "examples" / "guests" / "faults.wasm"
integration = pytest.mark.integration
on_stack = pytest.mark.usefixtures("up")


def test_a_key_is_made_shown_and_listed(call, home):
    """`ipvm key new` makes the user's key, readable by its owner alone; `show` and `list` give its DID."""
    made = call("ipvm", "key", "new")
    path = home / ".local/share/ipvm/keys/user.pem"

    assert made.out.startswith("did:key:z6Mk")
    assert path.stat().st_mode & 0o777 == 0o600
    assert call("ipvm", "key", "show").out == made.out
    did = made.out.strip()
    assert call("ipvm", "key", "list", "--json").json == {"keys": [{"name": "user", "did": did, "file": str(path)}]}


def test_a_key_is_never_overwritten(call, tmp_path):
    """A second `ipvm key new` is refused and the first key stays; so is one in the place of a directory."""
    first = call("ipvm", "key", "new", "mine.pem")

    again = call("ipvm", "key", "new", "mine.pem")

    assert again.code == 2
    assert "mine.pem is there already" in again.err
    assert f"{tmp_path} is there already" in call("ipvm", "key", "new", tmp_path).err
    assert call("ipvm", "key", "show", "mine.pem").out == first.out


def test_a_key_that_is_named_is_made_by_the_command_that_the_hint_names(call):
    """Only the default key is made at first use; the hint makes the one that was asked for."""
    asked = ("ipvm", "run", "list", "--key", "nope.pem", "--broker", "redis://127.0.0.1:1/0")
    (command,) = re.findall("hint: make one with: (.*)", call(*asked).err)

    doctor = call("ipvm", "doctor", "--key", "nope.pem")

    assert (doctor.code, "FAILED  key: there is no key" in doctor.out) == (1, True)
    assert call(*command.split()).code == 0
    assert call(*asked).code == 6


def test_a_key_that_others_can_read_is_refused(call, tmp_path):
    """A key file with open permissions is an error that says how to close it."""
    call("ipvm", "key", "new", "mine.pem")
    (tmp_path / "work" / "mine.pem").chmod(0o644)

    shown = call("ipvm", "key", "show", "mine.pem")

    assert shown.code == 2
    assert "hint: chmod 600 mine.pem" in shown.err


@integration
@on_stack
def test_a_block_goes_in_and_comes_out(call, tmp_path):
    """A file is stored under its CID, comes back byte for byte, and its size is known."""
    cid = str(Link.of(FAULTS.read_bytes()))

    put = call("ipvm", "block", "put", FAULTS)
    got = call("ipvm", "block", "get", cid, "-o", "copy.wasm")

    assert put.out == f"{cid}\n"
    assert got.code == 0
    assert (tmp_path / "work" / "copy.wasm").read_bytes() == FAULTS.read_bytes()
    assert call("ipvm", "block", "stat", cid).out == f"{cid}  {FAULTS.stat().st_size}\n"


@integration
@on_stack
def test_blocks_travel_in_cars(call, write, tmp_path):
    """The blocks of a CAR are stored under their own CIDs, and `get --car` writes several as one."""
    blocks = [Block.of(b"one"), Block.of(encode({"two": 2}), 0x71)]
    path = write("blocks.car", write_car([blocks[0].cid], blocks))

    put = call("ipvm", "block", "put", path, "--json")
    call("ipvm", "block", "get", blocks[0].cid, blocks[1].cid, "--car", "-o", "back.car")

    assert [each["cid"]["/"] for each in put.json["blocks"]] == [str(each.cid) for each in blocks]
    assert list(read_car((tmp_path / "work" / "back.car").read_bytes())) == blocks


@integration
@on_stack
def test_a_block_is_unpinned(call):
    """An operator lets go of what was pinned; what was not is told to be so."""
    cid = call("ipvm", "block", "put", FAULTS).out.strip()

    assert call("ipvm", "block", "unpin", cid).out == f"{cid}  was not pinned\n"
    assert call("ipvm", "block", "unpin", cid, "--json").json == {"blocks": [{"cid": {"/": cid}, "pinned": False}]}


@integration
@on_stack
def test_a_block_that_is_missing_is_an_error(call):
    """Asking for what is not stored ends with exit code 2; so does a text that is no CID."""
    absent = Link.of(b"never stored", RAW)

    assert call("ipvm", "block", "get", absent).code == 2
    stat = call("ipvm", "block", "stat", absent)
    assert (stat.code, stat.out) == (2, f"{absent}  missing\n")
    assert "error[usage]: not a CID" in call("ipvm", "block", "get", "nonsense").err


@integration
@on_stack
def test_what_is_missing_is_an_error_in_json_too(call, write):
    """The exit code hangs on what was asked for, not on the form of the answer, which says of each what it is."""
    there = Link.parse(call("ipvm", "block", "put", write("x", "stored")).out.strip())
    absent = Link.of(b"never stored", RAW)

    stat = call("ipvm", "block", "stat", there, absent, "--json")
    forgotten = call("ipvm", "memo", "forget", absent, "--json")

    assert (stat.code, stat.json["status"], stat.json["error"]["code"]) == (2, "invalid", "missing-block")
    assert [row["size"] for row in stat.json["blocks"]] == [6, None]
    assert (forgotten.code, forgotten.json["status"], forgotten.json["error"]["code"]) == (2, "invalid", "usage")
    assert forgotten.json["forgotten"] == [{"task": {"/": str(absent)}, "known": False}]
    assert "error" not in call("ipvm", "block", "stat", there, "--json").json


@integration
@on_stack
def test_a_block_goes_into_the_file_that_is_named_for_it(call, write, tmp_path):
    """With --json too: then the answer says which file, and how long it is."""
    cid = call("ipvm", "block", "put", write("x", "stored")).out.strip()

    got = call("ipvm", "block", "get", cid, "-o", "copy", "--json")

    assert (tmp_path / "work" / "copy").read_bytes() == b"stored"
    assert got.json == {"blocks": [{"cid": {"/": cid}, "size": 6}], "file": "copy", "size": 6}
    assert call("ipvm", "block", "get", cid, cid, "-o", "copy", "--json").code == 2


@integration
@on_stack
def test_runs_are_listed_and_shown(call):
    """A run is listed with its counts, and shown by the beginning of its id, with the exit code that it had."""
    run = call("ipvm-submit", PIPELINE, "--json").json["run"]

    assert run in call("ipvm", "run", "list").out
    (row,) = [row for row in call("ipvm", "run", "list", "--json").json["runs"] if row["id"] == run]
    assert (row["status"], row["tasks"], row["left"], row["failed"]) == ("ok", 2, 0, 0)
    shown = call("ipvm", "run", "show", run[:12])
    assert shown.code == 0
    assert shown.out == 'fullName: "Boris Mann"\ncount: 10\n'
    assert shown.err.count("receipt bafyrei") == 2


@integration
@on_stack
def test_an_unknown_run_is_an_error(call):
    """A run that nobody knows ends with exit code 2 and says how to list those that are known."""
    answer = call("ipvm", "run", "show", "0123456789abcdef")

    assert answer.code == 2
    assert "hint: ipvm run list" in answer.err


@integration
def test_the_beginning_of_a_run_is_clear_or_said_to_be_not(call, tmp_path, monkeypatch):
    """A run is found by what its id begins with among all that are known; where several begin so, it is said."""
    stack = Stack(tmp_path / "broker")
    try:
        stack.start_valkey()
        with stack.client() as client:
            runs = [client.submit({"a": {**NOTHING, "nonce": str(each)}}).id for each in range(150)]
        for name, value in stack.environment().items():
            if name.startswith("IPVM_"):
                monkeypatch.setenv(name, value)
        first = next(end for end in range(1, 17) if sum(run.startswith(runs[0][:end]) for run in runs) == 1)
        found = call("ipvm", "run", "show", runs[0][:first], "--json")
        several = call("ipvm", "run", "show", "")
    finally:
        stack.stop()

    assert found.json["run"] == runs[0]
    assert several.code == 2
    assert "several runs begin with ''" in several.err
    assert runs[-1] in several.err


@integration
@on_stack
def test_a_run_is_cancelled(call, write):
    """A cancelled run ends, says so and why, and `show` exits with 1."""
    job = {"type": "wasm/1.0", "with": f"file:{FAULTS}", "func": "spin", "maxGas": 10**10}
    later = {"type": "wasm/1.0", "with": f"file:{FAULTS}", "func": "divide", "input": [{"from": "a"}, 1]}
    run = call("ipvm-submit", write("job.json", {"a": job, "b": later}), "--no-wait").out.strip()

    cancelled = call("ipvm", "run", "cancel", run, "--reason", "enough")

    assert cancelled.out == f"{run}  cancelled\n"
    shown = call("ipvm", "run", "show", run, "--json")
    assert shown.code == 1
    assert shown.json["error"]["code"] == "cancelled"
    assert shown.json["error"]["message"] == f"run {run} was cancelled: enough"


@pytest.mark.parametrize("words", [(), ("--done", "--not-done"), ("--not-done", "--done")])
def test_an_effect_is_done_or_not_done(call, words):
    """Who says neither of an effect in doubt, or both, has said nothing: nobody is asked, and it stays as it is."""
    answer = call("ipvm", "effect", "resolve", Link.of(b"act"), *words, "--broker", "redis://127.0.0.1:1/0")

    assert answer.code == 2
    assert "--done or --not-done, one of them" in answer.err


@integration
@on_stack
def test_a_finished_run_is_resumed_without_running_again(call):
    """Resuming a run that has all its receipts leaves it as it was."""
    run = call("ipvm-submit", PIPELINE, "--json").json

    resumed = call("ipvm", "run", "resume", run["run"])
    again = call("ipvm", "run", "watch", run["run"], "--json").json

    assert resumed.code == 0
    assert {label: task["receipt"] for label, task in again["tasks"].items()} == {
        label: task["receipt"] for label, task in run["tasks"].items()
    }


@integration
@on_stack
def test_receipts_are_found_by_their_own_cid_and_their_tasks(call):
    """A receipt is printed for its CID and for the CID of its Task."""
    task = call("ipvm-submit", PIPELINE, "--json").json["tasks"]["fullName"]

    found = call("ipvm", "receipt", "get", task["receipt"]["/"], "--json").json

    assert found == call("ipvm", "receipt", "get", task["task"]["/"], "--json").json
    assert found["out"] == {"ok": "Boris Mann"}
    assert found["worker"] == task["worker"]
    assert 'ok      "Boris Mann"' in call("ipvm", "receipt", "get", task["receipt"]["/"]).out


@integration
@on_stack
@pytest.mark.parametrize("command", [("get",), ("verify",), ("export", "-o", "bundle")])
def test_what_is_no_receipt_is_said_to_be_none(call, command):
    """A CID that nothing is known under, and that of something else than a receipt."""
    other = call("ipvm", "block", "put", FAULTS).out.strip()

    unknown = call("ipvm", "receipt", *command, Link.of(b"nobody"))
    wrong = call("ipvm", "receipt", *command, other)

    assert (unknown.code, "no receipt is known under" in unknown.err) == (2, True)
    assert "block put" not in unknown.err
    assert (wrong.code, f"{other} is no valid receipt: " in wrong.err) == (2, True)


@integration
@on_stack
def test_a_receipt_is_verified_and_run_again(call):
    """Verifying checks CID, signature and result; --rerun computes the result again, promised inputs included."""
    answer = call("ipvm-submit", PIPELINE, "--json").json

    for task in answer["tasks"].values():
        verified = call("ipvm", "receipt", "verify", task["receipt"]["/"], "--rerun", answer["run"], "--json")
        assert verified.code == 0, verified.err
        assert verified.json["checked"] == ["cid", "signature", "result", "rerun"]


@integration
@on_stack
def test_a_forged_receipt_is_refused(call, write, tmp_path):
    """A receipt whose result was changed after signing does not verify."""
    cid = call("ipvm-submit", PIPELINE, "--json").json["tasks"]["count"]["receipt"]["/"]
    call("ipvm", "block", "get", cid, "-o", "receipt")
    signature, body = decode((tmp_path / "work" / "receipt").read_bytes())
    next(value for key, value in body.items() if key != "h")["args"]["out"] = {"ok": 11}
    forged = call("ipvm", "block", "put", write("forged", encode([signature, body])), "--dag-cbor").out.strip()

    answer = call("ipvm", "receipt", "verify", forged)

    assert answer.code == 2
    assert answer.err.startswith("error[")


@integration
@on_stack
def test_a_receipt_that_lies_is_caught_by_running_again(call, stack, write):
    """A receipt that its worker signed with a wrong result fails --rerun with exit code 1."""
    answer = call("ipvm-submit", PIPELINE, "--json").json
    task = Link.parse(answer["tasks"]["fullName"]["task"]["/"])
    _, data = issue(load_signer(Path(stack["IPVM_WORKER_KEY"])), task, {"ok": "Somebody Else"}, {}, 0)
    lie = call("ipvm", "block", "put", write("lie", data), "--dag-cbor").out.strip()

    verified = call("ipvm", "receipt", "verify", lie, "--rerun", answer["run"])

    assert verified.code == 1
    assert "error[not-reproduced]" in verified.err


@integration
@on_stack
def test_what_is_forgotten_runs_again(call):
    """`ipvm memo forget` makes a Task run again when it is next asked for."""
    tasks = call("ipvm-submit", PIPELINE, "--json").json["tasks"]

    forgotten = call("ipvm", "memo", "forget", tasks["count"]["task"]["/"])

    assert forgotten.code == 0
    again = call("ipvm-submit", PIPELINE, "--json").json["tasks"]
    assert (again["fullName"]["cached"], again["count"]["cached"]) == (True, False)
    assert int(call("ipvm", "memo", "stat").out) >= 2
    assert call("ipvm", "memo", "forget", Link.of(b"nobody")).code == 2


@integration
@on_stack
def test_a_graph_is_drawn(call):
    """A job is drawn as text, DOT and Mermaid, and a run with its states."""
    run = call("ipvm-submit", PIPELINE, "--json").json["run"]

    assert call("ipvm", "graph", PIPELINE).out == "fullName\n└─ count\n"
    assert "n0 -> n1;" in call("ipvm", "graph", PIPELINE, "--as", "dot").out
    assert "n0 --> n1" in call("ipvm", "graph", PIPELINE, "--as", "mermaid").out
    assert "fullName  [ok]" in call("ipvm", "graph", "--run", run).out
    assert call("ipvm", "graph").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_shell_is_taught_to_complete(call, shell):
    """The completion scripts name both commands."""
    script = call("ipvm", "completion", shell).out

    assert "_IPVM_COMPLETE" in script
    assert "_IPVM_SUBMIT_COMPLETE" in script


def test_a_shell_that_is_not_named_is_asked_for_on_one_line(call):
    """What may be chosen is listed after the complaint, with no control characters shown as text."""
    answer = call("ipvm", "completion")

    assert answer.code == 2
    assert "Choose from: bash, zsh, fish, powershell\n" in answer.err


def test_the_commands_complete():
    """The installed command answers a shell that asks how a word goes on."""
    environment = {"_IPVM_COMPLETE": "bash_complete", "COMP_WORDS": "ipvm rec", "COMP_CWORD": "1", "PATH": "/bin"}

    done = subprocess.run([BIN / "ipvm"], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == "plain,receipt\n"
