"""Programs in OCI containers: `executable/run` and `docker/run` (effects 4.3), by podman or docker.

The image is named by content (`effects/image.py`). What runs has no capabilities, no network unless the job asks for
one and the operator allows it, a read-only root, `/tmp`, and `/work`, which begins with `files` and whose `outputs` are
stored as blocks. Both abilities are commands: they run once. A container is named by its Task, so there cannot be two
on one machine, and one that has ended can be asked for a day. `executable/query` never has a network and leaves
nothing behind, so it may run again.
"""

from __future__ import annotations

import re
import tempfile
import time
from base64 import b32encode
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, NotDoneError, Outcome, Safety
from ipvm_queue.effects.engine import HOME, Engine, Spec, env_lines
from ipvm_queue.effects.folder import CONTENT, FILES, OUTPUTS, check_paths, collect, content, folder, given
from ipvm_queue.effects.image import image_of, without_names
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import to_json
from ipvm_queue.wasm.tree import exceeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.effects.engine import State
    from ipvm_queue.effects.program import Ended
    from ipvm_queue.ipld import Value

_MIB: Final = 1 << 20
_MEMORY: Final = 256 * _MIB
_MAX_MEMORY: Final = 4096 * _MIB
_SCRATCH: Final = 64 * _MIB
_MAX_SCRATCH: Final = 4096 * _MIB
_PROCESSES: Final = 128
_LEFT: Final = 1.0  # seconds that a call must have left for its container to be started
_OVERTIME: Final = 60  # seconds after its time that a container is left to the worker that started it
_ENV_NAME: Final = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_]*")
_TEXT: Final = {"type": "string", "maxLength": 65536}
_SIZE: Final = {"type": "integer", "minimum": 6 * _MIB}
_PROPERTIES: Final[dict[str, Any]] = {
    "func": _TEXT | {"description": "the first argument"},
    "args": {"type": "array", "maxItems": 256, "description": "text as it is, everything else as DAG-JSON"},
    "env": {"type": "object", "additionalProperties": {"type": ["string", "integer", "number", "boolean"]}},
    "container": {
        "type": "object",
        "properties": {"entry": _TEXT, "workdir": _TEXT},
        "description": "entry: what is run instead of the image's entry point; workdir: where",
    },
    "stdin": CONTENT | {"description": "text, bytes, the CID of a block, a guest's result, or any value (as DAG-JSON)"},
    "files": FILES | {"description": "what is in /work when it starts, by path; or a guest's result"},
    "outputs": OUTPUTS | {"description": "paths in /work that are stored as blocks"},
    "text": {"type": "boolean", "default": True, "description": "whether its output is text (UTF-8), or bytes"},
    "memory": _SIZE | {"default": _MEMORY, "description": "bytes"},
    "scratch": _SIZE | {"default": _SCRATCH, "description": "bytes in /work"},
    "cpus": {"type": "number", "minimum": 0.01, "maximum": 1024, "default": 1},
}
_NETWORK: Final = {"type": "boolean", "default": False, "description": "a network, if the operator allows it"}
CONFIG: Final = {
    "containers": {
        "engine": {"enum": ["podman", "docker"]},
        "rootful": {"type": "boolean"},
        "network": {"type": "boolean"},
        "pull": {"type": "array", "items": {"type": "string"}},
        "max_memory": _SIZE,
        "max_scratch": _SIZE,
        "max_cpus": {"type": "number", "minimum": 0.01},
    }
}


