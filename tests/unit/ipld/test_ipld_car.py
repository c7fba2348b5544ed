"""Blocks and CAR files: what is written reads back, what is wrong is refused."""

from __future__ import annotations

import dataclasses
from io import BytesIO

import pytest

from ipvm_queue.errors import BlockError, CodecError, LimitError
from ipvm_queue.ipld import DAG_CBOR, Block, CarLimits, Link, car_parts, encode, read_car, write_car

NODE = Block.of(encode({"a": 1}), DAG_CBOR)
LEAF = Block.of(b"leaf")
V0 = Block(Link(b"\x12\x20" + LEAF.cid.bytes[4:]), b"leaf")
CAR = write_car([NODE.cid], [NODE, LEAF])


def section(data: bytes) -> bytes:
    """Return `data`, shorter than 16 KiB, with its length in front."""
    length = len(data)
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + data


HEADER = section(encode({"version": 1, "roots": [NODE.cid]}))


def test_a_block_is_its_bytes_under_their_cid() -> None:
    """`of` makes the CID, `verify` returns the block, and a block does not change."""
    assert Link.of(b"leaf") == LEAF.cid
    assert LEAF.verify() is LEAF
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEAF.data = b""  # type: ignore[misc]


def test_a_block_that_does_not_match_is_refused() -> None:
    """The error names the CID."""
    with pytest.raises(BlockError, match=str(LEAF.cid)) as caught:
        Block(LEAF.cid, b"loaf").verify()

    assert str(LEAF.cid) == caught.value.fields["cid"]


def test_the_bytes_are_those_of_the_format() -> None:
    """Header, then each block with its length, CID and data."""
    assert HEADER + section(NODE.cid.bytes + NODE.data) + section(LEAF.cid.bytes + LEAF.data) == CAR
    assert b"".join(car_parts([NODE.cid], iter([NODE, LEAF]))) == CAR


class Trickle(BytesIO):
    """A stream that gives a byte at a time, as a pipe may."""

    def read(self, size: int | None = -1) -> bytes:
        """Return at most one byte."""
        return super().read(min(size or 0, 1))


@pytest.mark.parametrize("source", [CAR, BytesIO(CAR), Trickle(CAR)], ids=["bytes", "stream", "trickle"])
def test_what_is_written_reads_back(source: bytes | BytesIO) -> None:
    """Roots are there at once, blocks follow in their order."""
    car = read_car(source)

    assert car.roots == (NODE.cid,)
    assert list(car) == [NODE, LEAF]


def test_a_large_block_and_a_v0_block_go_through() -> None:
    """A block of megabytes has a long length; a CIDv0 has its own form."""
    large = Block.of(bytes(3_000_000))

    assert list(read_car(write_car([], [large, V0]))) == [large, V0]


def test_a_wrong_block_is_neither_read_nor_written() -> None:
    """A byte changed in a block is a `BlockError`, both ways, after the good ones."""
    car = read_car(CAR[:-1] + b"F")

    assert next(car) == NODE
    with pytest.raises(BlockError):
        next(car)
    with pytest.raises(BlockError):
        write_car([], [Block(LEAF.cid, b"loaf")])


def test_version_2_is_refused_with_words() -> None:
    """A CARv2 starts with a header of its own; the error says what to do."""
    with pytest.raises(CodecError, match="version 2") as caught:
        read_car(bytes.fromhex("0aa16776657273696f6e02") + bytes(40))

    assert "v1" in (caught.value.hint or "")


BAD_HEADERS = {
    "empty file": b"",
    "length cut off": b"\x80",
    "length not minimal": bytes([HEADER[0] | 128, 0]) + HEADER[1:],
    "endless length": b"\xff" * 12,
    "header of no bytes": b"\x00",
    "header cut off": HEADER[:-1],
    "not DAG-CBOR": section(b"hello"),
    "not a map": section(encode([1])),
    "no version": section(encode({"roots": []})),
    "version 3": section(encode({"version": 3, "roots": []})),
    "version 1.0": section(encode({"version": 1.0, "roots": []})),
    "version true": section(encode({"version": True, "roots": []})),
    "no roots": section(encode({"version": 1})),
    "roots null": section(encode({"version": 1, "roots": None})),
    "roots not links": section(encode({"version": 1, "roots": ["a"]})),
    "another field": section(encode({"version": 1, "roots": [], "a": 1})),
    "text": b'{"roots": []}',
}


@pytest.mark.parametrize("data", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_bad_header_is_refused_at_once(data: bytes) -> None:
    """What does not begin as a CAR v1 is a `CodecError` before any block is asked for."""
    with pytest.raises(CodecError):
        read_car(data)


BAD_SECTIONS = {
    "length cut off": b"\x80",
    "length not minimal": b"\xa8\x00" + LEAF.cid.bytes + LEAF.data,
    "no bytes": b"\x00",
    "data cut off": section(LEAF.cid.bytes + LEAF.data)[:-1],
    "only a length": b"\x7f",
    "CID cut off": section(LEAF.cid.bytes[:-1]),
    "not a CID": section(b"hello, world"),
    "varints of the CID not minimal": section(b"\x81\x00" + LEAF.cid.bytes[1:] + LEAF.data),
}


@pytest.mark.parametrize("data", BAD_SECTIONS.values(), ids=BAD_SECTIONS)
def test_a_bad_section_is_refused(data: bytes) -> None:
    """What does not go on as a CAR v1 is a `CodecError`."""
    with pytest.raises(CodecError):
        list(read_car(HEADER + data))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (CarLimits(header=8), "header of 58 bytes"),
        (CarLimits(section=39), "block of 40 bytes"),
        (CarLimits(total=len(CAR) - 1), "more than"),
        (CarLimits(blocks=1), "more than 1 blocks"),
    ],
    ids=["header", "section", "total", "blocks"],
)
def test_limits_hold(limits: CarLimits, words: str) -> None:
    """Each limit is a `LimitError` that names it."""
    with pytest.raises(LimitError, match=words):
        list(read_car(CAR, limits=limits))


def test_claimed_lengths_are_not_allocated() -> None:
    """A length of exabytes is refused as a number; one within the limits but without bytes ends as a cut file."""
    with pytest.raises(LimitError):
        list(read_car(HEADER + b"\xff" * 8 + b"\x7f"))
    with pytest.raises(CodecError, match="too early"):
        list(read_car(HEADER + b"\xff\xff\xff\x1f"))
