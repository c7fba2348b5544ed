"""WASI commands by CID (`wasi:CID`, `ipfs://CID`): arguments, environment, input, a folder of their own (`/work`).

`wasi/query` is granted nothing that outlives it: its folder begins with `files`, what `outputs` names in it is stored
as blocks, and the rest is gone. So it may be run again. `wasi/run` may also be granted directories of the operator's
(`[wasi.directories]`), by name, and changes the world where it may write to them: once. Neither is granted sockets,
because Wasmtime's network is all or nothing: HTTP reads from the origins that a job names are done for them by the
worker (`effects/wasi_network.py`), if the operator allows it and who asked for the job may read there; else the
network's word comes in from other effects, by promises.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.folder import CONTENT, FILES, NAME, OUTPUTS, check_paths, collect, content, folder, given
from ipvm_queue.effects.wasi_network import MAX_ORIGINS, Network, check_origins, uses
from ipvm_queue.errors import CodecError, UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm.outcome import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.effects.contract import Fault
    from ipvm_queue.ipld import Value
    from ipvm_queue.wasm.wasi import Directory, Wasi, WasiLimits, WasiOutcome

_MIB: Final = 1 << 20
_DEFAULTS: Final = {"gas": 10_000_000_000, "memory": 64 * _MIB, "scratch": 16 * _MIB}
_MOST: Final = {"max_memory": 1024 * _MIB, "max_scratch": 512 * _MIB}
_HOME: Final = "/work"
_TEXT: Final = {"type": "string", "maxLength": 65536}
_PROPERTIES: Final[dict[str, Any]] = {
    "args": {"type": "array", "items": _TEXT, "maxItems": 256, "description": "after the program's name, its CID"},
    "env": {"type": "object", "additionalProperties": _TEXT},
    "stdin": CONTENT | {"description": "text, bytes, the CID of a block, a guest's result, or any value (as DAG-JSON)"},
    "files": FILES | {"description": "what is in /work when it starts, by path; or a guest's result"},
    "outputs": OUTPUTS | {"description": "paths in /work that are stored as blocks"},
    "text": {"type": "boolean", "default": True, "description": "whether its output is text (UTF-8), or bytes"},
    "network": {
        "type": "array",
        "items": NAME,
        "maxItems": MAX_ORIGINS,
        "description": "origins (https://example.com) that the guest may read from through its worker",
    },
    "gas": {"type": "integer", "minimum": 1, "maximum": 1 << 62, "default": _DEFAULTS["gas"]},
    "memory": {"type": "integer", "minimum": 65536, "default": _DEFAULTS["memory"], "description": "bytes"},
    "scratch": {"type": "integer", "minimum": 0, "default": _DEFAULTS["scratch"], "description": "bytes in /work"},
}
_DIRECTORIES: Final = {
    "type": "object",
    "additionalProperties": NAME,
    "description": "names of the operator's directories, by the path that the guest sees",
}
_SIZE: Final = {"type": "integer", "minimum": 65536}
_GRANTED: Final = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "writable": {"type": "boolean"}},
    "required": ["path"],
}
CONFIG: Final = {
    "wasi": {
        "max_memory": _SIZE,
        "max_scratch": _SIZE,
        "network": {"type": "boolean"},
        "directories": {"type": "object", "additionalProperties": _GRANTED},
    }
}
_BEFORE: Final = frozenset(
    {"wasm/invalid-module", "wasm/missing-export", "wasm/bad-abi", "wasm/compile-limit", "wasm/host"}
)


def module_of(uri: str) -> Link:
    """Return the module that a URI names, `wasi:CID` or `ipfs://CID`; raises `CodecError`."""
    scheme, _, rest = uri.partition(":")
    return Link.parse(rest.removeprefix("//") if scheme.lower() == "wasi" else uri)


def check(uri: str, args: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a call that its schema does not see."""
    try:
        module_of(uri)
    except CodecError as error:
        return f"{uri[:80]!r} names no module: {error.message}"
    for name, value in args.get("env", {}).items():
        if not name or "=" in name or "\0" in f"{name}{value}":
            return f"{name[:80]!r} cannot be an environment variable"
    if any("\0" in str(text) for text in args.get("args", ())):
        return "an argument has a NUL in it"
    for guest in args.get("directories", {}):
        if not guest.startswith("/") or "\0" in guest or f"{guest}/".startswith(f"{_HOME}/"):
            return f"{guest[:80]!r} is not an absolute path outside {_HOME}"
    return check_origins(args) or check_paths(args)


def _run(context: Context, call: Call) -> Outcome:
    wrong = check(call.uri, call.args)
    if wrong is not None:  # a promise has brought it
        raise EffectError("wasi/argument", wrong, "requestor", sent=False)
    limits = _limits(context, call)
    granted = _granted(context, call.args.get("directories", {}))
    network = _network(context, call)
    with folder(context, given(call.args), limits.scratch) as scratch:
        directories = [*granted, _directory(scratch, _HOME, writable=True)]
        try:
            outcome = _start(context, call, directories, limits, network)
        except CallError as error:
            fault: Fault = "runner" if error.fault == "runner" else "requestor"
            code = error.code.replace("wasm/", "wasi/")
            sent = error.code not in _BEFORE
            raise EffectError(code, error.message, fault, sent=sent, transient=fault == "runner") from error
        answer = _answer(context, call, outcome, scratch)
        if network.evidence:
            answer.evidence["requests"] = network.evidence
        return answer


