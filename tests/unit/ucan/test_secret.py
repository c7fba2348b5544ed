"""Sealed Results: what is in them, who opens them, and what is seen of them."""

from __future__ import annotations

import pytest

from ipvm_queue.crypto import Signer, recipients_of
from ipvm_queue.errors import SealError, WrongKeyError
from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.ucan import issue, read
from ipvm_queue.ucan.secret import SEALED, is_secret, open_outcome, open_result, seal_outcome, seal_result, veil

TASK = Link.of(encode("a task"), DAG_CBOR)


@pytest.mark.parametrize("out", [{"ok": [1, {"a": b"x"}]}, {"error": {"code": "trap"}}, {"ok": None}])
def test_readers_open_what_was_sealed(out):
    """Each of the readers has the Result back, and what was to be said of it; the branch can be seen."""
    owner, run = Signer.generate(), Signer.generate("P-256")
    sealed = seal_result([owner.did, run.did], TASK, out, {"gas": 7})

    assert sealed.keys() == out.keys()
    for reader in (owner, run):
        assert tuple(open_result(reader, TASK, sealed)) == (out, {"gas": 7})


def test_nobody_else_does():
    """Another key is told so by the kind of error."""
    sealed = seal_result([Signer.generate().did], TASK, {"ok": 1}, {})

    with pytest.raises(WrongKeyError):
        open_result(Signer.generate(), TASK, sealed)


def test_a_box_is_for_one_task():
    """What was sealed as the Result of one Task is not another's."""
    owner = Signer.generate()
    sealed = seal_result([owner.did], TASK, {"ok": 1}, {})

    with pytest.raises(SealError):
        open_result(owner, Link.of(encode("another"), DAG_CBOR), sealed)


def test_a_branch_is_not_swapped():
    """An error that is passed off as a success does not open, for the box says which it is."""
    owner = Signer.generate()
    sealed = seal_result([owner.did], TASK, {"error": 1}, {})

    with pytest.raises(SealError, match="no Result of this kind"):
        open_result(owner, TASK, {"ok": sealed["error"]})


@pytest.mark.parametrize("out", [{"ok": 1}, {"ok": {SEALED: "text"}}, {"ok": {SEALED: b"", "x": 1}}, [], b""])
def test_what_is_not_sealed_is_said_so(out):
    """A plain Result is not taken for a sealed one."""
    with pytest.raises(SealError):
        open_result(Signer.generate(), TASK, out)


def test_lengths_are_rounded():
    """Short Results have one length, long ones a length that is off by a sixteenth at most."""
    owner = [Signer.generate().did]
    short = {len(seal_result(owner, TASK, {"ok": "x" * size}, {})["ok"][SEALED]) for size in range(0, 150, 10)}
    long = {
        len(seal_result(owner, TASK, {"ok": b"x" * size}, {})["ok"][SEALED]) for size in range(10**5, 10**5 + 2000, 7)
    }

    assert len(short) == 1
    assert len(long) <= 2
    assert max(long) < 10**5 * 1.08


def test_a_receipt_of_a_secret_is_verified_by_anybody():
    """Its signature covers the box; nothing has to be opened."""
    worker, owner = Signer.generate(), Signer.generate()
    _, data = issue(worker, TASK, seal_result([owner.did], TASK, {"ok": "x"}, {}), {"secret": True, "run": "r"}, 0)
    receipt = read(data)

    assert is_secret(receipt.meta)
    assert recipients_of(receipt.out["ok"][SEALED]) == [owner.did]
    assert veil(receipt.out) == {"ok": {"secret": True}}


def test_an_outcome_is_for_the_owner_of_its_run():
    """What `catch` made of a failure opens for the owner, and as that of this run."""
    owner = Signer.generate()
    box = seal_outcome(owner.did, "run 1", {"ok": 1})

    assert open_outcome(owner, "run 1", box) == {"ok": 1}
    with pytest.raises(SealError):
        open_outcome(owner, "run 2", box)
    with pytest.raises(WrongKeyError):
        open_outcome(Signer.generate(), "run 1", box)
