"""`Engine`: podman or docker by its command line, without a shell.

What both understand alike is all that is used. The client runs without the worker's environment: nothing that a job
says gets into it, and no secret of the worker's does.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.effects import program
from ipvm_queue.effects.contract import EffectError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LABEL: Final = "ipvm-queue"
_UNTIL: Final = "ipvm-until"
_RUNNING: Final = re.compile(rf"(?P<name>ipvm-[a-z0-9-]+)\s.*\b{_UNTIL}\W+(?P<until>\d+)")
HOME: Final = "/work"
_KINDS: Final = ("podman", "docker")
_OWN: Final = ("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_HOST", "DOCKER_CONFIG", "CONTAINER_HOST")
_NOBODY: Final = 65534
_ASK_SECONDS: Final = 30.0
_MAX_ANSWER: Final = 1 << 20
_KEPT: Final = "24h"  # how long a container that has ended can still be asked for
_FILES: Final = 1024
_USER_PROCESSES: Final = 4096
_TMP_BYTES: Final = 64 << 20


class Spec(NamedTuple):
    """A container to be made. `folder` becomes `/work`; `env_file` holds NAME=VALUE lines; `memory` is in bytes.

    From `until` on (Unix seconds) it may be ended by whoever finds it: its own worker has died.
    """

    name: str
    image: str
    command: Sequence[str]
    entry: str | None
    workdir: str
    env_file: Path
    folder: Path
    network: bool
    memory: int
    processes: int
    cpus: float
    until: int


class State(NamedTuple):
    """What became of a container: `created`, `running` or `exited`, and its exit code then."""

    status: str
    code: int
    is_out_of_memory: bool


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine's client: `kind` is `podman` or `docker`, `path` where it is."""

    kind: str
    path: str

    @classmethod
    def find(cls, wanted: str | None) -> Engine:
        """Return the wanted engine, by default podman, else docker; raises `EffectError` where there is none."""
        for kind in _KINDS if wanted is None else (wanted,):
            path = shutil.which(kind)
            if path is not None:
                return cls(kind, path)
        message = f"this worker has no container engine: {wanted or ' nor '.join(_KINDS)} is not installed"
        raise EffectError("container/no-engine", message, "runner", sent=False)

    def check(self, *, rootful: bool) -> None:
        """Raise `EffectError` unless the engine answers and is rootless, or `rootful` says that it need not be."""
        wanted = "{{.Host.Security.Rootless}}" if self.kind == "podman" else "{{.SecurityOptions}}"
        told = self._ask("info", "--format", wanted)
        if not rootful and "true" not in told and "rootless" not in told:
            message = f"{self.kind} runs as root here, and the operator has not allowed that ([containers] rootful)"
            raise EffectError("container/rootful", message, "runner", sent=False)

    def has(self, image: str) -> bool:
        """Whether an image is here already."""
        return self._run("image", "inspect", "--format", "{{.Id}}", image).code == 0

    def load(self, archive: Path) -> None:
        """Take an image in from an archive."""
        self._ask("load", "--input", str(archive))

    def pull(self, image: str, seconds: float) -> None:
        """Fetch an image by its digest."""
        self._ask("pull", "--quiet", image, seconds=seconds)

    def create(self, spec: Spec) -> None:
        """Make a container; raises `EffectError` (`container/exists`) where there is one of its name already."""
        ended = self._run(*create_arguments(self.kind, spec))
        if ended.code:
            words = _words(ended)
            if "already in use" in words or "already exists" in words:
                raise EffectError("container/exists", f"the container {spec.name} is there already", "runner")
            raise EffectError("container/engine", f"{self.kind} made no container: {words}", "runner", sent=False)

    def start(
        self, name: str, *, stdin: bytes, seconds: float, most: int, watch: Callable[[], str | None]
    ) -> program.Ended:
        """Start a container and stay with it to its end, or until its limits end it."""
        command = [self.path, "start", "--attach", "--interactive", name]
        return program.run(
            command,
            env=client_environment(),
            seconds=seconds,
            most=most,
            stdin=stdin,
            watch=watch,
            stop=lambda: self._run("kill", "--signal", "KILL", name),
        )

    def state(self, name: str) -> State | None:
        """Return what became of a container, None where there is none of that name."""
        ended = self._run("container", "inspect", "--format", "{{json .State}}", name)
        if ended.code:
            return None
        try:
            told: dict[str, Any] = json.loads(ended.stdout)
            return State(str(told["Status"]), int(told["ExitCode"]), bool(told.get("OOMKilled", False)))
        except (ValueError, KeyError, TypeError) as error:
            raise EffectError("container/engine", f"{self.kind} says what nobody understands", "runner") from error

    def logs(self, name: str, most: int) -> program.Ended:
        """Return what a container has written."""
        return program.run([self.path, "logs", name], env=client_environment(), seconds=_ASK_SECONDS, most=most)

    def remove(self, name: str) -> None:
        """Take a container away, whatever it does."""
        self._run("rm", "--force", name)

    def reap(self, now: float) -> None:
        """End the containers of ours whose time is over: their workers died, or these would have."""
        told = self._run("ps", "--filter", f"label={LABEL}", "--format", "{{.Names}} {{.Labels}}").stdout.decode()
        for found in map(_RUNNING.search, told.splitlines()):
            if found is not None and int(found["until"]) < now:
                self._run("kill", "--signal", "KILL", found["name"])

    def prune(self) -> None:
        """Take away the containers of ours that ended long ago."""
        filters = ["--filter", f"label={LABEL}", "--filter", f"until={_KEPT}"]
        self._run("container", "prune", "--force", *filters)

    def _run(self, *arguments: str, seconds: float = _ASK_SECONDS) -> program.Ended:
        command = [self.path, *arguments]
        try:
            return program.run(command, env=client_environment(), seconds=seconds, most=_MAX_ANSWER)
        except OSError as error:
            raise EffectError("container/engine", f"{self.path}: {error.strerror}", "runner", sent=False) from error

    def _ask(self, *arguments: str, seconds: float = _ASK_SECONDS) -> str:
        ended = self._run(*arguments, seconds=seconds)
        if ended.code or ended.stopped:
            message = f"{self.kind} {arguments[0]} failed: {ended.stopped or _words(ended)}"
            raise EffectError("container/engine", message, "runner", sent=False)
        return ended.stdout.decode(errors="replace")


