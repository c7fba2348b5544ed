"""`ipvm-submit` on a real stack: what is printed, where, and how it exits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import BIN, PIPELINE, ROOT, on_terminal
from processes import processes, wait_until_gone
from stack import Stack

pytestmark = pytest.mark.integration

UNKNOWN = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
FAULTS = ROOT / "examples" / "guests" / "faults.wasm"


@pytest.fixture(scope="session")
def no_workers(tmp_path_factory):
    """Keep a broker and a gate, and no worker, for the session."""
    stack = Stack(tmp_path_factory.mktemp("idle"), queue="default")
    try:
        stack.start_valkey()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def idle(no_workers, monkeypatch):
    """Give the address of a broker that has a gate and no workers, to a user whom the gate lets in."""
    return enter(no_workers, monkeypatch)


def enter(stack, monkeypatch):
    """Let the commands of a test use the keys and proofs of a stack; return its broker's address."""
    for name, value in stack.settings.environment().items():
        if name != "IPVM_BROKER_URL":
            monkeypatch.setenv(name, value)
    return stack.url


def faulty(**jobs):
    """Return jobs that call the module of faults."""
    return {
        label: {"type": "wasm/1.0", "with": f"file:{FAULTS}", "func": func, "input": args}
        for label, (func, *args) in jobs.items()
    }


@pytest.mark.usefixtures("up")
def test_results_go_to_standard_output_and_all_else_to_standard_error(call):
    """The specification's own example: a value a line on standard output, the run and its tasks on standard error."""
    answer = call("ipvm-submit", PIPELINE)

    assert answer.code == 0
    assert answer.out == 'fullName: "Boris Mann"\ncount: 10\n'
    told = answer.err.splitlines()
    first, *tasks, tally = [line for line in told if not line.startswith("waiting")]  # for the gate, as it starts
    assert re.fullmatch(r"run [0-9a-f]{16}: 2 tasks, workflow bafyrei\w+", first)
    ended = [line.split()[:2] for line in tasks if not line.startswith("  waiting")]
    assert ended == [["ok", "fullName"], ["ok", "count"]]
    assert tally.startswith("  2 of 2 tasks")


@pytest.mark.usefixtures("up")
def test_a_label_cannot_begin_a_line(call, write):
    """Whatever a label has in it, each task keeps to one line, in results, progress, plans and pictures."""
    document = write("job.json", faulty(**{"a\nb: 7\x1b[2J": ("divide", 84, 2)}))

    answer = call("ipvm-submit", document)
    run = answer.err.split()[1].rstrip(":")
    elsewhere = [
        call("ipvm", "run", "show", run),
        call("ipvm-submit", "--plan", document),
        call("ipvm", "graph", document),
    ]

    assert answer.out == "a\\nb: 7\\x1b[2J: 42\n"
    for each in (answer, *elsewhere):
        assert "a\\nb: 7\\x1b[2J" in each.out + each.err
        assert not re.search(r"^b: 7", each.out + each.err, re.MULTILINE)


@pytest.mark.usefixtures("up")
def test_json_is_the_contracts_object(call):
    """With --json there is one DAG-JSON object, its links in DAG-JSON form."""
    answer = call("ipvm-submit", PIPELINE, "--json")

    found = answer.json
    assert answer.code == 0
    assert found["status"] == "ok"
    assert "error" not in found
    assert set(found["workflow"]) == {"/"}
    assert found["tasks"]["count"]["out"] == {"ok": 10}
    for task in found["tasks"].values():
        assert {"task", "receipt", "out", "cached", "worker", "secret"} <= task.keys()
        assert task["worker"].startswith("did:key:z6Mk")
        assert set(task["task"]) == set(task["receipt"]) == {"/"}


@pytest.mark.usefixtures("up")
def test_what_was_computed_before_is_said_to_be_cached(call):
    """A job that ran before costs nothing, and its tasks say so."""
    call("ipvm-submit", PIPELINE)

    answer = call("ipvm-submit", PIPELINE, "--json")

    assert [task["cached"] for task in answer.json["tasks"].values()] == [True, True]
    assert answer.err.count("cached") == 3  # two tasks, and the tally


