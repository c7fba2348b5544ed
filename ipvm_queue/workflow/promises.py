"""Promises as documents write them, at any depth of a job's inputs (IPVM job 3.2.3, UCAN Promise 2).

- `{"from": label}`, `{"from": label, "out": 0}`: the result of a job of this document, or one of its several values
- `{"ucan/promise": ["/", label]}`: the same, as the effects notes write it
- `{"await/ok": link}`, `{"await/error": link}`, `{"await/*": link}`: a Task by its CID, of any document
- `{"await/error": {"from": label}}`: another branch than `ok` of a job of this document
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, Value
from ipvm_queue.workflow.faults import Path, kind_of
from ipvm_queue.workflow.model import Branch, Promise
from ipvm_queue.workflow.shapes import parse_cid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.workflow.model import Task
    from ipvm_queue.workflow.shapes import Reading

AWAITS: Final[dict[str, Branch]] = {"await/ok": "ok", "await/error": "error", "await/*": "*"}
UCAN: Final = "ucan/promise"
_FROM: Final = ("from", "out")
_RESERVED: Final = frozenset((*AWAITS, UCAN))
_LEAVES: Final = frozenset((str, int, float, bool, bytes, type(None), Link))
_UCAN_PATH_LENGTH: Final = 2


def fill(value: Value, path: Path, reading: Reading) -> Value:
    """Return `value` with every promise in it as a `Promise`; the depth of documents is limited before."""
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is list:
        return [
            item if type(item) in _LEAVES else fill(item, (*path, index), reading) for index, item in enumerate(value)
        ]
    if stands_for_promise(value):
        return read_promise(value, path, reading)
    return {key: item if type(item) in _LEAVES else fill(item, (*path, key), reading) for key, item in value.items()}


def stands_for_promise(value: Value) -> bool:
    """Whether a value of a document is written as a promise: well or badly."""
    if type(value) is not dict:
        return False
    if "from" in value:
        return all(key in _FROM for key in value)
    return not _RESERVED.isdisjoint(value)


def read_promise(value: dict[str, Value], path: Path, reading: Reading) -> Promise | None:
    """Return the promise that `value` is written as; None after noting a fault (`bad-promise`, `bad-cid`)."""
    if "from" in value:
        return _local(value["from"], value.get("out"), (*path, "from"), reading)
    if len(value) > 1:
        tag = next(key for key in value if key in _RESERVED)
        return _bad(f"{tag!r} stands alone in its map", path, reading)
    [(tag, target)] = value.items()
    if tag == UCAN:
        if type(target) is list and len(target) == _UCAN_PATH_LENGTH and target[0] == "/":
            return _local(target[1], None, (*path, tag, 1), reading)
        return _bad(f'{UCAN!r} is written like {{"{UCAN}": ["/", "label"]}}', (*path, tag), reading)
    return _await(AWAITS[tag], target, (*path, tag), reading)


def _await(branch: Branch, target: Value, path: Path, reading: Reading) -> Promise | None:
    if type(target) is Link:
        return Promise(branch, task=target)
    if type(target) is dict and ("from" in target or UCAN in target) and stands_for_promise(target):
        inner = read_promise(target, path, reading)
        return None if inner is None else Promise(branch, inner.label, out=inner.out)
    hint = 'a Task is written {"/": "bafy…"}, a job of this document {"from": "label"}'
    if type(target) is str:
        try:
            parse_cid(target)
        except CodecError:
            return _bad(f"{path[-1]!r} takes a link, this is the text {target[:80]!r}", path, reading, hint)
        return _bad(f"{path[-1]!r} takes a link, this is its text", path, reading, f'write {{"/": "{target[:100]}"}}')
    return _bad(f"{path[-1]!r} takes a link, this is {kind_of(target)}", path, reading, hint)


def _local(label: Value, out: Value, path: Path, reading: Reading) -> Promise | None:
    if type(label) is not str:
        return _bad(f"a promise names a job by its label, this is {kind_of(label)}", path, reading)
    if out is not None and (type(out) is not int or out < 0):
        return _bad("'out' counts the values of a result from 0", (*path[:-1], "out"), reading)
    reading.promised.append((label, path))
    return Promise(label=label, out=out)


def _bad(message: str, path: Path, reading: Reading, hint: str | None = None) -> Promise | None:
    reading.faults.add("bad-promise", message, path, hint=hint)
    return None


def promises(task: Task) -> Iterator[Promise]:
    """Yield every promise of a task: in its arguments, its `with` and its `func`; never recurses."""
    pending: list[Value] = [task.args, task.func, task.resource]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is Promise:
            yield value
        elif kind is list:
            pending.extend(reversed(value))
        elif kind is dict:
            pending.extend(reversed(value.values()))
