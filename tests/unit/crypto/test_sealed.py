"""Sealed boxes: who can open them, and that nothing of them can be changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from principals import ALICE, BOB, CAROL, MALLORY, principal

from ipvm_queue.crypto import Signer, check_recipient, is_sealed, open_sealed, recipients_of, seal
from ipvm_queue.crypto import sealed as module
from ipvm_queue.errors import CodecError, IpvmError, LimitError, SealError, UsageError, WrongKeyError
from ipvm_queue.ipld import decode, encode

NINA = principal("nina", "P-256")
KATE = principal("kate", "secp256k1")
CANARY = b"the canary in the box"


@pytest.mark.parametrize("reader", [ALICE, NINA], ids=lambda signer: signer.suite.name)
@pytest.mark.parametrize("data", [b"", b"x", bytes(100_000)], ids=len)
def test_its_reader_opens_a_box(reader: Signer, data: bytes) -> None:
    """What is sealed to a did:key is read by its key."""
    assert open_sealed(reader, seal(reader.did, data)) == data


def test_each_of_several_readers_opens_the_same_box() -> None:
    """One box has a copy of its key for each reader, whatever their suites, and its data once."""
    box = seal([ALICE.did, NINA.did, CAROL.did, ALICE.did], CANARY * 100)

    assert [open_sealed(reader, box) for reader in (ALICE, NINA, CAROL)] == [CANARY * 100] * 3
    assert recipients_of(box) == [ALICE.did, NINA.did, CAROL.did]
    assert len(box) < 2 * len(CANARY * 100)


def test_a_box_is_closed_to_everyone_else() -> None:
    """Another key is told whom the box is for, and nothing of what is in it."""
    box = seal([ALICE.did, NINA.did], CANARY)

    assert CANARY not in box
    with pytest.raises(WrongKeyError, match="not sealed to") as caught:
        open_sealed(MALLORY, box)
    assert caught.value.fields["recipients"] == sorted([ALICE.did, NINA.did])


def test_no_two_boxes_are_equal() -> None:
    """Equal data in two boxes cannot be seen to be equal."""
    assert seal(ALICE.did, CANARY) != seal(ALICE.did, CANARY)


def test_every_altered_byte_is_noticed() -> None:
    """A box of which any byte is another does not open."""
    box = seal([ALICE.did, NINA.did], CANARY)
    for place in range(len(box)):
        altered = box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :]
        with pytest.raises(SealError):
            open_sealed(ALICE, altered)


def test_every_cut_is_noticed() -> None:
    """A box that ends early, or goes on after its end, is none."""
    box = seal(ALICE.did, CANARY)
    for cut in [*(box[:end] for end in range(len(box))), box + b"\0"]:
        with pytest.raises(SealError):
            open_sealed(ALICE, cut)


@pytest.mark.parametrize("reader", [ALICE, NINA], ids=lambda signer: signer.suite.name)
def test_no_copy_of_the_key_breaks_the_reader(reader: Signer) -> None:
    """Points that are none, of small order, or cut: each is an altered box, and no other error."""
    magic, version, commitment, [[did, copy]], body = decode(seal(reader.did, CANARY))
    size = len(copy) - 32 - 16
    starts = [b"", bytes(size), (1).to_bytes(size, "little"), b"\xff" * size, b"\x04" + bytes(size - 1), copy[:size]]
    ends = [b"", copy[size:-1], copy[size:] + b"x", copy[size:]]
    copies = {start + end for start in starts for end in ends} - {copy}
    for other in copies:
        with pytest.raises(SealError, match="altered"):
            open_sealed(reader, encode([magic, version, commitment, [[did, other]], body]))


def test_a_reader_cannot_be_added_taken_out_or_renamed() -> None:
    """The list of readers is authenticated: whoever gets a box sees whom else it was sealed to."""
    magic, version, commitment, copies, body = decode(seal([ALICE.did, BOB.did], CANARY))
    (alice, for_alice), (bob, for_bob) = copies
    for changed in ([[alice, for_alice]], [*copies, [CAROL.did, for_bob]], [[alice, for_bob], [bob, for_alice]]):
        with pytest.raises(SealError):
            open_sealed(ALICE, encode([magic, version, commitment, changed, body]))
    with pytest.raises(SealError):  # Carol's copy under Carol's name is Bob's key, wrapped for Bob
        open_sealed(CAROL, encode([magic, version, commitment, [[CAROL.did, for_bob]], body]))


def test_a_box_says_the_same_to_all_its_readers() -> None:
    """Copies of two different keys cannot stand in one box: each must be the committed one."""
    magic, version, commitment, [[alice, _]], body = decode(seal(ALICE.did, CANARY))
    *_, [[_, other]], _ = decode(seal(ALICE.did, b"something else"))

    with pytest.raises(SealError, match="different readers"):
        open_sealed(ALICE, encode([magic, version, commitment, [[alice, other]], body]))


def test_a_box_opens_for_its_purpose_alone() -> None:
    """A box that is made for one thing cannot be passed off as made for another."""
    box = seal(ALICE.did, CANARY, context=b"node 1")

    assert open_sealed(ALICE, box, context=b"node 1") == CANARY
    for context in (b"", b"node 2"):
        with pytest.raises(SealError, match="another purpose"):
            open_sealed(ALICE, box, context=context)


def test_a_key_that_can_only_sign_is_refused() -> None:
    """HPKE knows no secp256k1; whoever seals to it is told at once, and told what to do."""
    for attempt in (lambda: seal([ALICE.did, KATE.did], CANARY), lambda: check_recipient(KATE.did)):
        with pytest.raises(UsageError, match="HPKE has no secp256k1") as caught:
            attempt()
        assert "Ed25519 or P-256" in str(caught.value.hint)


def test_what_is_no_did_key_is_no_reader() -> None:
    """Another method, or no reader at all, is an error before anything is encrypted."""
    with pytest.raises(CodecError, match="not a DID"):
        seal("did:web:example.com", CANARY)
    with pytest.raises(UsageError, match="needs a reader"):
        seal([], CANARY)


def test_there_are_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many readers, too much data and too long a context are refused, at both ends."""
    with pytest.raises(LimitError, match="256 keys"):
        seal([Signer.generate().did for _ in range(257)], b"")
    with pytest.raises(LimitError, match="context"):
        seal(ALICE.did, b"", context=bytes(4097))
    box = seal(ALICE.did, bytes(100_000))
    monkeypatch.setattr(module, "MAX_SEALED", 10)
    with pytest.raises(LimitError, match="at most 10 bytes"):
        seal(ALICE.did, bytes(11))
    with pytest.raises(LimitError, match="sealed box of"):
        open_sealed(ALICE, box)


