"""Before a workflow is signed: bring its modules, choose its functions, and check its calls against them."""

from __future__ import annotations

from itertools import chain
from stat import S_ISREG
from typing import TYPE_CHECKING, Protocol

from ipvm_queue.effects import UnknownEffectError, check, is_private
from ipvm_queue.errors import DocumentError, Fault, MissingBlockError, ModuleError, UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm import PENDING, ModuleInfo, inspect
from ipvm_queue.workflow import Promise, Task, Workflow, bind, name_functions
from ipvm_queue.workflow.taint import unforced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.memo import Memo

_FILE = "file:"


class Modules(Protocol):
    """Where a submission's modules come from: blocks it brings, or the store."""

    def info(self, cid: Link) -> ModuleInfo:
        """Return what a module is; raises `MissingBlockError` or `ModuleError`."""


def bring_files(workflow: Workflow, folder: Path, limit: int) -> tuple[Workflow, dict[Link, bytes]]:
    """Replace every `with: "file:…"` by the CID of that file (relative to `folder`); return the blocks too.

    Raises `DocumentError` for files that cannot be read, or have more than `limit` bytes.
    """
    named: dict[str, Link] = {}
    blocks: dict[Link, bytes] = {}
    faults = []
    for task in _wasm_tasks(workflow):
        resource = task.resource
        if not isinstance(resource, str) or not resource.startswith(_FILE) or resource in named:
            continue
        try:
            data = _read(folder / resource.removeprefix(_FILE), limit)
        except UsageError as error:
            faults.append(_fault(task, "file", f"cannot read {resource}: {error.message}", error.hint))
            continue
        named[resource] = Link.of(data)
        blocks[named[resource]] = data
    if faults:
        raise DocumentError(faults)
    return (bind(workflow, named) if named else workflow), blocks


def _read(path: Path, limit: int) -> bytes:
    """Return what is in a file; raises `UsageError` that says why it cannot be a block."""
    try:
        if not S_ISREG(path.stat().st_mode):  # a device or a pipe may have no end, or nobody who writes to it
            raise UsageError("no regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(str(error.strerror)) from error
    except ValueError as error:  # what cannot be the name of a file
        raise UsageError(str(error)) from error
    if len(data) > limit:
        raise UsageError(f"larger than {limit} bytes", hint="max_block_bytes is the largest block that is stored")
    return data


def complete(workflow: Workflow, modules: Modules) -> Workflow:
    """Return the workflow with a function chosen for every Wasm task; raises `DocumentError` with every wrong call.

    What a promise will bring is checked when it is there. (DESIGN: `func`)
    """
    faults: dict[str, list[Fault]] = {label: [] for label in workflow.tasks}
    after: list[Fault] = []
    chosen = {
        label: _complete(task, modules, faults[label])
        for label, task in sorted(workflow.tasks.items(), key=_by_module)  # so that each module is looked into once
    }
    catch = None if workflow.catch is None else _complete(workflow.catch, modules, after)
    if found := [*chain.from_iterable(faults.values()), *after]:
        raise DocumentError(found)
    named = {label: func for label, func in chosen.items() if func is not None}
    return name_functions(workflow, named, catch) if named or catch else workflow


def choose(workflow: Workflow, modules: Modules) -> Workflow:
    """Return the workflow with a function chosen for the Wasm tasks that name none; raises `DocumentError`."""
    if all(task.func is not None for task in _wasm_tasks(workflow)):
        return workflow
    return complete(workflow, modules)


class ModuleBook:
    """What is known of modules: `known` remembers it for the caller, `brought` are looked at before the store.

    However large it is, the newest is remembered while it is asked for.
    """

    def __init__(self, known: Memo[ModuleInfo], brought: Mapping[Link, bytes], blocks: Blocks) -> None:
        self._known = known
        self._brought = brought
        self._blocks = blocks
        self._newest: tuple[Link, ModuleInfo] | None = None

    def info(self, cid: Link) -> ModuleInfo:
        """Return what a module is; raises `MissingBlockError` or `ModuleError`."""
        if self._newest is None or self._newest[0] != cid:
            self._newest = (cid, self._look(cid))
        return self._newest[1]

    def _look(self, cid: Link) -> ModuleInfo:
        info = self._known.get(cid)
        if info is None:
            data = self._brought.get(cid)
            info = inspect(self._blocks.get(cid) if data is None else data)
            self._known.put(cid, info, info.size)
        return info


class Blocks(Protocol):
    """Where modules are that a submission does not bring."""

    def get(self, cid: Link) -> bytes:
        """Return a block; raises `MissingBlockError`."""


def _by_module(labelled: tuple[str, Task]) -> bytes:
    resource = labelled[1].resource
    return resource.bytes if isinstance(resource, Link) else b""


def _complete(task: Task, modules: Modules, faults: list[Fault]) -> str | None:
    """Return the function to be named for a task, None where its own stands."""
    if task.kind != "wasm":
        faults.extend(_effect_faults(task))
        return None
    if not isinstance(task.resource, Link):
        if task.func is None:
            hint = 'say which with "func"'
            faults.append(_fault(task, "function", f"job {task.label!r} promises its module and names no func", hint))
        return None
    try:
        info = modules.info(task.resource)
        if isinstance(task.func, Promise):
            return None
        func = info.choose(task.label) if task.func is None else info.find(task.func)
        if task.label != "catch" or task.args:
            info.check_call(func, [PENDING if _promised(arg) else arg for arg in task.args])
    except (ModuleError, MissingBlockError) as error:
        faults.append(_fault(task, error.code, f"job {task.label!r}: {error.message}", error.hint))
        return None
    return None if func == task.func else func


def _effect_faults(task: Task) -> list[Fault]:
    assert not isinstance(task.resource, Link)  # noqa: S101 - for the type checker: the reader makes a URI of it
    assert isinstance(task.args, dict)  # noqa: S101
    try:
        wrong = list(check(task.resource, task.ability, task.args))
    except UnknownEffectError as error:
        return [_fault(task, "effect", f"job {task.label!r}: {error.message}", error.hint)]
    faults = [_fault(task, "argument", f"job {task.label!r}: {each}") for each in wrong]
    return [*faults, unforced(task)] if task.public and not task.force and is_private(task) else faults


def _promised(value: Value | Promise) -> bool:
    if isinstance(value, Promise):
        return True
    if isinstance(value, dict):
        return any(_promised(item) for item in value.values())
    return isinstance(value, list) and any(_promised(item) for item in value)


def _wasm_tasks(workflow: Workflow) -> list[Task]:
    catch = [] if workflow.catch is None else [workflow.catch]
    return [task for task in (*workflow.tasks.values(), *catch) if task.kind == "wasm"]


def _fault(task: Task, code: str, message: str, hint: str | None = None) -> Fault:
    return Fault(code, message, path=task.path, hint=hint)