@pytest.mark.usefixtures("up")
def test_a_job_comes_from_standard_input_too():
    """`-` reads the job from standard input; files that it names are looked for in the working directory."""
    done = subprocess.run(
        [BIN / "ipvm-submit", "-"], input=PIPELINE.read_bytes(), cwd=PIPELINE.parent, capture_output=True, check=True
    )

    assert done.stdout == b'fullName: "Boris Mann"\ncount: 10\n'


@pytest.mark.usefixtures("up")
def test_a_failed_run_ends_with_one_and_names_the_task(call, write):
    """A run with an error result: exit code 1, the failing task, its error, and how to see more."""
    path = write("job.json", faulty(bad=("divide", 1, 0), good=("divide", 84, 2)))

    answer = call("ipvm-submit", path, "--json")

    assert answer.code == 1
    assert answer.json["status"] == "error"
    assert answer.json["error"]["code"] == "failed"
    assert answer.json["error"]["task"] == "bad"
    assert answer.json["tasks"]["good"]["out"] == {"ok": 42}
    assert "error" in answer.json["tasks"]["bad"]["out"]
    assert "error[failed]: task 'bad' failed: " in answer.err
    assert f"hint: ipvm run show {answer.json['run']}" in answer.err


@pytest.mark.usefixtures("up")
def test_a_large_run_is_folded(call, write):
    """Of a run of many tasks only failures, and what nothing else consumes, are lines of their own."""
    jobs = faulty(**{f"n{n:03}": ("divide", n, 1) for n in range(1, 40)})

    answer = call("ipvm-submit", write("job.json", jobs))

    assert answer.code == 0
    assert answer.out.count("\n") == 20
    assert "… and 19 more tasks; --json shows them all" in answer.err
    assert "n001" not in answer.err


@pytest.mark.usefixtures("up")
def test_no_wait_prints_the_run_which_can_be_watched_later(call):
    """--no-wait leaves once the run is accepted; `ipvm run watch` follows it from its start."""
    left = call("ipvm-submit", PIPELINE, "--no-wait")
    watched = call("ipvm", "run", "watch", left.out.strip())

    assert left.code == 0
    assert re.fullmatch(r"[0-9a-f]{16}\n", left.out)
    assert watched.code == 0
    assert watched.out == 'fullName: "Boris Mann"\ncount: 10\n'
    assert "fullName" in watched.err


def test_a_wait_that_ends_too_early_ends_with_five_and_says_why(idle, call):
    """Without a worker the wait says so, and --timeout ends it with exit code 5; the run goes on."""
    answer = call("ipvm-submit", PIPELINE, "--broker", idle, "--json", "--timeout", 4)

    assert answer.code == 5
    assert answer.json["status"] == "timeout"
    assert answer.json["error"]["code"] == "timeout"
    assert "waiting: no worker is consuming ipvm.wasm" in answer.err
    listed = call("ipvm", "run", "list", "--broker", idle, "--status", "running", "--json")
    assert answer.json["run"] in [run["id"] for run in listed.json["runs"]]


@pytest.mark.usefixtures("up")
def test_a_run_that_needs_no_waiting_is_not_timed_out(call):
    """What is there already is printed, however short the patience."""
    call("ipvm-submit", PIPELINE)

    assert call("ipvm-submit", PIPELINE, "--timeout", 0).code == 0


def test_nothing_of_a_refused_job_is_enqueued(idle, call, write):
    """A job that cannot run leaves no run behind, whether the document or its modules are at fault."""
    before = call("ipvm", "run", "list", "--broker", idle, "--json").json
    unknown = {
        "a": {"type": "wasm/1.0", "with": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "input": []}
    }
    write("not.wasm", b"this is no module")
    cases = [
        (unknown, "missing-block"),
        ({"a": {**unknown["a"], "with": "file:not.wasm"}}, "module"),
        (faulty(a=("nothing_like_it",)), "nothing_like_it"),
        (faulty(a=("divide", 1)), "divide"),
        (faulty(a=("divide", "one", 2)), "divide"),
    ]

    for jobs, words in cases:
        answer = call("ipvm-submit", write("job.json", jobs), "--broker", idle)
        assert answer.code == 2, answer.err
        assert words in answer.err
        assert "job.json:1:" in answer.err
    assert call("ipvm", "run", "list", "--broker", idle, "--json").json == before


