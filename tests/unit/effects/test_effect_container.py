"""Programs in containers.

Most tests put a stand-in on PATH as the engine's client (tests/stand_in_engine.py): it shows how a client is called and
what is made of its answers, and nothing about isolation. Those with `real` need an engine and are skipped without.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from container_images import image, tar
from effect_context import EffectContext

from ipvm_queue.effects import EffectError, NotDoneError, Safety, find
from ipvm_queue.effects import check as wrong_with
from ipvm_queue.effects.container import _reconcile
from ipvm_queue.effects.contract import Call
from ipvm_queue.effects.engine import Spec, create_arguments
from ipvm_queue.effects.image import image_of, without_names
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, cid_of

RUN = find("docker:x", "executable/run")
QUERY = find("docker:x", "executable/query")
STAND_IN = Path(__file__).parents[2] / "stand_in_engine.py"
DIGEST = f"docker://example.com/tool@sha256:{'ab' * 32}"
MIB6 = 6 << 20
NEARLY = MIB6 - 4096
SHELL = {"container": {"entry": "/bin/sh"}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Put the stand-in on PATH under the name of podman, and return the folder in which it keeps things."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    script = programs / "podman"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{STAND_IN}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("IPVM_BROKER_URL", "redis://secret@example.com")
    return home


@pytest.fixture
def context(home, tmp_path):  # noqa: ARG001 - the stand-in has to be there
    """Return a worker's context whose engine is the stand-in."""
    return EffectContext(tmp_path / "cache", containers={"max_memory": 1 << 30})


@pytest.fixture
def shell(context):
    """Return a function that runs a shell script in a container of the stand-in."""
    uri = f"docker:1:{context.blocks.put(image())}"

    def run(script, *args, effect=RUN, task=None, **more):
        given = {"func": "-c", "args": [script, "sh", *args]} | SHELL | more
        return context.do(effect, uri, task=task or cid_of([script, more, os.urandom(4)]), **given)

    return run


def calls(home):
    """Return the commands that the client was given."""
    return [json.loads(line) for line in (home / "calls").read_text().splitlines()]


def test_arguments_environment_input_and_folder(shell, context):
    """The example of the specification: text as it is, everything else as DAG-JSON, `$` before a variable's name."""
    args = [1, "hello world", {"c": {"deep": True}}, Link.of(b"x")]
    out = shell('printf "%s|" "$@" "$FOO"; cat in.txt; echo kept > out.txt', *args, env={"$FOO": "bar"},
                files={"in.txt": "put"}, outputs=["out.txt"]).out["ok"]  # fmt: skip

    assert out["stdout"] == f'1|hello world|{{"c":{{"deep":true}}}}|{{"/":"{Link.of(b"x")}"}}|bar|put'
    assert context.blocks.get(out["files"]["out.txt"]) == b"kept\n"


def test_the_client_is_told_to_grant_nothing(shell, home):
    """No network, no capabilities, no new ones, nothing to write to but /tmp and /work, limits; no shell between."""
    shell("true")
    (made,) = [call for call in calls(home) if call[0] == "create"]
    text = " ".join(map(str, made[:-1]))

    for words in (
        "--network none", "--cap-drop all", "--security-opt no-new-privileges", "--read-only", "--pids-limit 128",
        f"--memory {256 << 20} --memory-swap {256 << 20}", "--cpus 1", "--pull never", "--workdir /work",
        "--tmpfs /tmp:rw,nosuid,nodev,size=67108864", "--entrypoint /bin/sh",
    ):  # fmt: skip
        assert words in text
    assert "--user 0" not in text
    assert "--privileged" not in text


def test_nothing_of_the_worker_gets_into_the_client(shell, home):
    """Its environment has no secret of the worker's, and nothing that the job says: that goes through a file."""
    shell("true", env={"DOCKER_HOST": "tcp://mallory", "LD_PRELOAD": "/work/evil.so"})

    for *_, names in calls(home):
        assert not [name for name in names if name.startswith("IPVM_") or name in ("LD_PRELOAD", "DOCKER_HOST")]


def test_archives_are_loaded_without_their_names(shell, home):
    """An archive that says it is python:latest does not become that; it is loaded once."""
    shell("true")
    shell("true")

    assert json.loads((home / "tags").read_text()) is None
    assert len([call for call in calls(home) if call[0] == "load"]) == 1


def test_an_exit_code_is_an_error(shell):
    """With what was written, and the code."""
    error = shell("echo said; exit 7").out["error"]

    assert (error["code"], error["exit"], error["stdout"], error["fault"]) == (
        "container/exit",
        7,
        "said\n",
        "requestor",
    )


@pytest.mark.parametrize(
    ("script", "more", "code"),
    [
        ("sleep 60", {"seconds": 8.0}, "container/time-limit"),
        ("while :; do echo flood; done", {"max_bytes": 10_000}, "container/output-limit"),
        (
            "while :; do echo fill >> f; done",
            {"scratch": MIB6, "files": {"big": "x" * NEARLY}},
            "container/scratch-limit",
        ),
    ],
)
def test_limits_end_it(shell, script, more, code):
    """Time, output and folder: the container is killed, and the error says which."""
    assert shell(script, **more).out["error"]["code"] == code


def test_one_task_has_one_container(shell):
    """A second delivery finds the container of the first, and nothing is done twice."""
    task = cid_of("the task")
    shell("echo once", task=task)
    with pytest.raises(EffectError) as refused:
        shell("echo once", task=task)

    assert (refused.value.code, refused.value.sent) == ("container/exists", True)


