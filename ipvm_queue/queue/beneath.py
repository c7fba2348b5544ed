"""Receipts that carry others: a task had a further job run, and its receipt names what that came to.

`meta.beneath` is `{"inv": &8, "sent": &container, "receipts": [&receipt…]}`: the further job's invocation, what it was
sent with, and the receipts of its tasks. (the second diagram: Bob's receipt to Alice carries Carol's)
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import Link, encode
from ipvm_queue.queue.entitled import issued
from ipvm_queue.queue.requests import RUN
from ipvm_queue.queue.verdict import Flaw, Verdict
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.workflow import name_functions, read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.members import Members
    from ipvm_queue.queue.recompute import Job, Known
    from ipvm_queue.ucan import Invocation
    from ipvm_queue.workflow import Workflow

RUN_JOB: Final = "/job/run"
FAILED: Final = "job/failed"
_SIGNED: Final = frozenset({"v", "nonce", "requestor"})  # what signing adds to a header
_NAME: Final = "the further job (8)"


def nonce_for(job: Link, task: Link) -> bytes:
    """Return the nonce of the further job (8) that a task of a job (by its 8) asks for: no other task's is the same."""
    return sha256(encode([job, task])).digest()


def child_of(parent: Link, workflow: Workflow) -> Workflow:
    """Return a job whose header says by which document's task it is asked for, unless it says something else."""
    body = {**workflow.body, "header": {"parent": parent, **workflow.body["header"]}}
    return workflow if workflow.parent is not None else replace(workflow, parent=parent, body=body)


class Beneath(NamedTuple):
    """A further job: its invocation, the container that it was sent in, and the receipts of its tasks."""

    job: Link
    sent: Link
    receipts: list[Link]


def beneath(meta: Mapping[str, Any]) -> Beneath | None:
    """Return what a receipt's `meta` says of a further job, None where it says nothing."""
    match meta.get("beneath"):
        case {"inv": Link() as job, "sent": Link() as sent, "receipts": [*receipts]}:
            return Beneath(job, sent, [link for link in receipts if isinstance(link, Link)])
    return None


def further_job(members: Members, below: Beneath, receipt: Invocation, job: Invocation) -> tuple[Invocation, Link]:
    """Return a further job's invocation and its document's CID: who signed `receipt` had it run for the task of `job`.

    The last of its proofs is the requestor's own: nobody else has let the worker run jobs in their name.
    """
    requestor, service, ran = job.iss, job.executor, receipt.args.get("ran")
    asked = members.invocation(below.job, RUN, _NAME)
    at = issued(asked, _NAME)
    authority = members.authority(asked, _NAME, now=at, audience=service)
    match asked.args:
        case {"job": Link() as document, **rest} if not rest and str(asked.cmd) == RUN:
            pass
        case _:
            raise Flaw(Verdict.SWAPPED, f"{_NAME} is not {RUN} of a document")
    if not is_same(asked.iss, receipt.iss):
        raise Flaw(Verdict.SWAPPED, f"{_NAME} is {asked.iss}'s, the receipt that names it is {receipt.iss}'s")
    if not authority.proofs or not is_same(authority.proofs[-1].iss, requestor):
        raise Flaw(Verdict.DELEGATED, f"{_NAME} was not run in the name of {requestor}")
    if not isinstance(ran, Link) or asked.nonce != nonce_for(job.link, ran):
        raise Flaw(Verdict.SWAPPED, f"{_NAME} was run for another task than {ran}")
    if at > issued(receipt, "the receipt"):
        raise Flaw(Verdict.EARLY, f"{_NAME} is of {at}, the receipt that names it of {receipt.iat}")
    return asked, document


def check_document(args: Value, signed: Workflow, parent: Link) -> None:
    """Raise a `Flaw` unless a document is the job in a task's args, signed, with the functions named that it names.

    `parent` is the document that the task is of.
    """
    job = args.get("job")
    if not isinstance(job, dict | str):
        raise Flaw(Verdict.MALFORMED, f"{_NAME} is of a document, and the task asks for none")
    try:
        wanted = child_of(parent, read(job))
    except DocumentError as error:
        raise Flaw(Verdict.MALFORMED, f"{_NAME}: {error.message}") from error
    open_ones = (label for label, each in wanted.tasks.items() if each.kind == "wasm" and each.func is None)
    chosen = {label: signed.tasks[label].func for label in open_ones if label in signed.tasks}
    named = name_functions(wanted, {label: func for label, func in chosen.items() if isinstance(func, str)})
    if encode(_unsigned(named.body)) != encode(_unsigned(signed.body)):
        raise Flaw(Verdict.SWAPPED, f"{_NAME} is another than the one that the task asks for")


def _unsigned(body: Value) -> Value:
    header = {name: value for name, value in body["header"].items() if name not in _SIGNED}
    return {"header": header, "jobs": body["jobs"]}


def check_results(result: Mapping[str, Value], job: Job, there: Iterable[Known], untold: Collection[str]) -> None:
    """Raise a `Flaw` unless every value (or the failure) that a Result tells of stands in a receipt beneath it.

    A Result that is `ok` tells of every task that has a value; `untold` are labels of tasks that were not run.
    """
    known = {each.receipt: each for each in there}
    found = {node.label: known[link].result for link, nodes in job.labels(known.values()).items() for node in nodes}
    match result:
        case {"ok": dict() as values}:
            told = {label: {"ok": value} for label, value in values.items()}
            failed = {label for label, each in found.items() if "error" in each}
            left = next((node.label for node in job.plan if node.label not in {*told, *failed, *untold}), None)
            if left is not None:
                raise Flaw(Verdict.MISSING, f"it does not tell what came of {left!r}")
        case {"ok": _}:
            raise Flaw(Verdict.MALFORMED, "its value is no map of the values beneath it")
        case {"error": {"code": code, "failed": str() as label, "error": error}} if code == FAILED:
            told = {label: {"error": error}}
        case _:
            told = {}
    for label, said in told.items():
        if label not in found:
            raise Flaw(Verdict.MISSING, f"no receipt beneath it is of {label!r}")
        if encode(found[label]) != encode(said):  # to Python 1, 1.0 and True are the same
            raise Flaw(Verdict.SWAPPED, f"it says something else of {label!r} than the receipt beneath it")
