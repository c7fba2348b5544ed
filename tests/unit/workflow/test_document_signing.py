"""Signatures of documents."""

import json
from base64 import b64encode

import pytest
from documents import MODULE, effect, wasm

from ipvm_queue.crypto import Signer
from ipvm_queue.crypto.ed25519 import VARSIG_HEADER
from ipvm_queue.errors import SignatureError
from ipvm_queue.ipld import Link, decode, encode
from ipvm_queue.workflow import bind, read, sign

JOBS = {"a": wasm(1), "b": wasm({"from": "a"})}


@pytest.fixture(scope="module")
def signer() -> Signer:
    """Somebody."""
    return Signer.generate()


def test_a_signed_document_reads_back(signer):
    """Signing fills in the header; the document as a block reads as the same tasks, with its signer."""
    signed = sign(read({"header": {}, "jobs": JOBS}), signer)
    again = read(signed.document)

    assert again.tasks == signed.tasks
    assert again.requestor == signer.did
    assert again.signature == signed.signature
    assert again.nonce == signed.nonce
    assert len(again.nonce or b"") == 12


def test_a_bare_map_is_wrapped_and_signed(signer):
    """The submitter's signature turns a bare map into a whole document."""
    document = decode(sign(read(JOBS), signer).document)

    assert set(document) == {"header", "jobs", "signature"}
    assert document["jobs"] == JOBS
    assert document["header"]["requestor"] == signer.did
    assert document["signature"].startswith(VARSIG_HEADER)


def test_a_nonce_of_the_document_stays(signer):
    """The same job with its own nonce stays the same job."""
    signed = sign(read({"header": {"nonce": "mine"}, "jobs": JOBS}), signer)

    assert signed.nonce == b"mine"
    assert signed.body["header"]["nonce"] == "mine"


def test_two_signings_differ_by_nonce(signer):
    """A job without a nonce is a new job each time."""
    assert sign(read(JOBS), signer).nonce != sign(read(JOBS), signer).nonce


def test_an_unsigned_document_has_no_signature():
    """Its header and jobs are there to be signed, and there is no document yet."""
    assert read(JOBS).body == {"header": {}, "jobs": JOBS}
    with pytest.raises(SignatureError, match="not signed"):
        _ = read(JOBS).document


def test_any_change_breaks_the_signature_and_is_told_alone(signer):
    """A changed document is refused for its signature before its other faults are looked at."""
    document = decode(sign(read(JOBS), signer).document)
    document["jobs"] = {**JOBS, "a": {"type": "nonsense"}}

    with pytest.raises(SignatureError) as caught:
        read(encode(document))

    assert [fault.code for fault in caught.value.faults] == ["signature"]


@pytest.mark.parametrize(
    "change",
    [
        {"signature": b"\0" * 72},
        {"signature": VARSIG_HEADER + b"\0" * 64},
        {"signature": "text"},
        {"signature": None},
        {"header": {}},
        {"header": {"requestor": "did:web:example.com"}},
        {"header": []},
        {"header": {"requestor": Signer.generate().did}},
    ],
)
def test_wrong_signatures_are_refused(signer, change):
    """Zeroes, texts, nobody's and somebody else's signatures are refused."""
    document = {**decode(sign(read(JOBS), signer).document), **change}

    with pytest.raises(SignatureError):
        read(document)


def test_a_signed_document_survives_json(signer):
    """DAG-JSON writes the bytes in base64 and they verify again."""
    document = decode(sign(read({"header": {"nonce": "n"}, "jobs": JOBS}), signer).document)

    def plain(value):
        return {"/": {"bytes": b64encode(value).decode().rstrip("=")}}

    text = json.dumps(document, default=plain)

    assert read(text).requestor == signer.did


def test_nobody_signs_for_another(signer):
    """A document that names its requestor is signed by that key only."""
    other = Signer.generate()

    with pytest.raises(SignatureError):
        sign(read({"header": {"requestor": other.did}, "jobs": JOBS}), signer)


def test_files_are_bound_everywhere(signer):
    """Every `file:` module of jobs, of jobs in place and of catch becomes a link, in tasks and document."""
    by_file = {"type": "wasm/1.0", "with": "file:a.wasm"}
    link = Link.parse(MODULE)
    document = {
        "header": {"catch": by_file},
        "jobs": {"a": {**by_file, "on": {"error": [by_file, "b"]}}, "b": effect()},
    }
    bound = bind(read(document), {"file:a.wasm": link})

    assert [task.resource for task in bound.tasks.values() if task.kind == "wasm"] == [link, link]
    assert bound.catch is not None
    assert bound.catch.resource == link
    assert read(sign(bound, signer).document).tasks == bound.tasks
    assert bind(bound, {}) is bound


def test_a_signed_document_is_never_changed(signer):
    """Binding files would break a signature, so it is refused."""
    signed = sign(read({"a": {"type": "wasm/1.0", "with": "file:a.wasm"}}), signer)

    with pytest.raises(SignatureError):
        bind(signed, {"file:a.wasm": Link.parse(MODULE)})
