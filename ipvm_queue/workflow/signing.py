"""Signatures of documents: over the DAG-CBOR of `{header, jobs}`, as varsig bytes (IPVM job 3)."""

from __future__ import annotations

from dataclasses import replace
from os import urandom
from typing import TYPE_CHECKING, Final

from ipvm_queue.crypto import Signer, principal, suite_of_header
from ipvm_queue.errors import CodecError, SignatureError
from ipvm_queue.ipld import Value, encode, encode_own
from ipvm_queue.workflow.fields import MAX_DID, VERSION, WASM_TYPES
from ipvm_queue.workflow.model import Signature, Task, Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Link

NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = 8  # of a varsig, in each of the three suites
_SIGNATURE_BYTES: Final = 64
_TWO: Final = b"\xa2"  # heads of a map of two, and of three
_THREE: Final = b"\xa3"
_LAST: Final = encode_own("signature")


def sign(workflow: Workflow, signer: Signer) -> Workflow:
    """Return `workflow` signed by `signer`: its header says who asks, has a nonce, and the signature covers it all.

    The nonce of the document stays; without one it gets a random one. Raises `SignatureError` when the header names
    somebody else as requestor.
    """
    if workflow.requestor not in (None, signer.did):
        hint = "sign with the requestor's key, or leave 'requestor' out"
        raise SignatureError(
            f"the document is {workflow.requestor}'s, the key is {signer.did}'s", path="header.requestor", hint=hint
        )
    nonce = workflow.nonce if workflow.nonce is not None else urandom(NONCE_BYTES)
    header = {"v": VERSION, "nonce": nonce, **workflow.body["header"], "requestor": signer.did}
    body = {"header": header, "jobs": workflow.body["jobs"]}
    covered = encode(body)
    signature = Signature(signer.did, _whole(covered, signer.varsig + signer.sign(covered)))
    return replace(workflow, requestor=signer.did, nonce=nonce, body=body, signature=signature)


def check_signature(body: Value, signature: Value, document: bytes | None = None) -> Signature:
    """Return who signed `body`; raises `SignatureError` unless the header's requestor did.

    `document` is the DAG-CBOR of `{header, jobs, signature}` where it was read from that.
    """
    if type(signature) is not bytes:
        raise SignatureError("'signature' is bytes", hint='in JSON: {"/": {"bytes": "base64"}}')
    suite = suite_of_header(signature[:_HEADER_BYTES])
    if suite is None or len(signature) != _HEADER_BYTES + _SIGNATURE_BYTES:
        hint = "sign the document again, or leave 'signature' out and let the submitter sign"
        raise SignatureError("'signature' is no varsig (Ed25519, P-256 or secp256k1) over DAG-CBOR", hint=hint)
    header = body["header"]
    requestor = header.get("requestor") if type(header) is dict else None
    if type(requestor) is not str or len(requestor) > MAX_DID:
        raise SignatureError("a signed document names its signer in header.requestor", path="header.requestor")
    raw = signature[_HEADER_BYTES:]
    covered = encode_own(body) if document is None else _covered(document, signature)
    try:
        suite_of_did, key = principal(requestor)
        good = suite_of_did is suite and suite.verifies(key, raw, covered)
    except CodecError as error:
        raise SignatureError(error.message, path="header.requestor", hint=error.hint) from error
    if not good:
        hint = "it was changed after signing, or signed by another key: sign it again"
        raise SignatureError(f"the signature is not {requestor}'s over this document", hint=hint)
    return Signature(requestor, document or _whole(covered, signature))


def _whole(covered: bytes, signature: bytes) -> bytes:
    """Return the DAG-CBOR of `{header, jobs, signature}`, given that of `{header, jobs}`: `signature` sorts last."""
    return _THREE + covered[1:] + _LAST + encode_own(signature)


def _covered(document: bytes, signature: bytes) -> bytes:
    """Return the DAG-CBOR of `{header, jobs}`, given that of `{header, jobs, signature}`."""
    return _TWO + document[1 : -len(_LAST + encode_own(signature))]


def bind(workflow: Workflow, modules: Mapping[str, Link]) -> Workflow:
    """Return `workflow` with every `with` of a Wasm job that is in `modules` (`file:…` texts) replaced by its link.

    The document changes with it, so this comes before signing; raises `SignatureError` for a signed one.
    """
    everything = [*workflow.tasks.values(), *([workflow.catch] if workflow.catch else [])]
    first = next((task for task in everything if task.resource in modules), None)
    if first is None:
        return workflow
    if workflow.signature is not None:
        hint = "name modules by CID before signing"
        raise SignatureError("a signed document cannot name modules by file", path=first.path, hint=hint)
    header, jobs = workflow.body["header"], workflow.body["jobs"]
    if "catch" in header:
        header = {**header, "catch": _bind_job(header["catch"], modules)}
    return replace(
        workflow,
        tasks={label: _bind_task(task, modules) for label, task in workflow.tasks.items()},
        catch=workflow.catch and _bind_task(workflow.catch, modules),
        body={"header": header, "jobs": {label: _bind_job(job, modules) for label, job in jobs.items()}},
    )


def _bind_task(task: Task, modules: Mapping[str, Link]) -> Task:
    if task.kind == "wasm" and type(task.resource) is str and task.resource in modules:
        return task._replace(resource=modules[task.resource])
    return task


def _bind_job(job: Value, modules: Mapping[str, Link]) -> Value:
    changed = dict(job)
    if job["type"] in WASM_TYPES and type(job.get("with")) is str and job["with"] in modules:
        changed["with"] = modules[job["with"]]
    if type(job.get("on")) is dict:
        changed["on"] = {
            branch: [_bind_job(item, modules) if type(item) is dict else item for item in followers]
            for branch, followers in job["on"].items()
        }
    return changed


def name_functions(workflow: Workflow, chosen: Mapping[str, str], catch: str | None = None) -> Workflow:
    """Return `workflow` with the functions that were chosen for jobs (by label) written into its document.

    What is signed then says which function it means. A signed workflow is returned with its tasks changed alone.
    """
    tasks = {
        label: task._replace(func=chosen[label]) if label in chosen else task for label, task in workflow.tasks.items()
    }
    handler = workflow.catch._replace(func=catch) if workflow.catch is not None and catch else workflow.catch
    changed = replace(workflow, tasks=tasks, catch=handler)
    if workflow.signature is not None:
        return changed
    header, jobs = workflow.body["header"], workflow.body["jobs"]
    if catch and "catch" in header:
        header = {**header, "catch": {**header["catch"], "func": catch}}
    named = {label: _name(label, job, chosen) for label, job in jobs.items()}
    return replace(changed, body={"header": header, "jobs": named})


def _name(label: str, job: Value, chosen: Mapping[str, str]) -> Value:
    named = dict(job)
    if label in chosen:
        named["func"] = chosen[label]
    if type(job.get("on")) is dict:
        named["on"] = {
            branch: [
                _name(f"{label}.on.{branch}.{index}", item, chosen) if type(item) is dict else item
                for index, item in enumerate(followers)
            ]
            for branch, followers in job["on"].items()
        }
    return named
