"""Reader of Workflow v0.1 documents, `{"ipvm/workflow": {...}}`: each task is rewritten as a job of Job v0.1.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import SignatureError
from ipvm_queue.workflow.document import assemble
from ipvm_queue.workflow.fields import EFFECT_TYPE, WASM_TYPES
from ipvm_queue.workflow.shapes import META, RAW, TEXT, Field, Reading, Record

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.faults import Path
    from ipvm_queue.workflow.limits import DocumentLimits
    from ipvm_queue.workflow.model import Workflow
    from ipvm_queue.workflow.source import Source

TAG: Final = "ipvm/workflow"
INVOKE: Final = "ucan/invoke"
CONFIG: Final = "ipvm/config"
WASM_ABILITIES: Final = ("wasm/run", "ipvm/run")
_SIGNATURES: Final = ("signature", "sig")
_WASM_PREFIXES: Final = ("wasm:1:", "wasm:")
_MOVED: Final[dict[str | int, Path]] = {
    "type": ("do",),
    "func": ("inputs", "func"),
    "input": ("inputs", "args"),
    CONFIG: ("meta", CONFIG),
}
_WORKFLOW: Final = Record(
    "a workflow",
    {
        "v": Field(TEXT, "version of the document"),
        "meta": Field(RAW, "anything"),
        "parent": Field(RAW, "the workflow and label that started this one"),
        "config": Field(RAW, "what the workflow may use"),
        "global": Field(RAW, "another name of config"),
        "defaults": Field(RAW, "what each task may use"),
        "tasks": Field(META, "a UCAN invocation", required=True),
        "catch": Field(RAW, "the Wasm module or task that looks at failures"),
    },
)
_INVOCATION: Final = Record(
    "'tasks'",
    {
        "v": Field(TEXT, "version of UCAN invocation"),
        "nnc": Field(RAW, "nonce"),
        "prf": Field(RAW, "UCAN delegations"),
        "run": Field(META, "tasks by label", required=True),
    },
)
_TASK: Final = Record(
    "a task",
    {
        "with": Field(RAW, "URI"),
        "do": Field(TEXT, "ability", required=True),
        "inputs": Field(RAW, "inputs; of Wasm {func, args}"),
        "meta": Field(META, "anything, and ipvm/config"),
        CONFIG: Field(RAW, "what the task may use"),
    },
)
_CALL: Final = Record("the inputs of Wasm", {"func": Field(RAW, "the export"), "args": Field(RAW, "its arguments")})


def is_workflow(value: dict[str, Value]) -> bool:
    """Whether a document has the shape of Workflow v0.1."""
    return TAG in value


def read_workflow(source: Source, limits: DocumentLimits) -> Workflow:
    """Return the workflow; raises `DocumentError` with all its faults, placed where they stand in this document."""
    for name in _SIGNATURES:
        if name in source.value:
            message = "Workflow v0.1 does not say who signed it, so its signature cannot be checked"
            hint = f"leave {name!r} out: the submitter signs what it submits"
            raise SignatureError(message, path=name, hint=hint)
    reading = Reading()
    for key in source.value:
        if key != TAG:
            reading.faults.add("unknown-field", f"a document has no field {key[:80]!r}", (key,), at_key=True)
    workflow = _WORKFLOW.read(source.value[TAG], (TAG,), reading)
    at: Path = (TAG, "tasks")
    tasks = workflow.get("tasks") or {}
    if INVOKE in tasks:
        tasks, at = tasks[INVOKE], (*at, INVOKE)
    invocation = _INVOCATION.read(tasks, at, reading) if tasks else {}
    run = invocation.get("run") or {}
    jobs = {label: _job(task, (*at, "run", label), reading) for label, task in run.items()}
    header = _header(workflow, invocation, reading)
    moved: dict[Path, Path] = {
        ("header", "config"): (TAG, "config" if "config" in workflow else "global"),
        ("header", "prf"): (*at, "prf"),
        ("header", "nonce"): (*at, "nnc"),
    }

    def origin(path: Path) -> Path:
        if path[:1] == ("jobs",):
            field = path[2:3] if path[2:3] == (CONFIG,) and CONFIG in run[path[1]] else _moved_field(path[2:3])
            return (*at, "run", *path[1:2], *field, *path[3:])
        return (*moved.get(path[:2], (TAG, *path[1:2])), *path[2:]) if path[:1] == ("header",) else path

    reading.origin = origin
    return assemble(source, {"header": header, "jobs": jobs}, reading, limits)


def _moved_field(field: Path) -> Path:
    """Return where a field of a job stands in a task; the empty path for the whole."""
    return _MOVED.get(field[0], field) if field else ()


def _header(workflow: dict[str, Any], invocation: dict[str, Any], reading: Reading) -> dict[str, Value]:
    header: dict[str, Value] = {
        name: workflow[name] for name in ("v", "meta", "parent", "config", "defaults") if name in workflow
    }
    if "global" in workflow:
        if "config" in workflow:
            reading.faults.add("conflict", "'config' and 'global' are names of one field: give one", (TAG, "global"))
        header["config"] = workflow["global"]
    header |= {name: invocation[given] for name, given in (("nonce", "nnc"), ("prf", "prf")) if given in invocation}
    catch = workflow.get("catch")
    if catch:
        header["catch"] = _job(catch, (TAG, "catch"), reading) if type(catch) is dict else _module(catch)
    return header


def _module(resource: Value) -> dict[str, Value]:
    if type(resource) is str:
        for prefix in _WASM_PREFIXES:
            resource = resource.removeprefix(prefix)
    return {"type": WASM_TYPES[0], "with": resource}


def _job(task: Value, path: Path, reading: Reading) -> Value:
    fields = _TASK.read(task, path, reading)
    meta = dict(fields.get("meta") or {})
    config = meta.pop(CONFIG, fields.get(CONFIG))
    resource = {"with": fields["with"]} if "with" in fields else {}
    inputs = {"inputs": fields["inputs"]} if "inputs" in fields else {}
    if fields.get("do") in WASM_ABILITIES:
        call = _CALL.read(inputs.get("inputs", {}), (*path, "inputs"), reading)
        job = {**_module(resource.get("with", "")), **{_NAMES[name]: value for name, value in call.items()}}
    else:
        job = {"type": EFFECT_TYPE, **resource, "do": fields.get("do") or "-", **inputs}
    return {**job, **({"meta": meta} if meta else {}), **({} if config is None else {CONFIG: config})}


_NAMES: Final = {"func": "func", "args": "input"}
