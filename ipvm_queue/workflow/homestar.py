"""Reader of Homestar workflows, `{tasks: [{run, cause, meta, prf}]}`: each task is rewritten as a job of Job v0.1.0.

Homestar names a task by its instruction: the CID (DAG-CBOR, sha3-256) of `run`. Promises to instructions of the same
document become promises to labels; those to others stay as they are.
"""

from __future__ import annotations

from base64 import b32hexdecode
from binascii import Error as Base32Error
from hashlib import sha3_256
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.ipld import Link, Value, encode
from ipvm_queue.workflow.config import MAX_GAS
from ipvm_queue.workflow.document import assemble
from ipvm_queue.workflow.faults import kind_of
from ipvm_queue.workflow.fields import WASM_TYPES
from ipvm_queue.workflow.promises import AWAITS
from ipvm_queue.workflow.shapes import META, RAW, Field, Reading, Record

if TYPE_CHECKING:
    from ipvm_queue.workflow.faults import Path
    from ipvm_queue.workflow.limits import DocumentLimits
    from ipvm_queue.workflow.model import Workflow
    from ipvm_queue.workflow.source import Source

OP: Final = "wasm/run"
CONFIG: Final = "ipvm/config"
_SHA3_256: Final = b"\x01\x71\x16\x20"
_MOVED: Final[dict[str | int, Path]] = {
    "with": ("run", "rsc"),
    "func": ("run", "input", "func"),
    "input": ("run", "input", "args"),
    "nonce": ("run", "nnc"),
    CONFIG: ("meta",),
}
_TASK: Final = Record(
    "a task",
    {
        "run": Field(META, "the instruction", required=True),
        "cause": Field(RAW, "the receipt that caused the task"),
        "meta": Field(META, "fuel, bytes of memory, milliseconds of time"),
        "prf": Field(RAW, "UCAN delegations"),
    },
)
_RUN: Final = Record(
    "'run'",
    {
        "op": Field(RAW, "wasm/run", required=True),
        "rsc": Field(RAW, "the module", required=True),
        "nnc": Field(RAW, "nonce"),
        "input": Field(META, "func and args", required=True),
    },
)
_INPUT: Final = Record("'input'", {"func": Field(RAW, "the export"), "args": Field(RAW, "its arguments")})


def is_homestar(value: dict[str, Value]) -> bool:
    """Whether a document has the shape of a Homestar workflow."""
    return type(value.get("tasks")) is list


def tame_fuel(value: dict[str, Value]) -> dict[str, Value]:
    """Return `value` with fuel in 64 bits: Homestar's own largest value, as JavaScript rounds it, means no limit."""
    return {**value, "tasks": [_tame(task) for task in value["tasks"]]}


def _tame(task: Value) -> Value:
    meta = task.get("meta") if type(task) is dict else None
    if type(meta) is dict and type(meta.get("fuel")) is int and meta["fuel"] > MAX_GAS:
        return {**task, "meta": {**meta, "fuel": MAX_GAS}}
    return task


def instruction_cid(run: Value) -> Link:
    """Return the CID by which Homestar's promises name an instruction."""
    return Link(_SHA3_256 + sha3_256(encode(run)).digest())


def read_homestar(source: Source, limits: DocumentLimits) -> Workflow:
    """Return the workflow; its labels are `<func>-<index>`. Raises `DocumentError` with all faults of the document."""
    reading = Reading()
    tasks = source.value["tasks"]
    for key in source.value:
        if key != "tasks":
            reading.faults.add("unknown-field", f"a document has no field {key[:80]!r}", (key,), at_key=True)
    labels = [_label(task, index) for index, task in enumerate(tasks)]
    names = _instructions(tasks, labels)
    indexes = {label: index for index, label in enumerate(labels)}
    jobs = {label: _job(tasks[index], ("tasks", index), names, reading) for label, index in indexes.items()}
    proofs = [proof for task in tasks if type(task) is dict for proof in _list(task.get("prf"))]

    def origin(path: Path) -> Path:
        if path[:1] == ("jobs",):
            where = (indexes[str(path[1])],) if len(path) > 1 else ()
            return ("tasks", *where, *_moved(path[2:]))
        return ("tasks",) if path[:1] == ("header",) else path

    reading.origin = origin
    return assemble(source, {"header": {"prf": proofs} if proofs else {}, "jobs": jobs}, reading, limits)


def _moved(field: Path) -> Path:
    """Return where a field of a job, or what is in it, stands in a task."""
    if field == (CONFIG, "gas"):
        return ("meta", "fuel")
    return (*_MOVED.get(field[0], field[:1]), *field[1:]) if field else ()


def _list(value: Value) -> list[Value]:
    return value if type(value) is list else []


def _run(task: Value) -> dict[str, Any]:
    run = task.get("run") if type(task) is dict else None
    return run if type(run) is dict else {}


def _label(task: Value, index: int) -> str:
    call = _run(task).get("input")
    func = call.get("func") if type(call) is dict else None
    return f"{func}-{index}" if type(func) is str and func and "/" not in func else f"task-{index}"


def _instructions(tasks: list[Value], labels: list[str]) -> dict[Link, str]:
    """Return the labels of this document's tasks by instruction; a text nonce also as its bytes."""
    names: dict[Link, str] = {}
    for task, label in zip(tasks, labels, strict=True):
        run = _run(task)
        names.setdefault(instruction_cid(run), label)
        nonce = run.get("nnc")
        if type(nonce) is str and nonce:
            try:
                raw = b32hexdecode(nonce.upper() + "=" * (-len(nonce) % 8))
            except Base32Error:
                continue
            names.setdefault(instruction_cid({**run, "nnc": raw}), label)
    return names


def _job(task: Value, path: Path, names: dict[Link, str], reading: Reading) -> Value:
    fields = _TASK.read(task, path, reading)
    run = _RUN.read(fields.get("run") or {}, (*path, "run"), reading)
    if run.get("op") not in (None, OP):
        reading.faults.add("unknown-type", f"{run['op']!r} is no op of Homestar: {OP!r} is", (*path, "run", "op"))
    call = _INPUT.read(run.get("input") or {}, (*path, "run", "input"), reading)
    job = {"type": WASM_TYPES[0], "with": run.get("rsc"), "input": _relabel(call.get("args", []), names)}
    if "func" in call:
        job["func"] = call["func"]
    if run.get("nnc"):
        job["nonce"] = run["nnc"]
    if fields.get("cause") is not None:
        job["meta"] = {"cause": fields["cause"]}
    config = _config(fields.get("meta") or {}, (*path, "meta"), reading)
    return {**job, CONFIG: config} if config else job


def _config(meta: dict[str, Value], path: Path, reading: Reading) -> dict[str, Value]:
    config: dict[str, Value] = {}
    for given, name in (("fuel", "gas"), ("memory", "memory"), ("time", "time")):
        amount = meta.get(given)
        if type(amount) is int:
            config[name] = [amount, "milli", "seconds"] if name == "time" else amount
        elif amount is not None:
            reading.faults.add("wrong-type", f"{given!r} is a number, this is {kind_of(amount)}", (*path, given))
    return config


def _relabel(value: Value, names: dict[Link, str]) -> Value:
    """Return `value` with the awaits of instructions in `names` as awaits of labels; documents have limited depth."""
    if type(value) is list:
        return [_relabel(item, names) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        [(tag, target)] = value.items()
        if tag in AWAITS and type(target) is Link and target in names:
            return {tag: {"from": names[target]}}
    return {key: _relabel(item, names) for key, item in value.items()}
