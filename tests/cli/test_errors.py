"""Errors: their words, their place, their exit codes, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess

import click
import pytest
from commands import BIN, PIPELINE, on_terminal
from stack import Stack

from ipvm_queue.cli import exits
from ipvm_queue.cli.answer import answer

WASM = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

BYTE = "\udce9"  # what Python makes of a byte of an argument that is not UTF-8


def job(**fields):
    """Return a Wasm job."""
    return {"type": "wasm/1.0", "with": WASM, "func": "f", "input": [], **fields}


def ring(size):
    """Return jobs that wait for each other in a circle."""
    return {f"j{n}": job(input=[{"from": f"j{(n + 1) % size}"}]) for n in range(size)}


def test_an_error_says_what_and_where_and_what_to_do(call, write):
    """The words of an error: code, message, place with the source line, hint."""
    text = '{\n  "count": {\n    "type": "wasm/1.0",\n    "with": "' + WASM + '",\n    "inpt": []\n  }\n}\n'

    answer = call("ipvm-submit", write("job.json", text).name)

    assert answer == type(answer)(
        2,
        "",
        "error[unknown-field]: a Wasm job has no field 'inpt'\n"
        '  at job.json:5:5   "inpt": []\n'
        "hint: did you mean 'input' or 'inputs'?\n",
    )


def test_every_fault_is_listed(call, write):
    """All faults of a document are reported at once, in words and in JSON."""
    path = write("job.json", {"a": job(one=1), "b": job(two=2)})

    answer = call("ipvm-submit", path, "--json")

    assert answer.code == 2
    assert answer.err.count("error[unknown-field]") == 2
    assert answer.json["status"] == "invalid"
    assert [fault["path"] for fault in answer.json["error"]["faults"]] == ["a.one", "b.two"]


def test_a_long_line_is_shown_around_the_fault(call, write):
    """Of a document on one line, what stands around the fault is shown."""
    path = write("job.json", json.dumps({"a": job(meta={"words": "x" * 500}), "b": job(oops=1)}))

    answer = call("ipvm-submit", path)

    (place,) = [line for line in answer.err.splitlines() if line.startswith("  at ")]
    assert '"oops"' in place
    assert len(place) < 160


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "empty"),
        ("{", "not-json"),
        ("[]", "wrong-type"),
        (b"\xa1\x61a", "not-dag-cbor"),
        ({"a": job(extra=1)}, "unknown-field"),
        ({"a": job(type="wasm/9")}, None),
        ({"a": job(input=[{"from": "a"}])}, "self-reference"),
        (ring(3), "cycle"),
        (ring(10_000), "cycle"),
        ({"a": job(input=[{"from": "nobody"}])}, None),
        ({"a": job(**{"with": "bafynonsense"})}, None),
        ({"a": job(maxGas=0)}, None),
        ({"a": job(**{"ipvm/config": {"memory": -1}})}, None),
        ({"a": job(**{"ipvm/config": {"time": [3, "parsecs"]}})}, None),
        ('{"a": ' + json.dumps(job()) + ', "a": ' + json.dumps(job()) + "}", "duplicate-key"),
        ({"header": {"v": "0.1.0"}, "jobs": {"a": job()}, "signature": {"/": {"bytes": "AAAA"}}}, None),
    ],
)
def test_bad_documents_end_with_two(call, write, content, code):
    """A document that cannot run ends with exit code 2, clear words and a stable code, without asking a broker."""
    answer = call("ipvm-submit", write("job.json", content), "--json", "--broker", "redis://127.0.0.1:1/0")

    assert answer.code == 2
    assert answer.err.startswith("error[")
    assert len(answer.err) < 5000
    assert answer.json["status"] == "invalid"
    assert code in (None, answer.json["error"]["faults"][0]["code"])


def test_a_huge_document_is_not_read(call, write):
    """A document of 50 MB is refused by its size."""
    answer = call("ipvm-submit", write("job.json", b" " * 50_000_000).name)

    assert answer.code == 2
    assert answer.err.startswith("error[too-large]: job.json is larger than 8388608 bytes\n")


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("missing.wasm", "No such file or directory"),
        ("large.wasm", "larger than 1000 bytes"),
        ("/dev/zero", "no regular file"),
        ("pipe", "no regular file"),
        (".", "no regular file"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_module_that_cannot_be_a_block_is_a_fault_of_the_document(call, write, monkeypatch, module, why):
    """A file that a job names and that is too large, endless or no file is not read: a fault, with its place."""
    monkeypatch.setenv("IPVM_MAX_BLOCK_BYTES", "1000")
    write("large.wasm", bytes(1001))
    os.mkfifo("pipe")

    answer = call("ipvm-submit", write("job.json", {"a": job(**{"with": f"file:{module}"})}), "--json", "--plan")

    assert answer.code == 2
    (fault,) = answer.json["error"]["faults"]
    assert (fault["code"], fault["path"], fault["line"]) == ("file", "a", 1)
    assert why in fault["message"]


def test_what_could_steer_a_terminal_is_shown_as_text(call, write):
    """Control characters of a document reach no terminal."""
    answer = call("ipvm-submit", write("job.json", {"a": job(**{"\x1b[2J": 1})}))

    assert "\x1b" not in answer.err
    assert "x1b[2J" in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--blok", "x"], "no such option '--blok'"),
        (["missing.json"], "cannot read missing.json: No such file or directory"),
        (["."], "cannot read .: Is a directory"),
        ([], "missing argument 'JOB'"),
        (["job.json", "--timeout", "-1"], "--timeout"),
        (["job.json", "--timeout", "soon"], "--timeout"),
        (["job.json", "--timeout", "nan"], "'nan' is not a number"),
        (["job.json", "--receipts", "job.json"], "job.json is no bundle"),
        (["job.json", "--block", "missing.wasm"], "cannot read missing.wasm"),
        (["job.json", "--key", "missing.pem"], "there is no key"),
        (["job.json", "--broker", "http://host"], "not a broker address"),
    ],
)
def test_bad_usage_ends_with_two(call, write, arguments, words):
    """A wrong flag or a missing file ends with exit code 2 and says which."""
    write("job.json", {"a": job()})

    answer = call("ipvm-submit", *arguments)

    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", ["run", "effect"])
def test_a_list_has_its_bounds(call, command):
    """Nobody is asked for more than can be listed."""
    answer = call("ipvm", command, "list", "--limit", "99999999999999999999", "--broker", "redis://127.0.0.1:1/0")

    assert answer.code == 2
    assert "invalid value for '--limit'" in answer.err


@pytest.mark.integration
@pytest.mark.usefixtures("up")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "show", BYTE],
        ["run", "cancel", BYTE],
        ["run", "cancel", "RUN", "--reason", BYTE],
        ["receipt", "export", "--run", BYTE],
        ["graph", "--run", BYTE],
        ["delegate", "DID", "--command", f"/{BYTE}"],
    ],
)
def test_an_argument_that_is_not_utf_8_is_bad_usage(call, arguments):
    """Where it names no file, nothing can be meant by it."""
    run = call("ipvm-submit", PIPELINE, "--no-wait").out.strip()
    did = call("ipvm", "key", "show").out.strip()
    known = {"RUN": run, "DID": did}

    answer = call("ipvm", *(known.get(each, each) for each in arguments), "--json")

    bad = next(each for each in arguments if BYTE in each)
    assert answer.code == 2
    assert answer.json["error"]["message"] == f"this is not UTF-8: {bad!r}"


def test_a_file_may_be_called_as_it_likes(call, home):
    """A name that is not UTF-8 is used as it is, and escaped where it is answered, be the file there or not."""
    path = home / f"{BYTE}.pem"
    made = call("ipvm", "key", "new", path, "--json")
    missing = call("ipvm-submit", f"{BYTE}.json", "--json")

    assert made.code == 0
    assert path.exists()
    assert made.json["file"] == f"{home}/\\udce9.pem"
    assert missing.code == 2
    assert missing.json["error"]["message"] == "cannot read \\udce9.json: No such file or directory"


@pytest.mark.parametrize("arguments", [(), ("run",), ("block",)])
def test_a_group_without_a_command_is_explained(call, arguments):
    """A group alone prints its help, which is no error message, and ends with 2."""
    answer = call("ipvm", *arguments)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: ipvm")
    assert "error" not in answer.err


def test_bad_usage_is_json_where_json_is_asked_for(call):
    """With --json even a wrong flag is answered with the object."""
    answer = call("ipvm", "run", "list", "--json", "--limit", "many")

    assert answer.code == 2
    assert answer.json["error"]["code"] == "usage"
    assert answer.json["error"]["hint"] == "ipvm run list --help"


def test_a_broker_that_is_away_ends_with_six(call):
    """Nobody at the broker's address: exit code 6, the address without its password, and a hint."""
    answer = call("ipvm-submit", PIPELINE, "--json", "--broker", "redis://me:secret@127.0.0.1:1/0")

    assert answer.code == 6
    assert answer.json["status"] == "unavailable"
    assert "127.0.0.1:1" in answer.err
    assert "hint: " in answer.err
    assert "secret" not in answer.err + answer.out