def test_a_run_is_ended_by_who_submitted_it_and_by_the_queue(idle, call, monkeypatch):
    """`ipvm run cancel --proof` takes what `ipvm-submit --proof` does; with the queue's own key it needs no proof."""
    own, other = (call("ipvm-submit", PIPELINE, "--no-wait", "--broker", idle).out.strip() for _ in range(2))
    proofs, queue = os.environ["IPVM_PROOFS"], os.environ["IPVM_QUEUE_KEY"]
    monkeypatch.setenv("IPVM_PROOFS", "none.ucan")
    monkeypatch.setenv("IPVM_SINGLE_OWNER", "false")
    cancel = ("ipvm", "run", "cancel", "--broker", idle)

    refused = call(*cancel, own)
    assert (refused.code, "--proof FILE" in refused.err) == (3, True)
    assert call(*cancel, own, "--proof", proofs).out == f"{own}  cancelled\n"
    assert call(*cancel, other, "--key", queue).out == f"{other}  cancelled\n"


@pytest.mark.usefixtures("up")
def test_blocks_come_along(call):
    """A job that names its modules by CID runs with the blocks that --block adds."""
    guests = ROOT / "examples" / "guests"
    job = PIPELINE.with_name("by-cid.json")

    answer = call("ipvm-submit", job, "--block", guests / "full-name.wasm", "--block", guests / "count.wasm")

    assert answer.code == 0
    assert "count: 10" in answer.out


def test_an_interrupt_says_that_the_run_goes_on(begin, idle):
    """Ctrl-C while waiting ends with 130 and the run's id; the run stays."""
    waiting = begin("ipvm-submit", PIPELINE, "--broker", idle)
    first = waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=30)

    run = first.split()[1].rstrip(":")
    assert waiting.returncode == 130
    assert f"interrupted; run {run} goes on: ipvm run watch {run}" in err
    assert "Traceback" not in err
    assert out == ""


def test_an_interrupt_is_answered_where_json_is_asked_for(begin, idle):
    """Ctrl-C leaves one object on standard output too, with the run that goes on."""
    waiting = begin("ipvm-submit", PIPELINE, "--json", "--broker", idle)
    run = waiting.stderr.readline().split()[1].rstrip(":")
    waiting.send_signal(signal.SIGINT)
    out, _ = waiting.communicate(timeout=30)

    found = json.loads(out)
    assert waiting.returncode == 130
    assert (found["run"], found["status"], found["error"]["code"]) == (run, "interrupted", "interrupted")
    assert found["error"]["hint"] == f"ipvm run watch {run}"


def test_a_wait_that_ends_while_the_broker_is_away_names_the_run(begin, tmp_path, monkeypatch):
    """Nobody can say then how the run stands; which one it is, the answer says all the same."""
    stack = Stack(tmp_path / "doomed", queue="default")
    try:
        stack.start_valkey()
        url = enter(stack, monkeypatch)
        waiting = begin("ipvm-submit", PIPELINE, "--json", "--timeout", "3", "--broker", url)
        run = waiting.stderr.readline().split()[1].rstrip(":")
    finally:
        stack.stop()
    out, _ = waiting.communicate(timeout=60)

    found = json.loads(out)
    assert waiting.returncode == 6
    assert (found["run"], found["status"]) == (run, "unavailable")
    assert found["workflow"]["/"].startswith("bafyrei")


def test_a_broker_that_dies_while_waiting_ends_with_six(begin, tmp_path, monkeypatch):
    """The broker goes away in the middle of a wait: exit code 6 in bounded time, and no traceback."""
    stack = Stack(tmp_path / "doomed", queue="default")
    try:
        stack.start_valkey()
        waiting = begin("ipvm-submit", PIPELINE, "--broker", enter(stack, monkeypatch))
        waiting.stderr.readline()
    finally:
        stack.stop()
    _, err = waiting.communicate(timeout=60)

    assert waiting.returncode == 6
    assert "error[unavailable]: " in err
    assert "Traceback" not in err