def _start(
    context: Context, call: Call, directories: list[Directory], limits: WasiLimits, network: Network
) -> WasiOutcome:
    from ipvm_queue.wasm.wasi import Grants  # noqa: PLC0415 - a submitter never pays for wasmtime

    module = module_of(call.uri)
    grants = Grants(
        args=call.args.get("args", []),
        env=call.args.get("env", {}),
        stdin=content(context, call.args.get("stdin", b"")),
        directories=directories,
        scratch=directories[-1].host,
        effects=network.answer,
    )
    runner = _runner(context.settings.cache_dir / "modules")
    return runner.run(module, content(context, module), grants, limits)


@cache
def _runner(cache_dir: Path) -> Wasi:
    from ipvm_queue.wasm.wasi import Wasi  # noqa: PLC0415

    try:
        return Wasi(cache_dir)
    except UsageError as error:
        raise EffectError("wasi/host", error.message, "runner", sent=False) from error


def _directory(host: Path, guest: str, *, writable: bool) -> Directory:
    from ipvm_queue.wasm.wasi import Directory  # noqa: PLC0415

    return Directory(host, guest, writable)


def _limits(context: Context, call: Call) -> WasiLimits:
    """Return what a call may use: what it asks for, unless the operator allows less."""
    from ipvm_queue.wasm.wasi import WasiLimits  # noqa: PLC0415

    asked = {name: call.args.get(name, default) for name, default in _DEFAULTS.items()}
    for name in ("memory", "scratch"):
        most = context.config("wasi").get(f"max_{name}", _MOST[f"max_{name}"])
        if name in call.args and asked[name] > most:
            message = f"{asked[name]} bytes of {name} are asked for; this worker gives {most}"
            raise EffectError(f"wasi/{name}-limit", message, "requestor", sent=False)
        asked[name] = min(asked[name], most)
    seconds = call.deadline - time.monotonic()
    return WasiLimits(asked["gas"], seconds, asked["memory"], call.max_bytes, asked["scratch"])


def _granted(context: Context, asked: Mapping[str, Any]) -> list[Directory]:
    """Return the operator's directories that a call names; raises `EffectError` for one that is not granted."""
    known = context.config("wasi").get("directories", {})
    found = []
    for guest, name in asked.items():
        if name not in known:
            message = f"no directory {name[:80]!r} is granted here; known: {', '.join(known) or 'none'}"
            raise EffectError("wasi/not-granted", message, "requestor", sent=False)
        host = Path(known[name]["path"])
        if not host.is_dir():
            raise EffectError("wasi/no-directory", f"the directory {name!r} is not there", "runner", sent=False)
        found.append(_directory(host, guest, writable=known[name].get("writable", False)))
    return found


def _network(context: Context, call: Call) -> Network:
    """Return what answers the guest; raises `EffectError` where origins are named and the operator allows none."""
    origins = call.args.get("network", [])
    if origins and not context.config("wasi").get("network", False):
        message = "this worker's WASI guests have no network ([wasi] network)"
        raise EffectError("wasi/not-granted", message, "requestor", sent=False)
    return Network(context, call, origins)


def _answer(context: Context, call: Call, outcome: WasiOutcome, scratch: Path) -> Outcome:
    evidence: dict[str, Value] = {"module": module_of(call.uri), "engine": outcome.engine}
    if outcome.gas is not None:
        evidence["gas"] = outcome.gas
    stderr = outcome.stderr.decode(errors="replace")
    stdout: Value = outcome.stdout
    if call.args.get("text", True):
        try:
            stdout = outcome.stdout.decode()
        except UnicodeDecodeError:
            error = _error("not-text", 'its output is not UTF-8; "text": false gives bytes')
            return Outcome({"error": error | {"exit": outcome.exit}}, evidence)
    written: dict[str, Value] = {"stdout": stdout, "stderr": stderr}
    if outcome.error is not None:
        code = outcome.error["code"].replace("wasm/", "")
        return Outcome({"error": _error(code, outcome.error["message"]) | written}, evidence)
    if outcome.exit:
        error = _error("exit", f"it ended with exit code {outcome.exit}")
        return Outcome({"error": error | {"exit": outcome.exit} | written}, evidence)
    try:
        files = collect(context, scratch, call.args.get("outputs", ()), call.max_bytes)
    except EffectError as failure:
        return Outcome({"error": failure.error | written}, evidence)
    return Outcome({"ok": {"exit": 0, "files": files} | written}, evidence)


def _error(code: str, message: str) -> dict[str, Value]:
    """Return the error of a guest that ran: the module is the requestor's, and so is its fault."""
    return {"code": f"wasi/{code}", "message": message, "fault": "requestor"}


def _effect(scheme: str, ability: str, safety: Safety, properties: dict[str, Any], summary: str) -> Effect:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Effect(scheme, ability, safety, _run, schema, summary, check=check, uses=uses)


_QUERY: Final = "Run a WASI command in a folder of its own; nothing of it stays but its outputs."
_COMMAND: Final = "Run a WASI command once, with the operator's directories that it names."
EFFECTS: Final = (
    *(_effect(scheme, "wasi/query", Safety.QUERY, _PROPERTIES, _QUERY) for scheme in ("wasi", "ipfs")),
    *(
        _effect(scheme, "wasi/run", Safety.COMMAND, _PROPERTIES | {"directories": _DIRECTORIES}, _COMMAND)
        for scheme in ("wasi", "ipfs")
    ),
)
