"""DAG-CBOR: what is refused, and that both codecs refuse it."""

from __future__ import annotations

import importlib
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import dag_cbor
import pytest

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import CODEC, MAX_DEPTH, Link, cid_of, count_items, dagcbor, decode, encode

if TYPE_CHECKING:
    from types import ModuleType

LINK = Link.of(b"block")
LINK_HEX = "d82a582500" + LINK.bytes.hex()


@pytest.fixture(params=["codec_cbor2", "codec_cbrrr"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Put each codec behind `encode` and `decode`; cbrrr's rows need cbrrr."""
    if request.param == "codec_cbrrr":
        pytest.importorskip("cbrrr")
    module = importlib.import_module(f"ipvm_queue.ipld.{request.param}")
    monkeypatch.setattr(dagcbor, "codec", module)
    return module


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list …, `depth` of them around a zero."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


ACCEPTED = {
    "zero": ("00", 0),
    "twenty-three": ("17", 23),
    "twenty-four": ("1818", 24),
    "largest": ("1bffffffffffffffff", 2**64 - 1),
    "smallest": ("3bffffffffffffffff", -(2**64)),
    "float": ("fb3ff8000000000000", 1.5),
    "whole float": ("fb3ff0000000000000", 1.0),
    "negative zero": ("fb8000000000000000", -0.0),
    "null": ("f6", None),
    "true": ("f5", True),
    "false": ("f4", False),
    "bytes": ("43010203", b"\1\2\3"),
    "text": ("62c3bc", "ü"),
    "empty list": ("80", []),
    "empty map": ("a0", {}),
    "short keys first": ("a2616200626161f5", {"b": 0, "aa": True}),
    "keys by UTF-8 bytes": ("a263efbfbd0064f09f988001", {"\ufffd": 0, "\U0001f600": 1}),
    "link": (LINK_HEX, LINK),
}


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(("text", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_canonical_bytes_and_values_go_both_ways(text: str, value: object) -> None:
    """Each value has the one encoding that DAG-CBOR gives it, and comes back with its type."""
    data = bytes.fromhex(text)

    back = decode(data)

    assert data == encode(value)
    assert (type(value), repr(value)) == (type(back), repr(back))


REFUSED = {
    "nothing": "",
    "one-byte integer for a small one": "1801",
    "two-byte integer for a small one": "190018",
    "four-byte integer for a small one": "1a00000100",
    "eight-byte integer for a small one": "1b0000000000010000",
    "negative integer not minimal": "3817",
    "length of text not minimal": "780161",
    "length of bytes not minimal": "580100",
    "length of a list not minimal": "980100",
    "length of a map not minimal": "b801616100",
    "length of a key not minimal": "a178016100",
    "tag not minimal": "d9002a582500" + LINK.bytes.hex(),
    "length of a link not minimal": "d82a59002500" + LINK.bytes.hex(),
    "keys out of order": "a2616200616100",
    "long key first": "a262616100616200",
    "duplicate keys": "a2616100616101",
    "integer key": "a10100",
    "byte key": "a1416100",
    "true as key": "a1f500",
    "list as key": "a18000",
    "link as key": "a1" + LINK_HEX + "00",
    "not a number": "fb7ff8000000000000",
    "infinity": "fb7ff0000000000000",
    "negative infinity": "fbfff0000000000000",
    "16-bit float": "f93c00",
    "32-bit float": "fa3f800000",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "false in two bytes": "f814",
    "indefinite list": "9f00ff",
    "indefinite map": "bf616100ff",
    "indefinite text": "7f6161ff",
    "indefinite bytes": "5f4100ff",
    "a break alone": "ff",
    "date tag": "c000",
    "epoch date tag": "c100",
    "bignum": "c24101",
    "large bignum": "c249010000000000000000",
    "negative bignum": "c34101",
    "decimal tag": "c4820001",
    "shared value": "d81c80",
    "shared value in itself": "d81c81d81d00",
    "string reference": "d9010082616100",
    "set tag": "d9010280",
    "regular expression tag": "d8236161",
    "self-describing tag": "d9d9f700",
    "unknown tag": "d903e800",
    "link of text": "d82a6161",
    "link of an integer": "d82a00",
    "link of a link": "d82a" + LINK_HEX,
    "link of nothing": "d82a40",
    "link with the first byte 1": "d82a582501" + LINK.bytes.hex(),
    "link without a CID": "d82a4100",
    "link with a cut CID": "d82a582400" + LINK.bytes.hex()[:-2],
    "link with a longer CID": "d82a582600" + LINK.bytes.hex() + "00",
    "link to an unknown hash": "d82a44000155ff7e00"[:10] + "0155ff",
    "two values": "0000",
    "rest after a list": "8000",
    "list too short": "8200",
    "map without a value": "a16161",
    "text cut off": "6261",
    "bytes cut off": "4201",
    "integer cut off": "19ff",
    "float cut off": "fb3ff8",
    "reserved length 28": "1c",
    "not UTF-8": "61ff",
    "surrogate as UTF-8": "63eda080",
    "overlong UTF-8": "62c080",
    "key not UTF-8": "a161ff00",
    "list that claims 2^64 items": "9bffffffffffffffff",
    "map that claims 2^63 items": "bb7fffffffffffffff",
    "bytes that claim 2^63": "5b7fffffffffffffff",
}


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("around", ["", "81", "a16161"], ids=["alone", "in a list", "in a map"])
def test_what_dag_cbor_forbids_is_refused(text: str, around: str) -> None:
    """Everything DAG-CBOR forbids is a `CodecError` in both codecs, at the root and inside."""
    with pytest.raises(CodecError, match=r"^not DAG-CBOR: .+"):
        decode(bytes.fromhex(around + text))


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_the_reference_refuses_the_same(text: str) -> None:
    """The table of refusals is the reference's too."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - its errors have no common root
        dag_cbor.decode(bytes.fromhex(text))


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a161611801", r"Integer 1 was encoded using 1 bytes.* \(byte 3\)$"),
        ("a2616200616100", r"not in canonical order \(byte 0\)$"),
        ("81f93c00", r"additional info 25 .* \(byte 1\)$"),
        ("8000", r"single top-level .* \(byte 1\)$"),
        ("d82a4100", r"not a CID: it ends too early$"),
        ("81d82a582501" + LINK.bytes.hex(), r"0x00|CID .* \(byte 1\)$"),
    ],
    ids=["not minimal", "order", "16-bit float", "trailing", "no CID", "first byte"],
)
def test_a_refusal_says_what_and_where(text: str, words: str) -> None:
    """The words are the reference's innermost ones with the byte, or our own for a link; one line either way."""
    with pytest.raises(CodecError, match=words) as caught:
        decode(bytes.fromhex(text))

    assert "\n" not in caught.value.message


NOT_IPLD = {
    "integer too large": 2**64,
    "integer too small": -(2**64) - 1,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "negative infinity": float("-inf"),
    "lone surrogate": "\ud800",
    "lone surrogate as key": {"\udfff": 0},
    "integer key": {1: 0},
    "byte key": {b"a": 0},
    "mixed keys": {"a": 0, 1: 0},
    "tuple": (1, 2),
    "set": {1},
    "bytearray": bytearray(b"a"),
    "complex": 1j,
    "object": object(),
}


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("value", NOT_IPLD.values(), ids=NOT_IPLD)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside"])
def test_what_is_not_ipld_is_not_encoded(value: object, inside: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What has no IPLD form is a `CodecError`, at the root and inside."""
    with pytest.raises(CodecError):
        encode([{"a": value}] if inside else value)


@pytest.mark.usefixtures("codec")
def test_depth_is_limited_both_ways() -> None:
    """The deepest allowed value goes through; one level more is a `LimitError` in both directions."""
    deepest = nested(MAX_DEPTH)
    too_deep = b"\x81" * (MAX_DEPTH + 1) + b"\0"

    assert deepest == decode(encode(deepest))
    with pytest.raises(LimitError, match="nested more than 64 deep"):
        encode([deepest])
    with pytest.raises(LimitError, match="nested more than 64 deep"):
        decode(too_deep)
    with pytest.raises(LimitError, match="nested more than 64 deep"):
        decode(b"\xa1\x61a" * (MAX_DEPTH + 1) + b"\0")


@pytest.mark.usefixtures("codec")
def test_the_depth_limit_is_the_callers() -> None:
    """`max_depth` moves the limit for both directions."""
    assert encode([[0]], max_depth=2) == bytes.fromhex("818100")
    for refuse in (lambda: encode([[0]], max_depth=1), lambda: decode(bytes.fromhex("818100"), max_depth=1)):
        with pytest.raises(LimitError):
            refuse()


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_hopeless_depth_is_an_error_and_not_a_crash(depth: int) -> None:
    """Values and bytes far deeper than Python's stack are refused like any others."""
    with pytest.raises(LimitError):
        encode(nested(depth))
    with pytest.raises(LimitError):
        decode(b"\x81" * depth + b"\0")
    with pytest.raises(CodecError):
        decode(b"\x81" * depth)


@pytest.mark.usefixtures("codec")
def test_a_list_that_holds_itself_is_refused() -> None:
    """A cycle is too deep."""
    cycle: list[Any] = []
    cycle.append(cycle)

    with pytest.raises(LimitError):
        encode(cycle)


@pytest.mark.usefixtures("codec")
def test_nested_list_heads_cost_no_square() -> None:
    """List heads in each other, each claiming all that follows, are refused before they are allocated."""
    size = 200_000
    heads = b"".join(b"\x9a" + struct.pack(">I", size - 5 * (level + 1)) for level in range(20_000))

    with pytest.raises(LimitError):
        decode(heads + bytes(size - len(heads)))


@pytest.mark.usefixtures("codec")
def test_size_is_limited() -> None:
    """More bytes than `max_bytes` are not looked at."""
    with pytest.raises(LimitError, match="11 bytes of DAG-CBOR, at most 10"):
        decode(b"\x4a" + bytes(10), max_bytes=10)


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(
    ("value", "count"),
    [(None, 1), ([{}] * 9, 10), ({"a": {"b": 1}}, 5), ([LINK, b"x" * 70_000, "y" * 300, "z" * 30, "w", 1.5, -999], 9)],
    ids=["one", "empty maps", "keys", "strings, links and numbers"],
)
def test_the_number_of_values_is_limited(value: object, count: int) -> None:
    """As many values as `max_items` are decoded, keys and the tags of links counted; one more is a `LimitError`."""
    data = encode([value] * 100)
    most = 100 * count + 1

    assert count_items(data) == most
    assert decode(data, max_items=most) == [value] * 100
    with pytest.raises(LimitError, match=f"more than {most - 1} values"):
        decode(data, max_items=most - 1)


@pytest.mark.usefixtures("codec")
def test_many_values_in_few_bytes_are_refused_before_they_are_made() -> None:
    """An empty map is a byte here and seventy in memory: nine million of them are not decoded."""
    many = b"\x9a" + struct.pack(">I", 9_000_000) + b"\xa0" * 9_000_000

    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="values"):
            decode(many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.usefixtures("codec")
def test_large_values_go_both_ways() -> None:
    """Values beyond every short cut come back the same: many items, and one long byte string."""
    many = {"links": [LINK] * 2_000, "heads": [bytes(range(256))] * 500, "numbers": list(range(5_000))}
    image = {"image": bytes(range(256)) * 6_000}

    assert many == decode(encode(many))
    assert image == decode(encode(image))


def test_explain_is_silent_on_good_long_and_deep_bytes() -> None:
    """The reference is not asked about what it would take too long or too deep for."""
    assert dagcbor.explain(bytes.fromhex("1818")) is None
    assert dagcbor.explain(b"\x81" * 50_000) is None
    assert dagcbor.explain(b"\x5a\xff\xff\xff\xff" + bytes(70_000)) is None


def test_cid_of_a_value_is_that_of_its_block() -> None:
    """`cid_of` hashes the DAG-CBOR; the CID of {} is the known one."""
    assert str(cid_of({})) == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"


def test_the_codec_in_use_is_the_fast_one_that_is_installed() -> None:
    """That is cbrrr where it is installed, else cbor2."""
    expected = "cbrrr" if importlib.util.find_spec("cbrrr") else "cbor2"

    assert expected == CODEC


@pytest.mark.usefixtures("codec")
def test_links_may_be_left_as_their_bytes():
    """What was encoded here can be read without a Link being made."""
    value = {"a": [LINK, b"b", {"c": LINK}], "d": 1.5}

    assert dagcbor.decode_plain(dagcbor.encode(value)) == {"a": [LINK.bytes, b"b", {"c": LINK.bytes}], "d": 1.5}