@pytest.mark.integration
def test_a_role_that_may_not_is_no_wrong_password(call, tmp_path):
    """Who is let in and may not do this is told to use another role, and not to look at the password."""
    stack = Stack(tmp_path / "broker")
    try:
        stack.start_valkey(gate=False)
        stack.redis.execute_command("ACL", "SETUSER", "some", "on", ">one", "~*", "+@all", "-set")
        put = ("ipvm", "block", "put", PIPELINE, "--broker")
        role = call(*put, f"redis://some:one@127.0.0.1:{stack.port}/0")
        password = call(*put, f"redis://some:two@127.0.0.1:{stack.port}/0")
    finally:
        stack.stop()

    assert (role.code, password.code) == (6, 6)
    assert "hint: user and password are right, the role is not" in role.err
    assert "hint: check the URL's user and password" in password.err


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_an_error_is_coloured_where_it_is_wanted(variables, coloured):
    """On a terminal, but for NO_COLOR and for a terminal that has no colours."""
    _, shown = on_terminal([BIN / "ipvm-submit", "missing.json"], **variables)

    assert b"cannot read missing.json" in shown
    assert (b"\x1b[" in shown) is coloured


def test_a_setting_that_cannot_be_used_says_where_it_stands(call, write):
    """A bad ipvm.toml ends with exit code 2 and names the file."""
    write("ipvm.toml", 'brokr_url = "redis://h"')

    answer = call("ipvm", "run", "list")

    assert answer.code == 2
    assert "ipvm.toml: there is no setting 'brokr_url'" in answer.err
    assert "hint: did you mean broker_url?" in answer.err


