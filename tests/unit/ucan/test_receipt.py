"""Receipts and envelopes: what is signed, and what is refused."""

from __future__ import annotations

import pytest

from ipvm_queue.crypto import Signer
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link
from ipvm_queue.ucan import WASM_RUN, issue, read, seal, task_link

SIGNER = Signer.generate()
RAN = Link.of(b"task")


@pytest.mark.parametrize("out", [{"ok": [1, None]}, {"error": {"code": "x"}}, Link.of(b"block")])
def test_a_receipt_reads_as_it_was_issued(out):
    """Issuer, Task, Result, meta and time come back, under the CID of the envelope."""
    link, data = issue(SIGNER, RAN, out, {"gas": 7}, 1_700_000_000)

    receipt = read(data)

    assert (receipt.issuer, receipt.ran, receipt.out) == (SIGNER.did, RAN, out)
    assert (receipt.meta, receipt.issued, receipt.link) == ({"gas": 7}, 1_700_000_000, link)
    assert link.matches(data)


def test_a_receipt_names_what_it_follows_from():
    """The receipt that handed the Task out is part of what is signed; anything but a link there is refused."""
    cause = Link.of(b"hand-out")
    _, data = issue(SIGNER, RAN, {"ok": 1}, {}, 5, cause=cause)
    fields = {"iss": SIGNER.did, "sub": SIGNER.did, "cmd": "/ucan/assert/receipt", "prf": [], "meta": {}}
    fields |= {"args": {"ran": RAN, "out": {"ok": 1}}, "nonce": b"", "exp": None, "iat": 5}

    assert read(data).cause == cause
    assert read(seal(fields, "ucan/inv@1.0.0", SIGNER)).cause is None
    for wrong in (None, "text", cause.bytes):
        with pytest.raises(CodecError, match="cause"):
            read(seal(fields | {"cause": wrong}, "ucan/inv@1.0.0", SIGNER))


def test_a_changed_receipt_is_refused():
    """One byte changed anywhere is not a receipt any more."""
    _, data = issue(SIGNER, RAN, {"ok": 1}, {}, 5)

    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(CodecError):
            read(bytes(changed))


def test_a_receipt_by_another_is_refused():
    """An executor speaks for itself: issuer and subject are one."""
    payload = {"iss": SIGNER.did, "sub": Signer.generate().did, "cmd": "/ucan/assert/receipt", "prf": [], "meta": {},
               "args": {"ran": RAN, "out": {"ok": 1}}, "nonce": b"", "exp": None, "iat": 5}  # fmt: skip

    with pytest.raises(CodecError, match="executor"):
        read(seal(payload, "ucan/inv@1.0.0", SIGNER))


@pytest.mark.parametrize("out", [{}, {"ok": 1, "error": 2}, {"fine": 1}, 5])
def test_a_result_has_one_branch(out):
    """A Result is `ok` or `error`, never both, none or another."""
    _, data = issue(SIGNER, RAN, out, {}, 5)

    with pytest.raises(CodecError, match="out"):
        read(data)


def test_the_task_cid_is_that_of_four_fields():
    """The address of a Task is pinned: it names work for everyone and for ever."""
    subject = "did:key:z6MkgGykN9ARNFjEzowVq4mLP2kL4NsyAaDGXeJFQ5qE1bfg"

    link = task_link(subject, "/msg/send", {}, b"\x01\x02\x03\x04" * 4)

    assert str(link) == "bafyreif365z24kbu27ycdpgqsh54olpltfhnbpa6veoroiw2at5dr5k6k4"
    assert task_link(subject, WASM_RUN, {}, b"") != link