def envelope(**changes: object) -> bytes:
    """Return Alice's box with fields changed; `...` leaves one out."""
    names = ("magic", "version", "commitment", "copies", "body")
    fields = dict(zip(names, decode(seal(ALICE.did, CANARY)), strict=True))
    return encode([value for value in (fields | changes).values() if value is not ...])


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (b"", "does not start"),
        (b"hello", "does not start"),
        (envelope(magic="ipvm/other"), "does not start"),
        (envelope(version=2), "version 2"),
        (envelope(version="1"), "fields"),
        (envelope(version=True), "fields"),
        (envelope(copies=[]), "1 to 256"),
        (envelope(copies=[[ALICE.did]]), "list of readers"),
        (envelope(copies=[[ALICE.did, b""], [ALICE.did, b""]]), "list of readers"),
        (envelope(copies=[[ALICE.did, "text"]]), "list of readers"),
        (envelope(body=b"short"), "fields"),
        (envelope(body=...), "does not start|fields"),
    ],
)
def test_what_is_no_box_is_refused_in_words(box: bytes, words: str) -> None:
    """Each way of being malformed says what is wrong."""
    with pytest.raises(SealError, match=words):
        open_sealed(ALICE, box)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever comes is a box, or an error with words."""
    for box in (data, seal(ALICE.did, b"")[:20] + data):
        with pytest.raises(IpvmError):
            open_sealed(ALICE, box)


def test_boxes_are_recognised_by_their_head() -> None:
    """Whether data claim to be a box can be told without a key."""
    assert is_sealed(seal(ALICE.did, CANARY))
    assert not is_sealed(encode({"ok": 1}))


def test_a_recorded_box_still_opens() -> None:
    """The format is stable: a box that was made by an earlier version opens."""
    box = (Path(__file__).parent / "sealed-v1.box").read_bytes()

    assert open_sealed(ALICE, box, context=b"recorded") == b"recorded at version 1"
    assert open_sealed(NINA, box, context=b"recorded") == b"recorded at version 1"
