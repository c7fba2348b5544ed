"""The job-wide `catch`: a pure Wasm task that is handed the first Failure when everything else has ended.

It answers `{"ok": value}` (the run ends with that), `{"rewire": label}` (the run ends with that task's Result) or
`{"msg": text}` (the failure, reworded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipvm_queue.ipld import Link, decode, encode

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.store import Record
    from ipvm_queue.worker.tools import Tools


def failure(tools: Tools, run: str, plan: Plan) -> dict[str, Value]:
    """Return the Failure of a run: the first task (in plan order) that failed it, its receipt and its error."""
    number = tools.runs.first_failed(run)
    assert number is not None  # noqa: S101 - the handler's turn comes when a node has failed
    (record,) = tools.runs.records(run, [number])
    assert record is not None  # noqa: S101 - a node is the first to fail only once it has settled
    node = plan.node(number)
    return {
        "label": node.label,
        "task": node.task,
        "receipt": record.receipt,
        "error": _result(tools, record)["error"],
    }


def answer(tools: Tools, run: str, plan: Plan, record: Record) -> str:
    """Read what the handler answered, remember it as the run's outcome, and return the run's status."""
    outcome = _outcome(tools, run, plan, _result(tools, record))
    tools.runs.set_outcome(run, encode(outcome))
    return "ok" if "ok" in outcome else "error"


def _outcome(tools: Tools, run: str, plan: Plan, result: dict[str, Value]) -> dict[str, Value]:
    match result:
        case {"ok": {"ok": value, **rest}} if not rest:
            return {"ok": value}
        case {"ok": {"msg": str() as text, **rest}} if not rest:
            return {"error": {**_error(failure(tools, run, plan)), "message": text}}
        case {"ok": {"rewire": str() as label, **rest}} if not rest:
            (record,) = tools.runs.records(run, [plan.labels[label]]) if label in plan.labels else [None]
            if record is not None:
                return _result(tools, record)
            problem: Value = f"there is no job {label!r} to rewire to"
        case {"ok": other}:
            problem = f"answered {type(other).__name__} instead of {{ok}}, {{rewire}} or {{msg}}"
        case _:
            problem = result["error"]
    return {"error": {**_error(failure(tools, run, plan)), "catch": problem}}


def _error(failed: dict[str, Value]) -> dict[str, Any]:
    error = failed["error"]
    fields = error if isinstance(error, dict) else {"error": error}
    return {"code": "failed", "message": f"{failed['label']} failed", **fields, "label": failed["label"]}


def _result(tools: Tools, record: Record) -> dict[str, Value]:
    out = record.result
    return decode(tools.blocks.get(out)) if isinstance(out, Link) else out  # type: ignore[no-any-return]
