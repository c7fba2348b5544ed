"""IPLD codecs against the reference, on values and bytes that nobody thought of."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvm_queue.errors import CodecError, IpvmError, LimitError
from ipvm_queue.ipld import (
    Block,
    Link,
    codec_cbor2,
    count_items,
    from_json,
    from_plain,
    read_car,
    to_json,
    to_plain,
    write_car,
)
from ipvm_queue.ipld.dagcbor import to_reference
from ipvm_queue.ipld.value import MAX_DEPTH, check

if TYPE_CHECKING:
    from types import ModuleType

try:
    from ipvm_queue.ipld import codec_cbrrr
except ImportError:
    CODECS: list[ModuleType] = [codec_cbor2]
else:
    CODECS = [codec_cbor2, codec_cbrrr]

texts = st.text(st.characters(exclude_categories=["Cs"]))
links = st.builds(Link.of, st.binary(max_size=4), st.sampled_from([0x55, 0x71])) | st.builds(
    lambda digest: Link(b"\x12\x20" + digest), st.binary(min_size=32, max_size=32)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.sampled_from([sign * 2**bits + step for bits in (8, 16, 32, 63) for step in (-1, 0) for sign in (1, -1)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
    | texts
    | links
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=25)


def kinds(value: Any) -> Any:
    """Return `value` with the type of each part, so that 1, 1.0 and True, 0.0 and -0.0 differ."""
    if isinstance(value, dict):
        return {key: kinds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [kinds(item) for item in value]
    return type(value).__name__, repr(value)


@given(values)
def test_all_codecs_write_the_same_bytes_and_read_them_back(value: Any) -> None:
    """The reference, cbor2 and cbrrr agree on every value, byte by byte; order of keys in Python does not matter."""
    expected = dag_cbor.encode(to_reference(value))

    for codec in CODECS:
        assert expected == codec.encode(value, MAX_DEPTH)
        back = codec.decode(expected, MAX_DEPTH)
        assert kinds(value) == kinds(back)
        check(back)


def head(major: int, number: int, width: int) -> bytes:
    """Return a CBOR head in 0, 1, 2, 4 or 8 extra bytes, minimal or not."""
    if width == 0:
        return bytes([major << 5 | number % 32])
    return bytes([major << 5 | 23 + width]) + struct.pack(">" + " BHIQ"[width], number % (1 << 8 * 2 ** (width - 1)))


LINK_BYTES = b"\xd8\x2a\x58\x25\x00" + Link.of(b"").bytes
pieces = st.one_of(
    st.builds(head, st.integers(0, 7), st.integers(0, 300) | st.integers(0, 2**64 - 1), st.integers(0, 4)),
    st.sampled_from(
        [b"\x61a", b"\x61b", b"\x62aa", b"\x60", b"\xf6", b"\xf4", b"\x00", b"\x41a", LINK_BYTES, b"\xd8\x2a"]
    ),
    st.sampled_from([b"\x80", b"\x81", b"\x82", b"\xa0", b"\xa1", b"\xa2", b"\xc0", b"\xd8\x1c", b"\xd8\x1d", b"\xff"]),
    st.builds(lambda number: b"\xfb" + struct.pack(">d", number), st.floats()),
    st.binary(max_size=3),
)
loose = st.lists(pieces, max_size=12).map(b"".join)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Return the encoding of a value with a byte changed, removed or added somewhere."""
    data = dag_cbor.encode(to_reference(draw(values)))
    place = draw(st.integers(0, len(data)))
    return bytes(data[:place] + draw(st.binary(max_size=2)) + data[place + draw(st.integers(0, 2)) :])


@given(loose | broken() | st.binary(max_size=40))
def test_all_codecs_accept_the_same_bytes(data: bytes) -> None:
    """What the reference refuses every codec refuses, what it accepts they accept, with the same value."""
    try:
        reference = dag_cbor.decode(data)
    except Exception:  # noqa: BLE001 - its errors have no common root
        for codec in CODECS:
            with pytest.raises(Exception):  # noqa: B017, PT011 - the codecs' own errors; `decode` gives them one root
                codec.decode(data, MAX_DEPTH)
    else:
        codec_cbor2.probe(data, MAX_DEPTH)
        for codec in CODECS:
            value = codec.decode(data, MAX_DEPTH)
            check(value)
            assert kinds(to_reference(value)) == kinds(reference)
            assert data == codec.encode(value, MAX_DEPTH)


