"""The deployment that compose/ describes, run for real: the same processes from the same files, started by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from deployment import ROOT, Deployment

from ipvm_queue.crypto import load_signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

GUESTS = ROOT / "examples" / "guests"
CANARY = "Canarius"


def write_job(directory: Path, name: str, jobs: dict[str, Any]) -> Path:
    """Write a job document and return its path."""
    path = directory / f"{name}.json"
    path.write_text(json.dumps(jobs))
    return path


def pipeline(first_name: str) -> dict[str, Any]:
    """Return a job of two tasks that passes a text from one to the other."""
    full_name = {
        "type": "wasm/1.0",
        "with": f"file:{GUESTS}/full-name.wasm",
        "input": [{"firstName": first_name}, {"lastName": "Mann"}],
    }
    count = {
        "type": "wasm/1.0",
        "with": f"file:{GUESTS}/count.wasm",
        "input": [{"name": {"from": "fullName", "out": 0}}],
    }
    return {"fullName": full_name, "count": count}


def primes(chunks: int, size: int) -> dict[str, Any]:
    """Return a job of independent tasks of some milliseconds each."""
    return {
        f"chunk-{i}": {
            "type": "wasm/1.0",
            "with": f"file:{GUESTS}/primes.wasm",
            "func": "count-primes",
            "input": [{"start": i * size}, {"end": (i + 1) * size}],
        }
        for i in range(chunks)
    }


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a broker, gate, one worker and Flower, which has been there before them."""
    running = Deployment(tmp_path_factory.mktemp("deployment"))
    try:
        running.start_broker()
        running.start_flower()
        running.start_gate()
        running.start_worker("first")
        yield running
    finally:
        running.stop_all()


@pytest.fixture(scope="module")
def answer(deployment: Deployment) -> dict[str, Any]:
    """Return what `ipvm-submit --json` said of a job with a canary in its arguments and results."""
    return deployment.submit(write_job(deployment.directory, "canary", pipeline(CANARY)))


