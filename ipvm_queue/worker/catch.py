"""The job-wide `catch`: a pure Wasm task that is handed the first Failure when everything else has ended.

It answers `{"ok": value}` (the run ends with that), `{"rewire": label}` (the run ends with that task's Result) or
`{"msg": text}` (the failure, reworded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipvm_queue.ipld import Link, decode, encode

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import Record
    from ipvm_queue.worker.sealing import Sealing
    from ipvm_queue.worker.tools import Tools


def failure(tools: Tools, run: str, plan: Plan, sealing: Sealing | None) -> dict[str, Value]:
    """Return the Failure of a run: the first task (in plan order) that failed it, its receipt and its error."""
    number = tools.runs.first_failed(run) or 0
    (record,) = tools.runs.records(run, [number])
    assert record is not None  # noqa: S101 - a node is the first to fail only once it has settled
    node = plan.node(number)
    return {
        "label": node.label,
        "task": node.task,
        "receipt": record.receipt,
        "error": _result(tools, node, record, sealing)["error"],
    }


def answer(tools: Tools, run: str, plan: Plan, record: Record, sealing: Sealing | None) -> str:
    """Read what the handler answered, remember it as the run's outcome, and return the run's status.

    It is sealed if the answer is secret, or what it is made of: a Result that it rewires to, an error that it rewords.
    """
    assert plan.catch is not None  # noqa: S101 - it has answered
    handler = plan.node(plan.catch)
    outcome, secret = _outcome(tools, run, plan, _result(tools, handler, record, sealing), sealing)
    hidden = sealing is not None and (secret or handler.secret)
    tools.runs.set_outcome(run, sealing.seal_outcome(outcome) if sealing is not None and hidden else encode(outcome))
    return "ok" if "ok" in outcome else "error"


def _outcome(
    tools: Tools, run: str, plan: Plan, result: dict[str, Value], sealing: Sealing | None
) -> tuple[dict[str, Value], bool]:
    """Return a run's outcome, and whether a secret task's Result is in it."""
    match result:
        case {"ok": {"ok": value, **rest}} if not rest:
            return {"ok": value}, False
        case {"ok": {"msg": str() as text, **rest}} if not rest:
            change: dict[str, Value] = {"message": text}
        case {"ok": {"rewire": str() as label, **rest}} if not rest:
            (record,) = tools.runs.records(run, [plan.labels[label]]) if label in plan.labels else [None]
            if record is not None:
                node = plan.node(plan.labels[label])
                return _result(tools, node, record, sealing), node.secret
            change = {"catch": f"there is no job {label!r} to rewire to"}
        case {"ok": other}:
            change = {"catch": f"answered {type(other).__name__} instead of {{ok}}, {{rewire}} or {{msg}}"}
        case _:
            change = {"catch": result["error"]}
    failed = failure(tools, run, plan, sealing)
    return {"error": {**_error(failed), **change}}, plan.node(plan.labels[failed["label"]]).secret


def _error(failed: dict[str, Value]) -> dict[str, Any]:
    error = failed["error"]
    fields = error if isinstance(error, dict) else {"error": error}
    return {"code": "failed", "message": f"{failed['label']} failed", **fields, "label": failed["label"]}


def _result(tools: Tools, node: Node, record: Record, sealing: Sealing | None) -> dict[str, Value]:
    out = record.result
    found: dict[str, Value] = decode(tools.blocks.get(out)) if isinstance(out, Link) else out
    return found if sealing is None or not sealing.covers(node, record.state) else sealing.open(node.task, found).out