def size_of(value: Any) -> int:
    """Return how many values there are in one, with the keys of maps and the tags of links."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(size_of, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(size_of, value))
    return 2 if isinstance(value, Link) else 1


@given(values)
def test_values_are_counted_without_being_made(value: Any) -> None:
    """The heads in DAG-CBOR are as many as the values that it decodes to."""
    assert count_items(codec_cbor2.encode(value, MAX_DEPTH)) == size_of(value)


@given(loose | broken() | st.binary(max_size=40))
def test_any_bytes_are_counted_to_their_end(data: bytes) -> None:
    """What is no DAG-CBOR has at most one value a byte, and counting ends."""
    assert count_items(data) <= len(data)


@given(st.integers(0, 70), st.integers(0, 66), st.booleans())
def test_all_codecs_have_the_same_depth_limit(depth: int, limit: int, empty: bool) -> None:  # noqa: FBT001 - drawn
    """The limit falls on the same level in both codecs and in both directions."""
    value: Any = [] if empty else 0
    for level in range(depth):
        value = [value] if level % 3 else {"a": value}
    data = dag_cbor.encode(value)

    for codec in CODECS:
        if depth <= limit:
            assert value == codec.decode(data, limit)
            assert data == codec.encode(value, limit)
        else:
            with pytest.raises(LimitError):
                codec.decode(data, limit)
            with pytest.raises(LimitError):
                codec.encode(value, limit)


@given(links, st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=1, max_size=60))
def test_one_link_has_one_text(link: Link, text: str) -> None:
    """A link reads back from its text, and base32 that reads as a link is that link's own text."""
    assert link == Link.parse(str(link))
    for candidate in (f"b{text}", str(link)[: -len(text)] + text):
        try:
            other = Link.parse(candidate)
        except CodecError:
            continue
        assert candidate == str(other)


def reserved(value: Any) -> bool:
    """Whether a map in `value` looks like a link or bytes of DAG-JSON."""
    if isinstance(value, list):
        return any(map(reserved, value))
    if not isinstance(value, dict):
        return False
    inner = value.get("/")
    looks = isinstance(inner, str) or (isinstance(inner, dict) and isinstance(inner.get("bytes"), str))
    return looks or any(map(reserved, value.values()))


slashed = st.recursive(
    scalars | st.just("AA"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["/", "bytes", "a"]) | texts, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values | slashed)
def test_dag_json_reads_back_what_it_writes(value: Any) -> None:
    """Every value has one text that reads back as it was, or, if it looks like a link or bytes, none at all."""
    if reserved(value):
        for write in (to_json, to_plain):
            with pytest.raises(CodecError):
                write(value)
        return

    text = to_json(value)

    assert kinds(value) == kinds(from_json(text)) == kinds(from_json(text.encode()))
    assert kinds(value) == kinds(from_plain(to_plain(value)))
    assert kinds(value) == kinds(from_json(to_json(value, indent=2)))
    assert text == to_json(from_json(text))


@given(st.text('[]{}",:/\\ae1.-0u dbytes', max_size=40) | st.text() | st.binary())
def test_any_text_is_dag_json_or_a_codec_error(text: str | bytes) -> None:
    """Reading never fails in another way, and what it gives is IPLD."""
    try:
        value = from_json(text)
    except CodecError:
        return

    check(value)


@given(st.lists(st.builds(Block.of, st.binary(), st.sampled_from([0x55, 0x71]))), st.data())
def test_a_car_reads_back_and_no_byte_of_it_can_change(blocks: list[Block], data: st.DataObject) -> None:
    """Blocks and roots come back in order; a changed byte is noticed, or changes nothing but the roots."""
    roots = [block.cid for block in blocks[:2]]
    car = write_car(roots, blocks)

    back = read_car(car)

    assert back.roots == tuple(roots)
    assert blocks == list(back)
    place = data.draw(st.integers(0, len(car) - 1))
    changed = bytearray(car)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        again = list(read_car(bytes(changed)))
    except IpvmError:
        return
    assert all(block.cid.matches(block.data) for block in again)
