"""DAG-JSON: the forms, what is refused, and where the limits are."""

from __future__ import annotations

import pytest

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import MAX_DEPTH, Link, from_json, from_plain, to_json, to_plain

LINK = Link.of(b"block")
V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"

BOTH_WAYS = {
    "null": ("null", None),
    "true": ("true", True),
    "integer": ("1", 1),
    "whole float": ("1.0", 1.0),
    "negative zero": ("-0.0", -0.0),
    "large float": ("1e+300", 1e300),
    "largest integer": ("18446744073709551615", 2**64 - 1),
    "smallest integer": ("-18446744073709551616", -(2**64)),
    "text": ('"ü\\n\U0001f600"', "ü\n\U0001f600"),
    "list": ('[1,"a"]', [1, "a"]),
    "map sorted by UTF-8 bytes": ('{"":0,"a":1,"aa":2,"b":3,"\ufffd":4,"\U0001f600":5}', None),
    "link": (f'{{"/":"{LINK}"}}', LINK),
    "link v0": (f'{{"/":"{V0}"}}', Link.parse(V0)),
    "bytes": ('{"/":{"bytes":"AQI"}}', b"\1\2"),
    "no bytes": ('{"/":{"bytes":""}}', b""),
    "bytes with + and /": ('{"/":{"bytes":"+/8"}}', b"\xfb\xff"),
    "inside": (f'{{"a":[{{"/":"{LINK}"}},{{"/":{{"bytes":"AA"}}}}]}}', {"a": [LINK, b"\0"]}),
    "slash over an integer": ('{"/":1}', {"/": 1}),
    "slash over a link": (f'{{"/":{{"/":"{LINK}"}}}}', {"/": LINK}),
    "slash over bytes": ('{"/":{"/":{"bytes":"AA"}}}', {"/": b"\0"}),
    "slash over a list": ('{"/":["a"]}', {"/": ["a"]}),
    "slash over another map": ('{"/":{"byte":"AA"}}', {"/": {"byte": "AA"}}),
    "slash over bytes of a link": (f'{{"/":{{"bytes":{{"/":"{LINK}"}}}}}}', {"/": {"bytes": LINK}}),
    "longer key": ('{"//":"a"}', {"//": "a"}),
}


