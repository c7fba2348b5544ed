"""Promises in IPLD form, and putting values in their place.

`{"await/ok": &Task}`, `{"await/error": &Task}` and `{"await/*": &Task}` (UCAN Promise 2) anywhere in a Task's args;
`{"from": promise, "out": i}` picks one of several return values (IPVM job 3.2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.ipld import Value

    Settled = tuple[Link, dict[str, Value]]  # a receipt's CID and its Result

_BRANCHES: Final = {"await/ok": "ok", "await/error": "error", "await/*": "*"}


class PromiseError(Exception):
    """Raised when a promise cannot be kept; `error` is what the waiting task's receipt says."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error


def form(branch: str, task: Link, out: int | None = None) -> Value:
    """Return a promise in IPLD form."""
    promise = {f"await/{branch}": task}
    return promise if out is None else {"from": promise, "out": out}


def resolve(template: Value, settled: Callable[[Link], Settled]) -> Value:
    """Return `template` with every promise replaced; what is put in is not looked into.

    `settled` gives the receipt and Result of a Task. Raises `PromiseError` for a branch mismatch (Promise 3.2) and
    for an `out` past the end.
    """
    if isinstance(template, list):
        return [resolve(item, settled) for item in template]
    if not isinstance(template, dict):
        return template
    if len(template) == 1:
        ((tag, task),) = template.items()
        if tag in _BRANCHES and isinstance(task, Link):
            return _take(_BRANCHES[tag], *settled(task))
    elif len(template) == 2 and "out" in template and _is_promise(template.get("from")):  # noqa: PLR2004
        return _pick(resolve(template["from"], settled), template["out"])
    return {key: resolve(item, settled) for key, item in template.items()}


def is_promise(value: Value) -> bool:
    """Whether `resolve` would put something else in the place of this value."""
    if not isinstance(value, dict):
        return False
    if len(value) == 1:
        return _is_promise(value) and isinstance(next(iter(value.values())), Link)
    return len(value) == 2 and "out" in value and _is_promise(value.get("from"))  # noqa: PLR2004


def awaited(template: Value) -> frozenset[Link]:
    """Return the Tasks that the promises in `template` await."""
    tasks: set[Link] = set()
    ahead = [template]
    while ahead:
        item = ahead.pop()
        if isinstance(item, list):
            ahead.extend(item)
        elif isinstance(item, dict):
            tasks.update(item.values() if _is_promise(item) and is_promise(item) else ())
            ahead.extend(item.values())
    return frozenset(tasks)


def _is_promise(value: Value) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _BRANCHES


def _take(branch: str, receipt: Link, result: dict[str, Value]) -> Value:
    if branch == "*":
        return result
    if branch in result:
        return result[branch]
    got = next(iter(result))
    raise PromiseError({"reason": "branch mismatch", "expected": branch, "got": got, "from": receipt})


def _pick(value: Value, out: int) -> Value:
    values = value if isinstance(value, list) else [value]
    if 0 <= out < len(values):
        return values[out]
    raise PromiseError(
        {
            "code": "promise/out",
            "message": f"out {out} is past the end: there {_count(len(values))}",
            "fault": "requestor",
        }
    )


def _count(number: int) -> str:
    return "is one return value" if number == 1 else f"are {number} return values"