def test_what_nobody_foresaw_is_an_error_too(capsys, monkeypatch):
    """A fault of our own ends with exit code 70 and one line; IPVM_DEBUG shows where it is."""

    @click.command()
    def broken():
        raise ZeroDivisionError("by zero")

    assert exits.call(broken, [], "broken") == 70
    assert capsys.readouterr().err.startswith("error[internal]: ZeroDivisionError: by zero\nhint: ")

    monkeypatch.setenv("IPVM_DEBUG", "1")
    exits.call(broken, [], "broken")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("said", [[], [{"found": 1}]])
def test_an_interrupt_has_its_answer_and_no_second_one(capsys, said):
    """Ctrl-C is answered with the object where --json is asked for, unless the command has answered already."""

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def patient(*, as_json):
        assert as_json
        for each in said:
            answer(each)
        raise KeyboardInterrupt

    assert exits.call(patient, ["--json"], "patient") == 130
    out, err = capsys.readouterr()
    interrupted = {"status": "interrupted", "error": {"code": "interrupted", "message": "interrupted"}}
    assert json.loads(out) == (said[0] if said else interrupted)
    assert err.strip() == "interrupted"


@pytest.mark.parametrize("program", ["ipvm", "ipvm-submit"])
def test_help_loads_nothing_that_is_slow(program):
    """`--help` is answered without importing settings, store, Wasm or Celery."""
    module = {"ipvm": "main", "ipvm-submit": "submit"}[program]
    code = (
        f"import sys; from ipvm_queue.cli.{module} import main; sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'pydantic', 'redis', 'celery', 'wasmtime', 'rich', 'cryptography', 'multiformats'}\n"
        "print('loaded', sorted(slow & set(sys.modules)))"
    )

    done = subprocess.run([BIN / "python", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "loaded []"