def task_events(deployment: Deployment, labels: set[str]) -> list[dict[str, Any]]:
    """Return Flower's tasks once it has heard of all the labels."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        found[:] = json.loads(deployment.flower("/api/tasks")).values()
        return labels <= {str(task["args"]).split(" ")[0] for task in found if task["state"] == "SUCCESS"}

    deployment.wait_for("flower", told)
    return found


def test_flower_lists_all_queues_before_any_worker(tmp_path: Path):
    """The broker page lists every queue of ours with no worker up, and none that is not ours."""
    running = Deployment(tmp_path)
    try:
        running.start_broker()
        running.start_flower()
        queues = json.loads(running.flower("/api/queues/length"))["active_queues"]
        page = running.flower("/broker")
    finally:
        running.stop_all()

    assert [queue["name"] for queue in queues] == ["ipvm.effects", "ipvm.wasm"]
    assert "ipvm.effects" in page
    assert "ipvm.wasm" in page


def test_job_runs_under_access_control(deployment: Deployment, answer: dict[str, Any]):
    """A submitter, a worker and an operator do their work with the commands that config/users.acl gives them."""
    assert answer["status"] == "ok"
    assert answer["tasks"]["fullName"]["out"] == {"ok": f"{CANARY} Mann"}
    assert answer["tasks"]["count"]["out"] == {"ok": len(f"{CANARY} Mann")}
    assert deployment.refused() == []


@pytest.mark.parametrize("role", ["submitter", "operator"])
def test_commands_run_under_access_control(deployment: Deployment, answer: dict[str, Any], role: str):
    """Submitters and operators can look at runs and receipts, add blocks and cancel, without a refusal behind it."""
    run, receipt = answer["run"], answer["tasks"]["count"]["receipt"]["/"]
    commands = [
        ("run", "list"),
        ("run", "show", run),
        ("run", "show", run[:8]),
        ("run", "watch", run),
        ("receipt", "verify", receipt),
        ("block", "stat", receipt),
        ("run", "cancel", run),
        ("run", "cancel", run, "--key", str(deployment.files()["queue_key"])),
    ]
    if role == "operator":
        commands += [("block", "put", str(ROOT / "LICENSE")), ("doctor",), ("memo", "stat"), ("run", "resume", run)]
    said = {command: deployment.ipvm(role, *command) for command in commands}

    assert {command: done.stderr for command, done in said.items() if done.returncode} == {}
    assert deployment.refused() == []


def test_a_further_job_runs_under_access_control(deployment: Deployment):
    """A worker has a job run in the user's name with the rights on the broker that a worker has."""
    deployment.start_worker("world", "-P", "solo", program="workers.effects")
    own, let = deployment.files()["proofs"], deployment.directory / "in-my-name.ucan"
    worker = load_signer(deployment.directory / "world" / "ipvm" / "keys" / "worker.pem").did
    grants = ("--push", "--command", "/ipvm/run", "--command", "/wasm/run")
    done = deployment.ipvm("submitter", "delegate", worker, *grants, "--proof", str(own), "-o", str(let))
    assert done.returncode == 0, done.stderr

    blocks = [f"--block={GUESTS}/{name}.wasm" for name in ("full-name", "count")]
    said = deployment.submit(ROOT / "examples" / "in-my-name" / "job.json", f"--proof={let}", *blocks)

    assert said["tasks"]["more"]["out"] == {"ok": {"count": 10, "initials": "B. M."}}
    assert deployment.refused() == []
    deployment.stop("world")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a broker alone."""
    running = Deployment(tmp_path_factory.mktemp("broker"))
    try:
        running.start_broker()
        yield running
    finally:
        running.stop_all()


def test_broker_keeps_what_it_was_told(broker: Deployment):
    """What was written before the broker was stopped is there when it is started again: the append-only file is on."""
    with broker.redis("operator") as redis:
        redis.set("{ipvm:default}:block:kept", b"bytes")
    broker.stop("valkey")
    broker.start_broker()

    with broker.redis("submitter") as redis:
        assert redis.get("{ipvm:default}:block:kept") == b"bytes"


def test_flower_shows_labels_and_short_cids(deployment: Deployment, answer: dict[str, Any]):
    """A task stands in Flower by its label and the short CID of its Task, under the run's id; its result is a CID."""
    tasks = {str(task["args"]).split(" ")[0]: task for task in task_events(deployment, set(answer["tasks"]))}

    for label, told in answer["tasks"].items():
        shown = tasks[label]
        short = shown["args"].removeprefix(f"{label} ")
        cid = told["task"]["/"]
        assert shown["name"] == "ipvm.run"
        assert shown["uuid"].startswith(f"{answer['run']}:")
        assert len(short) < len(cid)
        assert short[-4:] == cid[-4:]
        assert told["receipt"]["/"] in shown["result"]


def test_flower_shows_no_argument_and_no_result(deployment: Deployment, answer: dict[str, Any]):
    """No page of Flower, and nothing of its API, has a value that a task was given or gave."""
    tasks = task_events(deployment, set(answer["tasks"]))
    pages = ["/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers"]
    pages += [f"/task/{task['uuid']}" for task in tasks]
    pages += [f"/api/task/info/{task['uuid']}" for task in tasks]

    assert [page for page in pages if CANARY in deployment.flower(page)] == []


def test_flower_is_for_those_with_a_password(deployment: Deployment):
    """Flower's pages and API are shut without the user and password of the environment."""
    auth, deployment.auth = deployment.auth, "watcher:wrong"
    try:
        for page in ("/", "/tasks", "/api/tasks"):
            with pytest.raises(OSError, match="401"):
                deployment.flower(page)
    finally:
        deployment.auth = auth


def test_a_second_worker_shares_the_work(deployment: Deployment, answer: dict[str, Any]):
    """A worker that is started later takes part at once: both sign receipts of one run."""
    del answer
    deployment.start_worker("second", "-c", "1")
    shared = deployment.submit(write_job(deployment.directory, "primes", primes(64, 2000)))
    workers = {task["worker"] for task in shared["tasks"].values()}

    assert shared["status"] == "ok"
    assert len(workers) == 2
    assert deployment.stop("second") == 0
    assert deployment.refused() == []


def test_the_operator_s_file_reaches_the_worker(deployment: Deployment, answer: dict[str, Any]):
    """What config/celeryconfig.py says is in force in a worker."""
    del answer
    deployment.wait_for("flower", lambda: '"conf"' in deployment.flower("/api/workers?refresh=1"))
    (worker,) = [
        told for name, told in json.loads(deployment.flower("/api/workers")).items() if name.startswith("first@")
    ]

    assert worker["conf"]["worker_log_color"] is False
