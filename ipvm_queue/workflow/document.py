"""Reader of Job v0.1.0 documents: `{header, jobs, signature}`, or a bare map of labelled jobs (IPVM job 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.workflow.checks import check_count, check_graph, refuse
from ipvm_queue.workflow.config import merge
from ipvm_queue.workflow.fields import HEADER
from ipvm_queue.workflow.job import JobReader
from ipvm_queue.workflow.model import Config, Signature, Workflow
from ipvm_queue.workflow.shapes import Reading
from ipvm_queue.workflow.signing import check_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.faults import Path
    from ipvm_queue.workflow.limits import DocumentLimits
    from ipvm_queue.workflow.source import Source

PARTS: Final = ("header", "jobs", "signature")


def read_document(source: Source, limits: DocumentLimits) -> Workflow:
    """Return the workflow of a Job v0.1.0 document; raises `DocumentError` with all its faults."""
    value = source.value
    at: Path = ("jobs",)
    if not is_enveloped(value):
        value, at = {"jobs": value}, ()
    body = {"header": value.get("header", {}), "jobs": value.get("jobs", {})}
    document = source.data if value.keys() == body.keys() | {"signature"} else None
    signature = check_signature(body, value["signature"], document) if "signature" in value else None
    reading = Reading()
    _check_parts(value, reading)
    return assemble(source, body, reading, limits, at=at, signature=signature)


def assemble(
    source: Source,
    body: dict[str, Value],
    reading: Reading,
    limits: DocumentLimits,
    *,
    at: Path = ("jobs",),
    signature: Signature | None = None,
) -> Workflow:
    """Return the workflow of `{header, jobs}`; `at` is where the jobs stand in the document.

    Raises `DocumentError` with the faults that `reading` holds already, and all that are found here.
    """
    check_count(body["jobs"], source, limits)
    header = HEADER.read(body["header"], ("header",), reading)
    jobs = JobReader(reading, base_config(header))
    jobs.read_jobs(body["jobs"], at)
    check_count(jobs.tasks, source, limits)  # with those written in place
    catch = jobs.read_catch(header["catch"], ("header", "catch")) if "catch" in header else None
    check_graph(jobs, reading, at)
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


def _check_parts(value: Mapping[str, Value], reading: Reading) -> None:
    for key in value:
        if key not in PARTS:
            hint = reading.faults.suggest(key, PARTS) or f"known are: {', '.join(PARTS)}"
            reading.faults.add("unknown-field", f"a document has no field {key[:80]!r}", (key,), hint=hint, at_key=True)


def is_enveloped(value: Mapping[str, Value]) -> bool:
    """Whether a map is `{header, jobs, signature}`, and not a map of jobs that have these labels."""
    return any(part in value and not _is_job(value[part]) for part in PARTS)


def _is_job(value: Value) -> bool:
    return type(value) is dict and ("do" in value or type(value.get("type")) is str)


def base_config(header: Mapping[str, Any]) -> Config:
    """Return what every job starts from: the defaults, then the job-wide `config`, then `defaults` over it."""
    return merge(merge(Config(), header.get("config") or {}), header.get("defaults") or {})
