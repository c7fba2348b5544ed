"""Reader of Job v0.1.0 documents: `{header, jobs, signature}`, or a bare map of labelled jobs. (IPVM job 3)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.workflow.config import merge
from ipvm_queue.workflow.faults import show
from ipvm_queue.workflow.fields import HEADER
from ipvm_queue.workflow.graph import find_cycles, predecessors, spell_out
from ipvm_queue.workflow.job import JobReader
from ipvm_queue.workflow.model import Config, Task, Workflow
from ipvm_queue.workflow.positions import scan
from ipvm_queue.workflow.shapes import Reading
from ipvm_queue.workflow.signing import check_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.limits import DocumentLimits
    from ipvm_queue.workflow.source import Source

PARTS: Final = ("header", "jobs", "signature")


def read_document(source: Source, limits: DocumentLimits) -> Workflow:
    """Return the workflow of a Job v0.1.0 document; raises `DocumentError` with all its faults."""
    value = source.value
    if not is_enveloped(value):
        value, at = {"header": {}, "jobs": value}, ()
    else:
        at = ("jobs",)
    body = {"header": value.get("header", {}), "jobs": value.get("jobs")}
    signature = check_signature(body, value["signature"]) if "signature" in value else None
    check_count(body["jobs"], source, limits)
    reading = Reading()
    for key in value:
        if key not in PARTS:
            hint = reading.faults.suggest(key, PARTS) or f"known are: {', '.join(PARTS)}"
            reading.faults.add("unknown-field", f"a document has no field {key[:80]!r}", (key,), hint=hint, at_key=True)
    header = HEADER.read(body["header"], ("header",), reading)
    jobs = JobReader(reading, base_config(header))
    if at and "jobs" not in value:
        reading.faults.add("missing-field", "a document needs the field 'jobs'", ())
    else:
        jobs.read_jobs(body["jobs"], at)
    catch = jobs.read_catch(header["catch"], ("header", "catch")) if "catch" in header else None
    check_graph(jobs.tasks, reading, at)
    refuse(source, reading)
    return Workflow(
        tasks=jobs.tasks,
        catch=catch,
        requestor=header.get("requestor"),
        nonce=header.get("nonce"),
        meta=header.get("meta") or {},
        parent=header.get("parent"),
        proofs=header.get("prf") or (),
        signature=signature,
        body=body,
    )


def is_enveloped(value: Mapping[str, Value]) -> bool:
    """Whether a map is `{header, jobs, signature}`, and not a map of jobs that have these labels."""
    return any(part in value and not _is_job(value[part]) for part in PARTS)


def _is_job(value: Value) -> bool:
    return type(value) is dict and ("do" in value or type(value.get("type")) is str)


def base_config(header: Mapping[str, Any]) -> Config:
    """Return what every job starts from: the defaults, then the job-wide `config`, then `defaults` over it."""
    return merge(merge(Config(), header.get("config") or {}), header.get("defaults") or {})


def check_count(jobs: Value, source: Source, limits: DocumentLimits) -> None:
    """Raise `DocumentError` when there are more jobs than the limit."""
    if type(jobs) in (dict, list) and len(jobs) > limits.tasks:
        message = f"{source.name} has {len(jobs)} jobs, at most {limits.tasks} are read"
        raise DocumentError(
            [Fault("too-many-tasks", message, hint="split it into several documents")], name=source.name
        )


def check_graph(tasks: Mapping[str, Task], reading: Reading, at: tuple[str, ...]) -> None:
    """Note promises to labels that do not exist, jobs that wait for themselves, and cycles."""
    for label, path in reading.references:
        if label not in tasks:
            hint = reading.faults.suggest(label, tasks)
            reading.faults.add("missing-label", f"there is no job labelled {label[:80]!r}", path, hint=hint)
    for cycle in find_cycles(predecessors(tasks)):
        task = tasks[cycle[0]]
        if len(cycle) == 1:
            reading.faults.add("self-reference", f"{cycle[0]!r} waits for itself", (*at, task.label), at_key=True)
        else:
            message = f"{len(cycle)} jobs wait for each other: {spell_out(cycle)}"
            reading.faults.add(
                "cycle", message, (*at, task.label), hint="jobs form a graph without cycles", at_key=True
            )


def refuse(source: Source, reading: Reading) -> None:
    """Raise `DocumentError` with every fault and its place, in the order of the text, if there is any."""
    if not reading.faults and not source.repeats:
        return
    problems = reading.faults.problems
    faults = []
    if source.text is None:
        faults = [Fault(found.code, found.message, show(found.path), hint=found.hint) for found in problems]
    else:
        positions = scan(source.text, (found.path for found in problems))
        for path, offset in positions.repeated:
            message = f"the name {path[-1]!r} stands twice in one map"
            faults.append(Fault("duplicate-key", message, show(path), *positions.line_of(offset)))
        for found in problems:
            place = positions.place(found.path, at_key=found.at_key) or (None, None, None)
            faults.append(Fault(found.code, found.message, show(found.path), *place, found.hint))
        faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
    if reading.faults.dropped:
        faults.append(Fault("too-many-faults", f"{reading.faults.dropped} more faults are not shown"))
    raise DocumentError(faults, name=source.name)