def test_a_command_of_its_own_leaves_nothing_running(home, tmp_path, monkeypatch):
    """Without a broker a command starts a stack, runs the job on it, and stops it, its data kept for the next one."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    first = subprocess.run([BIN / "ipvm-submit", PIPELINE], capture_output=True, text=True, check=True)

    assert first.stdout == 'fullName: "Boris Mann"\ncount: 10\n'
    assert processes(home) == set()
    assert list(temporary.iterdir()) == []
    again = subprocess.run([BIN / "ipvm-submit", PIPELINE], capture_output=True, text=True, check=True)
    assert again.stderr.count("cached") == 3


@pytest.mark.parametrize("victim", ["command", "supervisor"])
def test_a_kill_leaves_nothing_running(begin, home, write, victim):
    """A kill -9 of a command, or of its stack's supervisor, ends all of the stack, workers that are busy included."""
    jobs = faulty(a=("spin",), b=("spin",))
    for each in jobs.values():
        each |= {"maxGas": 10**15}
    command = begin("ipvm-submit", write("job.json", jobs))
    deadline = time.monotonic() + 60
    while not any(busy(pid) for pid in processes(home)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    pids = processes(home)

    if victim == "command":
        command.kill()
    else:
        os.kill(next(pid for pid in pids if b"supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()), signal.SIGKILL)

    assert len(pids) > 5
    wait_until_gone(pids)
    command.communicate(timeout=60)
    assert command.returncode == (-signal.SIGKILL if victim == "command" else 6)


def busy(pid):
    """Whether a process is a worker's child that has computed for more than a second since its fork."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        parent = Path(f"/proc/{fields[1]}/cmdline").read_bytes()
    except OSError:
        return False
    return b"worker" in parent and int(fields[11]) > os.sysconf("SC_CLK_TCK")


@pytest.mark.usefixtures("up")
def test_a_terminal_gets_a_table():
    """On a terminal the progress is a table, drawn in place, with a row a task."""
    out, shown = on_terminal([BIN / "ipvm-submit", PIPELINE])

    assert out == b'fullName: "Boris Mann"\ncount: 10\n'
    assert b"fullName" in shown
    assert b"2 of 2 tasks" in shown
    assert b"\x1b[" in shown


@pytest.mark.usefixtures("up")
def test_a_terminal_that_can_nothing_gets_plain_lines():
    """With TERM=dumb nothing is coloured and nothing redrawn."""
    _, shown = on_terminal([BIN / "ipvm-submit", PIPELINE], TERM="dumb")

    assert b"2 of 2 tasks" in shown
    assert b"\x1b" not in shown


def test_a_plan_is_printed_and_nothing_enqueued(idle, call):
    """--plan prints the table and the canvas, in words and as data, and enqueues nothing."""
    before = call("ipvm", "run", "list", "--broker", idle, "--json").json
    words = call("ipvm-submit", PIPELINE, "--plan", "--broker", idle)
    data = call("ipvm-submit", PIPELINE, "--plan", "--json", "--broker", idle).json

    assert "chain(fullName, count)" in words.out
    assert "nothing was enqueued" in words.err
    assert data["canvas"] == [{"chain": ["fullName", "count"]}]
    assert [node["label"] for node in data["nodes"]] == ["fullName", "count"]
    assert data["nodes"][1]["after"] == ["fullName"]
    assert call("ipvm", "run", "list", "--broker", idle, "--json").json == before


def test_a_plan_needs_no_broker(call):
    """Where the broker is away, the plan is that of a queue of one's own, and says so."""
    answer = call("ipvm-submit", PIPELINE, "--plan", "--broker", "redis://127.0.0.1:1/0")

    assert answer.code == 0
    assert "chain(fullName, count)" in answer.out
    assert "planned without the broker" in answer.err


def test_a_join_is_a_chord(idle, call, write):
    """Where two tasks meet, the plan shows a chord."""
    jobs = faulty(a=("divide", 1, 1), b=("divide", 2, 1), c=("divide", {"from": "a"}, {"from": "b"}))

    data = call("ipvm-submit", write("job.json", jobs), "--plan", "--json", "--broker", idle).json

    (chord,) = [unit["chord"] for unit in data["canvas"] if "chord" in unit]
    assert sorted(chord["header"]) == ["a", "b"]
    assert chord["body"] == "c"