def check(uri: str, args: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a call that its schema does not see."""
    try:
        image_of(uri)
    except CodecError as error:
        return f"{uri[:80]!r} names no image: {error.message}"
    for name, value in args.get("env", {}).items():
        if not _ENV_NAME.fullmatch(name) or (isinstance(value, str) and set(value) & set("\0\r\n")):
            return f"{name[:80]!r} cannot be an environment variable here, with one line of text"
    setting = args.get("container", {})
    words = [args.get("func", ""), *args.get("args", ()), *setting.values()]
    if any("\0" in word for word in words if isinstance(word, str)):
        return "an argument has a NUL in it"
    if not setting.get("workdir", "/").startswith("/"):
        return "workdir is no absolute path"
    return check_paths(args)


def name_of(call: Call) -> str:
    """Return the container's name: its Task's for a command, so that there is one; any for a query."""
    if call.ability.endswith("/query"):
        return f"ipvm-q-{b32encode(urandom(15)).decode().lower()}"
    return f"ipvm-{call.task}"


def _run(context: Context, call: Call) -> Outcome:
    wrong = check(call.uri, call.args)
    if wrong is not None:  # a promise has brought it
        raise EffectError("container/argument", wrong, "requestor", sent=False)
    config = context.config("containers")
    _check_grants(call, config)
    engine = Engine.find(config.get("engine"))
    engine.check(rootful=config.get("rootful", False))
    engine.reap(time.time())
    engine.prune()
    image = _image(context, call, engine)
    scratch = call.args.get("scratch", min(_SCRATCH, config.get("max_scratch", _MAX_SCRATCH)))
    with folder(context, given(call.args), scratch) as work, tempfile.NamedTemporaryFile("w") as env:
        work.chmod(0o777)  # its parent is this user's alone
        env.write(env_lines({name.lstrip("$"): _word(value) for name, value in call.args.get("env", {}).items()}))
        env.flush()
        spec = _spec(call, config, image, Path(env.name), work)
        stdin = content(context, call.args.get("stdin", b""))
        if call.deadline - time.monotonic() < _LEFT:
            raise EffectError("container/time-limit", "no time is left to start the container", "requestor", sent=False)
        engine.create(spec)
        try:
            return _stay(context, call, engine, _Guest(spec, stdin, scratch))
        finally:
            if call.ability.endswith("/query"):
                engine.remove(spec.name)


class _Guest(NamedTuple):
    spec: Spec
    stdin: bytes
    scratch: int


class _End(NamedTuple):
    ended: Ended
    state: State
    stopped: str | None
    work: Path | None


def _stay(context: Context, call: Call, engine: Engine, guest: _Guest) -> Outcome:
    spec = guest.spec

    def watch() -> str | None:
        return "scratch-limit" if exceeds(spec.folder, guest.scratch) else None

    seconds = call.deadline - time.monotonic()
    ended = engine.start(spec.name, stdin=guest.stdin, seconds=seconds, most=call.max_bytes, watch=watch)
    state = engine.state(spec.name)
    if state is None or state.status == "created":
        message = f"{engine.kind} did not start the container: {ended.stderr.decode(errors='replace')[-300:]}"
        raise EffectError("container/not-started", message, "requestor", sent=state is None)
    evidence: dict[str, Value] = {"image": spec.image, "engine": engine.kind, "container": spec.name}
    end = _End(ended, state, ended.stopped or watch(), spec.folder)
    return Outcome(_result(context, call, end), evidence)


def _result(context: Context, call: Call, end: _End) -> dict[str, Value]:
    ended, state, stopped, work = end
    stderr = ended.stderr.decode(errors="replace")
    stdout: Value = ended.stdout
    if call.args.get("text", True):
        try:
            stdout = ended.stdout.decode()
        except UnicodeDecodeError:
            return _error("not-text", 'its output is not UTF-8; "text": false gives bytes', exit=state.code)
    written: dict[str, Value] = {"stdout": stdout, "stderr": stderr}
    if stopped is not None:
        return _error(stopped, f"it was ended by its {stopped.replace('-', ' ')}", **written)
    if state.is_out_of_memory:
        return _error("memory-limit", "it wanted more memory than its limit", **written)
    if state.code:
        return _error("exit", f"it ended with exit code {state.code}", exit=state.code, **written)
    files: dict[str, Value] = {}
    if work is not None:
        try:
            files = collect(context, work, call.args.get("outputs", ()), call.max_bytes)
        except EffectError as failure:
            return {"error": failure.error | written}
    return {"ok": {"exit": 0, "files": files} | written}


def _error(code: str, message: str, **more: Value) -> dict[str, Value]:
    return {"error": {"code": f"container/{code}", "message": message, "fault": "requestor", **more}}


def _reconcile(context: Context, call: Call) -> Outcome | None:
    """Ask this machine's engine for the container of the Task; whether another machine had one, nobody knows."""
    try:
        engine = Engine.find(context.config("containers").get("engine"))
        engine.reap(time.time())
        state = engine.state(name_of(call))
    except EffectError:
        return None
    if state is None or state.status == "running":
        return None
    if state.status == "created":
        raise NotDoneError(f"the container of {call.task} was made and never started")
    if call.args.get("outputs"):  # its folder is gone, and the outputs with it
        return None
    ended = engine.logs(name_of(call), call.max_bytes)
    evidence: dict[str, Value] = {"engine": engine.kind, "container": name_of(call)}
    return Outcome(_result(context, call, _End(ended, state, ended.stopped, None)), evidence)


def _check_grants(call: Call, config: Mapping[str, Any]) -> None:
    """Raise `EffectError` for more than the operator gives."""
    if call.args.get("network", False) and not config.get("network", False):
        message = "this worker's containers have no network ([containers] network)"
        raise EffectError("container/not-granted", message, "requestor", sent=False)
    most = {"memory": _MAX_MEMORY, "scratch": _MAX_SCRATCH, "cpus": float("inf")}
    for name, bound in most.items():
        allowed = config.get(f"max_{name}", bound)
        if name in call.args and call.args[name] > allowed:
            message = f"{call.args[name]} of {name} is asked for; this worker gives {allowed}"
            raise EffectError(f"container/{name}-limit", message, "requestor", sent=False)


def _image(context: Context, call: Call, engine: Engine) -> str:
    """Return the image as the engine knows it, taken in or fetched if it is not there yet."""
    image = image_of(call.uri)
    if image.archive is not None:
        digest, archive = without_names(content(context, image.archive))
        if not engine.has(digest):
            with tempfile.NamedTemporaryFile(suffix=".tar") as file:
                file.write(archive)
                file.flush()
                engine.load(Path(file.name))
        return digest
    name = str(image.name)
    if not engine.has(name):
        if not any(name.startswith(prefix) for prefix in context.config("containers").get("pull", ())):
            message = f"the image {name} is not here, and this worker may not fetch it ([containers] pull)"
            raise EffectError("container/no-image", message, "requestor", sent=False)
        engine.pull(name, call.deadline - time.monotonic())
    return name


def _spec(call: Call, config: Mapping[str, Any], image: str, env_file: Path, work: Path) -> Spec:
    args = call.args
    setting = args.get("container", {})
    func = [args["func"]] if "func" in args else []
    return Spec(
        name=name_of(call),
        image=image,
        command=[_word(word) for word in (*func, *args.get("args", ()))],
        entry=setting.get("entry"),
        workdir=setting.get("workdir", HOME),
        env_file=env_file,
        folder=work,
        network=args.get("network", False),
        memory=args.get("memory", min(_MEMORY, config.get("max_memory", _MAX_MEMORY))),
        processes=_PROCESSES,
        cpus=args.get("cpus", min(1.0, config.get("max_cpus", 1.0))),
        until=int(time.time() + call.deadline - time.monotonic()) + _OVERTIME,
    )


def _word(value: Value) -> str:
    """Return a value as a program takes it: text as it is, everything else as DAG-JSON."""
    return value if isinstance(value, str) else to_json(value)


def _effect(scheme: str, ability: str) -> Effect:
    is_query = ability.endswith("/query")
    properties = _PROPERTIES if is_query else _PROPERTIES | {"network": _NETWORK}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    summary = "Run a program in a container, without a network and without a trace." if is_query else (
        "Run a program in a container, once."
    )  # fmt: skip
    safety = Safety.QUERY if is_query else Safety.COMMAND
    reconcile = None if is_query else _reconcile
    return Effect(scheme, ability, safety, _run, schema, summary, reconcile=reconcile, check=check)


EFFECTS: Final = tuple(
    _effect(scheme, ability)
    for ability in ("executable/run", "docker/run", "executable/query")
    for scheme in ("docker", "oci", "ipfs")
)