def create_arguments(kind: str, spec: Spec) -> list[str]:
    """Return what follows the engine's name to make a container that may do nothing but what `spec` grants."""
    user, group = os.getuid() or _NOBODY, os.getgid() or _NOBODY
    return [
        "create",
        *("--name", spec.name),
        *("--label", LABEL),
        *("--label", f"{_UNTIL}={spec.until}"),
        "--interactive",
        *(() if spec.network else ("--network", "none")),
        *("--cap-drop", "all"),
        *("--security-opt", "no-new-privileges"),
        "--read-only",
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,size={_TMP_BYTES}"),  # noqa: S108 - the container's own
        *("--volume", f"{spec.folder}:{HOME}:rw"),
        *(("--userns", "keep-id") if kind == "podman" and os.getuid() else ()),
        *("--user", f"{user}:{group}"),
        *("--memory", str(spec.memory), "--memory-swap", str(spec.memory)),
        *("--pids-limit", str(spec.processes)),
        *("--ulimit", f"nofile={_bound(resource.RLIMIT_NOFILE, _FILES)}"),
        *("--ulimit", f"nproc={_bound(resource.RLIMIT_NPROC, _USER_PROCESSES)}"),
        *("--cpus", f"{spec.cpus:g}"),
        *("--pull", "never"),
        *("--workdir", spec.workdir),
        *("--env-file", str(spec.env_file)),
        *(() if spec.entry is None else ("--entrypoint", spec.entry)),
        spec.image,
        *spec.command,
    ]


def _bound(kind: int, most: int) -> str:
    """Return a limit, soft and hard: engines that set higher ones than this process has cannot start anything."""
    hard = resource.getrlimit(kind)[1]
    return ":".join([str(most if hard == resource.RLIM_INFINITY else min(most, hard))] * 2)


def client_environment() -> dict[str, str]:
    """Return the environment of the engine's client: what finds the engine, and nothing else of the worker's."""
    return {name: os.environ[name] for name in _OWN if name in os.environ}


def env_lines(env: Mapping[str, str]) -> str:
    """Return an environment as an engine reads it from a file."""
    return "".join(f"{name}={value}\n" for name, value in env.items())


def _words(ended: program.Ended) -> str:
    return ended.stderr.decode(errors="replace").strip()[-300:]
