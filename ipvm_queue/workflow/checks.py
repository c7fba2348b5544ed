"""What every reader checks in the end, and how the faults become one error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.workflow.faults import show, unshow
from ipvm_queue.workflow.graph import find_cycles, predecessors, spell_out
from ipvm_queue.workflow.positions import scan

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.faults import Path
    from ipvm_queue.workflow.job import JobReader
    from ipvm_queue.workflow.limits import DocumentLimits
    from ipvm_queue.workflow.shapes import Reading
    from ipvm_queue.workflow.source import Source

CBOR_MAPS: Final = range(0xA0, 0xC0)  # how a map starts in DAG-CBOR; no JSON starts so


def check_count(jobs: Value, source: Source, limits: DocumentLimits) -> None:
    """Raise `DocumentError` when there are more jobs than the limit."""
    if type(jobs) in (dict, list) and len(jobs) > limits.tasks:
        message = f"{source.name} has {len(jobs)} jobs, at most {limits.tasks} are read"
        raise DocumentError(
            [Fault("too-many-tasks", message, hint="split it into several documents")], name=source.name
        )


def check_graph(jobs: JobReader, reading: Reading, at: Path) -> None:
    """Note promises to labels that do not exist, jobs that wait for themselves, and cycles."""
    tasks = jobs.tasks
    for label, path in (*reading.promised, *reading.followers):
        if label not in tasks:
            hint = reading.faults.suggest(label, tasks)
            reading.faults.add("missing-label", f"there is no job labelled {label[:80]!r}", path, hint=hint)
    for cycle in find_cycles(predecessors(tasks, jobs.waits)):
        task = tasks[cycle[0]]
        if len(cycle) == 1:
            reading.faults.add("self-reference", f"{cycle[0]!r} waits for itself", (*at, task.label), at_key=True)
        else:
            message = f"{len(cycle)} jobs wait for each other: {spell_out(cycle)}"
            reading.faults.add(
                "cycle", message, (*at, task.label), hint="jobs form a graph without cycles", at_key=True
            )


def place(faults: list[Fault], data: bytes | str) -> list[Fault]:
    """Return faults that were found after reading with line, column and excerpt, by their paths.

    `data` is the document that was read; faults of DAG-CBOR have no place.
    """
    text = text_of(data)
    if text is None:
        return faults
    paths = [unshow(fault.path) for fault in faults]
    positions = scan(text, paths)
    placed = []
    for fault, path in zip(faults, paths, strict=True):
        line, column, excerpt = positions.place(path)
        placed.append(replace(fault, line=line, column=column, excerpt=excerpt))
    return placed


def text_of(data: bytes | str) -> str | None:
    """Return the text of a document; None if it is DAG-CBOR."""
    if isinstance(data, str):
        return data
    return None if data[:1] and data[0] in CBOR_MAPS else data.decode("utf-8-sig")


def refuse(source: Source, reading: Reading) -> None:
    """Raise `DocumentError` with every fault and its place, in the order of the text, if there is any."""
    if not reading.faults and not source.repeats:
        return
    problems = reading.faults.problems
    origin = reading.origin
    if origin is not None:
        problems = [replace(found, path=origin(found.path)) for found in problems]
    faults = []
    if source.text is None:
        faults = [Fault(found.code, found.message, show(found.path), hint=found.hint) for found in problems]
    else:
        positions = scan(source.text, (found.path for found in problems))
        for path, offset in positions.repeated:
            message = f"the name {path[-1]!r} stands twice in one map"
            faults.append(Fault("duplicate-key", message, show(path), *positions.line_of(offset)))
        for found in problems:
            line, column, excerpt = positions.place(found.path, at_key=found.at_key)
            faults.append(Fault(found.code, found.message, show(found.path), line, column, excerpt, found.hint))
        faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
    if reading.faults.dropped:
        faults.append(Fault("too-many-faults", f"{reading.faults.dropped} more faults are not shown"))
    raise DocumentError(faults, name=source.name)
