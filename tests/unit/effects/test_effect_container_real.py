"""Programs in real containers, where podman or docker answers: what is granted, what is not, and what is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from container_images import image
from effect_context import EffectContext

from ipvm_queue.effects import EffectError, find
from ipvm_queue.effects.container import _reconcile
from ipvm_queue.effects.contract import Call
from ipvm_queue.effects.engine import Engine
from ipvm_queue.ipld import cid_of

RUN = find("docker:x", "executable/run")
QUERY = find("docker:x", "executable/query")


def engine_here():
    """Return the kind of an engine that answers, None where there is none."""
    for kind in ("podman", "docker"):
        path = shutil.which(kind)
        if path and not subprocess.run([path, "info"], capture_output=True, timeout=20, check=False).returncode:
            return kind
    return None


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Return the context of a worker with a real engine."""
    kind = engine_here()
    if kind is None:
        pytest.skip("neither podman nor docker answers here: no container can be run")
    return EffectContext(tmp_path_factory.mktemp("real"), containers={"engine": kind, "rootful": True})


@pytest.mark.parametrize(("text", "status"), [(b"hello\n", 0), (b"oops\n", 3)])
def test_a_real_engine_runs_an_image_by_cid(real, text, status):
    """An archive of one small program, loaded from its block."""
    out = real.do(QUERY, f"docker:{real.blocks.put(image(text=text, status=status))}", seconds=60.0).out

    if status:
        assert (out["error"]["exit"], out["error"]["stdout"]) == (status, text.decode())
    else:
        assert out["ok"]["stdout"] == text.decode()


@pytest.fixture(scope="module")
def boxed(real):
    """Return a function that runs a shell script in a container of a real engine."""
    path = shutil.which("busybox")
    if path is None or subprocess.run([path, "sh", "-c", "true"], env={}, check=False).returncode:
        pytest.skip("no static busybox here (apt-get install busybox-static): no image with a shell can be made")
    data = Path(path).read_bytes()
    if b"/lib64/ld-linux" in data[:4096]:
        pytest.skip("the busybox here is not static (apt-get install busybox-static)")
    uri = f"docker:{real.blocks.put(image(files={'bin/busybox': data}))}"

    def run(script, *, effect=QUERY, seconds=60.0, **more):
        given = {"func": "sh", "args": ["-c", script], "container": {"entry": "/bin/busybox"}} | more
        return real.do(effect, uri, seconds=seconds, **given)

    return run


def test_a_real_container_can_do_nothing_that_is_not_granted(boxed):
    """No network, no capability, no way to get one, not root, nothing to write to but its own."""
    script = """B=/bin/busybox
      $B cat /proc/net/dev | $B tail -n +3 | $B cut -d: -f1
      $B grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | $B tr -d '\\t'
      $B id -u
      echo x > /file || echo read-only
      echo x > /work/file && echo written
      $B env | $B grep -c IPVM_"""
    lines = boxed(script).out["error"]["stdout"].split()  # grep finds nothing, and says so by its exit code

    assert lines[0] == "lo"
    assert {"CapEff:0000000000000000", "CapBnd:0000000000000000", "NoNewPrivs:1"} <= set(lines)
    assert lines[-4] != "0"
    assert lines[-3:] == ["read-only", "written", "0"]


def test_a_real_container_takes_and_gives(boxed, real):
    """Arguments, environment, input, files and outputs."""
    out = boxed(
        "/bin/busybox cat; echo $A; /bin/busybox cat in.txt; echo kept > out.txt",
        stdin="input ",
        env={"$A": "b c"},
        files={"in.txt": "put"},
        outputs=["out.txt"],
    ).out["ok"]

    assert out["stdout"] == "input b c\nput"
    assert real.blocks.get(out["files"]["out.txt"]) == b"kept\n"


def test_a_real_container_is_killed_at_its_time(boxed):
    """The engine ends what runs on after its client is gone."""
    assert boxed("/bin/busybox sleep 600", seconds=8.0).out["error"]["code"] == "container/time-limit"


def test_a_real_container_that_was_left_is_ended(boxed, real):
    """The engine tells its labels in its own way; the end is found in them."""
    engine = Engine.find(real.config("containers")["engine"])
    name = f"ipvm-{os.urandom(8).hex()}"
    ended = threading.Thread(
        target=lambda: boxed("/bin/busybox sleep 600", effect=RUN, task=name.removeprefix("ipvm-"))
    )
    ended.start()
    try:
        while (state := engine.state(name)) is None or state.status != "running":
            time.sleep(0.1)
        engine.reap(time.time())
        assert engine.state(name).status == "running"
        engine.reap(time.time() + 10_000)
        ended.join(20)
        assert engine.state(name).status == "exited"
    finally:
        engine.remove(name)


def test_a_real_command_is_once_and_can_be_asked_for(boxed, real):
    """The engine keeps one container for a Task; what became of it is known after the worker has died."""
    task = cid_of(["a command", os.urandom(8)])
    call = Call("docker:x", "executable/run", {}, task, 0.0, 65536, 1)
    engine = Engine.find(real.config("containers")["engine"])
    try:
        assert boxed("echo done", effect=RUN, task=task).out["ok"]["stdout"] == "done\n"
        with pytest.raises(EffectError) as refused:
            boxed("echo done", effect=RUN, task=task)
        assert refused.value.code == "container/exists"
        assert _reconcile(real, call).out["ok"]["stdout"] == "done\n"
    finally:
        engine.remove(f"ipvm-{task}")
    assert _reconcile(real, call) is None