@pytest.mark.parametrize(("text", "value"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_text_and_value_go_both_ways(text: str, value: object) -> None:
    """Each value has one compact text with sorted keys, and reads back with its type, from text and from bytes."""
    if value is None and text != "null":
        value = {"b": 3, "\U0001f600": 5, "aa": 2, "\ufffd": 4, "": 0, "a": 1}

    assert text == to_json(value)
    for source in (text, text.encode(), f"\n {text}\t"):
        back = from_json(source)
        assert (type(value), value) == (type(back), back)


def test_indent_is_for_people_and_reads_back() -> None:
    """`indent` breaks the lines and changes nothing else."""
    value = {"b": LINK, "a": [1, b"x"]}

    text = to_json(value, indent=2)

    assert text.startswith('{\n  "a": [\n    1,')
    assert value == from_json(text)


def test_order_of_keys_does_not_matter_when_reading() -> None:
    """People write keys in any order."""
    assert from_json('{"b":1,"a":2}') == {"a": 2, "b": 1}


def test_a_link_in_another_multibase_is_the_same_link() -> None:
    """A hand-written base16 CID is read, and printed in base32."""
    assert from_json(f'{{"/":"{LINK.key}"}}') == LINK


REFUSED = {
    "nothing": "",
    "blanks": "  ",
    "two values": "1 2",
    "a comma too many": "[1,]",
    "single quotes": "{'a':1}",
    "a comment": "/* a */ 1",
    "open list": "[1",
    "open text": '"a',
    "open escape": '"a\\',
    "control character in text": '"\n"',
    "leading zero": "01",
    "plus": "+1",
    "hexadecimal": "0x10",
    "no digit after the point": "1.",
    "not a number": "NaN",
    "infinity": "Infinity",
    "negative infinity": "-Infinity",
    "float too large": "1e999",
    "integer too large": "18446744073709551616",
    "integer too small": "-18446744073709551617",
    "integer of 100,000 digits": "1" * 100_000,
    "repeated key": '{"a":1,"a":1}',
    "repeated key by escape": '{"a":1,"\\u0061":2}',
    "repeated slash": f'{{"/":"{LINK}","/":"{LINK}"}}',
    "lone surrogate": '"\\ud800"',
    "lone surrogate in a key": '{"\\udfff":1}',
    "byte order mark": "\ufeff1",
    "not UTF-8": b'"\xff"',
    "UTF-16": '"a"'.encode("utf-16"),
    "link that is no CID": '{"/":"a"}',
    "empty link": '{"/":""}',
    "link as a URL": f'{{"/":"ipfs://{LINK}"}}',
    "link with another key": f'{{"/":"{LINK}","a":1}}',
    "bytes with another key": '{"/":{"bytes":"AA"},"a":1}',
    "bytes with another key inside": '{"/":{"bytes":"AA","a":1}}',
    "bytes with padding": '{"/":{"bytes":"AA=="}}',
    "bytes in the URL alphabet": '{"/":{"bytes":"-_8"}}',
    "bytes of five letters": '{"/":{"bytes":"AAAAA"}}',
    "bytes with spare bits": '{"/":{"bytes":"AB"}}',
    "bytes with a blank": '{"/":{"bytes":"A A"}}',
    "bytes not ASCII": '{"/":{"bytes":"ÄÄ"}}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_not_dag_json_is_refused(text: str | bytes) -> None:
    """Everything that is not strict DAG-JSON is a `CodecError`, with one short line."""
    with pytest.raises(CodecError) as caught:
        from_json(text)

    assert len(caught.value.message) < 200
    assert "\n" not in caught.value.message


def test_a_fault_in_the_text_has_its_place() -> None:
    """Line and column are those of the text."""
    with pytest.raises(CodecError, match="line 2 column 5"):
        from_json('{"a":\n [1 2]}')


NOT_WRITABLE = {
    "map that reads as a link": {"/": str(LINK)},
    "map that reads as a bad link": {"/": "a"},
    "map that reads as a link and more": {"/": "a", "b": 1},
    "map that reads as bytes": {"/": {"bytes": "AA"}},
    "map that reads as bytes and more": {"/": {"bytes": "AA", "a": 1}},
    "not a number": float("nan"),
    "infinity": float("inf"),
    "lone surrogate": "\ud800",
    "integer too large": 2**64,
    "integer key": {1: 1},
    "tuple": (1,),
    "object": object(),
}


@pytest.mark.parametrize("value", NOT_WRITABLE.values(), ids=NOT_WRITABLE)
def test_what_would_not_read_back_is_not_written(value: object) -> None:
    """What is not IPLD, or would come back as something else, is a `CodecError`."""
    for write in (to_json, to_plain):
        with pytest.raises(CodecError):
            write([value])


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000, '[{"a":' * 100_000 + "1" + "}]" * 100_000],
    ids=["lists", "maps", "closed", "mixed"],
)
def test_hopeless_depth_is_an_error_and_not_a_crash(text: str) -> None:
    """Text far deeper than Python's stack is a `LimitError`."""
    with pytest.raises(LimitError, match="nested more than 64 deep"):
        from_json(text)


def test_the_deepest_allowed_value_goes_both_ways() -> None:
    """The limit counts levels of the value: bytes and links do not add any."""
    value: object = b"x"
    for _ in range(MAX_DEPTH):
        value = [value]

    assert value == from_json(to_json(value))
    assert value == from_plain(to_plain(value))
    for refuse in (to_json, to_plain, from_plain, lambda deeper: from_json(f"[{to_json(deeper[0])}]")):
        with pytest.raises(LimitError):
            refuse([value])


def test_brackets_in_text_are_no_depth() -> None:
    """Brackets and escaped quotes inside text count for nothing; those after it do."""
    value = ["[" * 1_000, '"' + "{" * 1_000, "\\" + "[" * 1_000, {"[" * 1_000: '\\"'}]

    assert value == from_json(to_json(value))
    with pytest.raises(LimitError):
        from_json('["\\"",' + "[" * 1_000)


def test_quotes_without_end_are_read_once() -> None:
    """A megabyte of escaped quotes in a text that never ends is refused like any other fault."""
    with pytest.raises(CodecError, match="Unterminated"):
        from_json('[["' + '\\"[' * 500_000)


def test_size_is_limited() -> None:
    """More than `max_bytes` is not looked at."""
    with pytest.raises(LimitError, match="at most 10"):
        from_json("[" * 11, max_bytes=10)


def test_plain_json_is_read_like_text() -> None:
    """`from_plain` gives what `from_json` gives, for a document someone else has parsed, and `to_plain` goes back."""
    plain = {"l": {"/": str(LINK)}, "b": [{"/": {"bytes": "AQI"}}], "i": 1, "f": 1.0}

    value = from_plain(plain)

    assert value == {"l": LINK, "b": [b"\1\2"], "i": 1, "f": 1.0}
    assert (type(value["i"]), type(value["f"])) == (int, float)
    assert plain == to_plain(value)


@pytest.mark.parametrize("plain", [{"/": "a"}, {"/": {"bytes": "A"}}, float("nan"), 2**64, "\ud800", {1: 1}])
def test_plain_json_is_held_to_the_same_rules(plain: object) -> None:
    """`from_plain` refuses what `from_json` refuses."""
    with pytest.raises(CodecError):
        from_plain([plain])
