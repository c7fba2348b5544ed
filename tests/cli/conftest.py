"""Commands in this process and in their own, with a home of their own and one stack for all tests."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass

import pytest
from commands import BIN

from ipvm_queue.cli import exits
from ipvm_queue.cli.main import ipvm
from ipvm_queue.cli.submit import submit
from ipvm_queue.embedded import Embedded
from ipvm_queue.settings import Settings


@dataclass
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on standard output."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give each test an empty home, an empty working directory and no settings."""
    for name in [name for name in os.environ if name.startswith(("IPVM_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Keep one embedded stack, with workers, for the session."""
    base = tmp_path_factory.mktemp("stack")
    variables = {
        "IPVM_DATA_DIR": str(base / "data"),
        "IPVM_CACHE_DIR": str(base / "cache"),
        "IPVM_KEY": str(base / "user.pem"),
        "IPVM_WORKER_KEY": str(base / "worker.pem"),
        "IPVM_QUEUE_KEY": str(base / "queue.pem"),
        "IPVM_SERVICE_KEY": str(base / "service.pem"),
        "IPVM_PROOFS": str(base / "user.ucan"),
        "IPVM_WORKER_PROOFS": str(base / "worker.ucan"),
        "IPVM_QUEUE_PROOFS": str(base / "queue.ucan"),
    }
    names = {name.removeprefix("IPVM_").lower(): value for name, value in variables.items()}
    with Embedded.join(Settings(**names)):
        subprocess.run([BIN / "ipvm", "key", "new"], env=os.environ | variables, check=True, capture_output=True)
        yield variables


@pytest.fixture
def up(stack, monkeypatch):
    """Let the commands of this test find the stack."""
    for name, value in stack.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def call(capfdbinary):
    """Return a function that runs `ipvm` or `ipvm-submit` in this process, as the installed command does."""

    def run(program, *arguments):
        capfdbinary.readouterr()
        command = {"ipvm": ipvm, "ipvm-submit": submit}[program]
        code = exits.call(command, [str(each) for each in arguments], program)
        out, err = capfdbinary.readouterr()
        return Answer(code, out.decode(), err.decode())

    return run


@pytest.fixture
def begin():
    """Return a function that starts an installed command; what is still running after the test is killed."""
    started = []

    def start(program, *arguments):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([BIN / program, *arguments], **pipes))
        return started[-1]

    yield start
    for command in started:
        if command.returncode is None:
            command.kill()
            command.communicate()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file into the working directory and gives its path."""

    def put(name, content):
        path = tmp_path / "work" / name
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put