def test_reconcile_asks_the_engine(shell, context, home):
    """What ended is told, what runs or is nowhere stays in doubt, what never started has not happened."""
    task = cid_of("in doubt")
    call = Call("docker:x", "executable/run", {}, task, 0.0, 65536, 1)
    assert _reconcile(context, call) is None

    shell("echo done", task=task)
    assert _reconcile(context, call).out["ok"]["stdout"] == "done\n"
    assert _reconcile(context, call._replace(args={"outputs": ["f"]})) is None

    kept = home / f"ipvm-{task}.json"
    held = json.loads(kept.read_text())
    kept.write_text(json.dumps(held | {"status": "running"}))
    assert _reconcile(context, call) is None
    kept.write_text(json.dumps(held | {"status": "created"}))
    with pytest.raises(NotDoneError):
        _reconcile(context, call)


def test_what_a_dead_worker_left_running_is_ended(shell, home):
    """A container is labelled with its end; whoever comes by after that ends it."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    until = int(time.time()) - 1
    held = {"status": "running", "pid": process.pid, "options": {"--label": ["ipvm-queue", f"ipvm-until={until}"]}}
    (home / "ipvm-left.json").write_text(json.dumps(held))
    try:
        shell("true")
        assert process.wait(10) < 0
    finally:
        process.kill()
    (made,) = [call for call in calls(home) if call[0] == "create"]
    assert any(isinstance(word, str) and word.startswith("ipvm-until=") for word in made)


def test_a_query_leaves_no_container(shell, home):
    """It may run twice, has no network to ask for, and its container is gone."""
    assert shell("echo asked", effect=QUERY).out["ok"]["stdout"] == "asked\n"
    assert list(home.glob("ipvm-q-*")) == []
    assert "network" not in QUERY.schema["properties"]
    assert (QUERY.safety, RUN.safety) == (Safety.QUERY, Safety.COMMAND)


def test_a_network_is_the_operators_to_give(shell, context, home):
    """Asked for and not allowed: refused; allowed: the client is not told to take it away."""
    with pytest.raises(EffectError) as refused:
        shell("true", network=True)
    assert (refused.value.code, refused.value.sent) == ("container/not-granted", False)

    context.tables["containers"]["network"] = True
    shell("true", network=True)
    assert "--network" not in calls(home)[-3]


def test_an_engine_that_runs_as_root_has_to_be_allowed(shell, context, home):
    """Rootless is what is asked of an engine; the operator may say otherwise."""
    (home / "rootless").write_text("false")
    with pytest.raises(EffectError) as refused:
        shell("true")
    assert (refused.value.code, refused.value.fault, refused.value.sent) == ("container/rootful", "runner", False)

    context.tables["containers"]["rootful"] = True
    assert shell("true").out["ok"]["exit"] == 0


def test_without_an_engine_it_says_so(context, monkeypatch):
    """A worker without podman and docker cannot run containers, and nothing has happened."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EffectError) as refused:
        context.do(RUN, DIGEST)

    assert (refused.value.code, refused.value.fault, refused.value.sent) == ("container/no-engine", "runner", False)


def test_images_are_fetched_only_from_where_the_operator_says(context, home):
    """By digest, so that the registry cannot choose what runs."""
    with pytest.raises(EffectError) as refused:
        context.do(RUN, DIGEST)
    assert (refused.value.code, refused.value.sent) == ("container/no-image", False)

    context.tables["containers"]["pull"] = ["example.com/"]
    with pytest.raises(EffectError, match="pull failed"):  # which the stand-in cannot do
        context.do(RUN, DIGEST)
    assert ["pull", "--quiet", DIGEST.removeprefix("docker://")] in [call[:3] for call in calls(home)]


@pytest.mark.parametrize(
    "uri",
    [
        "docker:python:latest",
        "docker://python:latest",
        "docker:2:bafk",
        "ipfs://python",
        "docker:-v",
        f"docker://-v@sha256:{'a' * 64}",
        "docker:",
    ],
)
def test_an_image_is_named_by_content_alone(uri):
    """A tag may mean another image tomorrow."""
    with pytest.raises(CodecError):
        image_of(uri)
    (wrong,) = wrong_with(uri, "executable/run", {})
    assert wrong.count("names no image") == 1


@pytest.mark.parametrize(
    "args",
    [
        {"env": {"A B": "x"}},
        {"env": {"A": "x\ny=z"}},
        {"args": ["a\0b"]},
        {"container": {"workdir": "work"}},
        {"files": {"../x": "x"}},
        {"outputs": ["/etc/passwd"]},
        {"network": "yes"},
        {"privileged": True},
    ],
)
def test_what_cannot_be_is_refused_at_submission(args):
    """Names, paths, kinds, and what there is not."""
    assert list(wrong_with(DIGEST, "executable/run", args))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        tar({}),
        tar({"manifest.json": b"[]"}),
        tar({"manifest.json": b'[{"Config": "../x", "Layers": []}]'}),
        tar({"manifest.json": b'[{"Config": "c", "Layers": []}]', "../c": b"{}"}),
        tar({"manifest.json": b"[" * 100_000}),
        image()[:2000],
    ],
)
def test_what_is_no_archive_is_refused(data):
    """Strangers' bytes: no traceback, nothing outside of them."""
    with pytest.raises(EffectError) as refused:
        without_names(data)

    assert (refused.value.code, refused.value.sent) == ("container/no-image", False)


def test_both_engines_are_told_the_same():
    """But for the user's own number, which podman has to map."""
    limits = {"memory": 1, "processes": 1, "cpus": 0.5, "until": 9}
    spec = Spec("n", "i", ["a"], None, "/", Path("/e"), Path("/w"), network=False, **limits)
    podman, docker = (create_arguments(kind, spec) for kind in ("podman", "docker"))

    assert [word for word in podman if word not in ("--userns", "keep-id")] == docker
    assert docker[-2:] == ["i", "a"]
