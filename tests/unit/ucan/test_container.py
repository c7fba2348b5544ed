"""Containers: six encodings of one thing, strict and bounded."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from base64 import b64encode, urlsafe_b64encode

import pytest
from principals import ALICE, BOB, grant

from ipvm_queue.ipld import Link, encode
from ipvm_queue.ucan import Container, Encoding, MalformedError

TOKENS = [b"b", b"a", bytes(range(256)), grant(ALICE, BOB, ALICE, nonce=b"").data]
PADDED = encode({"ctn-v1": [b"a"]})  # eleven bytes
BODY = encode({"ctn-v1": sorted(TOKENS)})


@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_reads_back(encoding):
    """What is written has its header byte, is sorted and without doubles, and reads back."""
    written = Container.of([*TOKENS, *TOKENS]).write(encoding)
    read = Container.read(written)

    assert written[:1] == encoding.value
    assert list(read.tokens.values()) == sorted(TOKENS)
    assert all(Link.of(token, 0x71) == link for link, token in read.tokens.items())
    assert written == Container.of(reversed(TOKENS)).write(encoding)


def test_the_bytes_are_those_of_the_specification():
    """Each encoding is what its header letter stands for."""
    zipped = gzip.compress(BODY)

    for data in (
        b"@" + BODY,
        b"B" + b64encode(BODY),
        b"C" + urlsafe_b64encode(BODY).rstrip(b"="),
        b"M" + zipped,
        b"O" + b64encode(zipped),
        b"P" + urlsafe_b64encode(zipped).rstrip(b"="),
        b"D" + zipped,
        b"E" + b64encode(zipped),
        b"F" + urlsafe_b64encode(zipped).rstrip(b"="),
    ):
        assert list(Container.read(data).tokens.values()) == sorted(TOKENS)
    assert Container.of(TOKENS).write() == b"@" + BODY


def test_order_and_doubles_do_not_matter_to_the_reader():
    """Tokens come in the order in which they stand, each once."""
    data = b"@" + encode({"ctn-v1": [b"z", b"a", b"z"]})

    assert list(Container.read(data).tokens.values()) == [b"z", b"a"]


BAD = {
    "empty": b"",
    "only a header": b"@",
    "another header": b"A" + BODY,
    "header 0": b"\0" + BODY,
    "a list": b"@" + encode([b"a"]),
    "another version": b"@" + encode({"ctn-v2": []}),
    "another key beside": b"@" + encode({"ctn-v1": [], "x": 1}),
    "tokens as text": b"@" + encode({"ctn-v1": ["a"]}),
    "tokens as links": b"@" + encode({"ctn-v1": [Link.of(b"a")]}),
    "tokens as map": b"@" + encode({"ctn-v1": {}}),
    "bytes behind it": b"@" + BODY + b"\0",
    "indefinite": b"@\xbf" + BODY[1:] + b"\xff",
    "base64 with blanks": b"B" + b64encode(BODY)[:8] + b" " + b64encode(BODY)[8:],
    "base64 unpadded": b"B" + b64encode(PADDED).rstrip(b"="),
    "base64url in base64": b"B" + urlsafe_b64encode(BODY),
    "base64 in base64url": b"C" + b64encode(BODY).rstrip(b"="),
    "base64url padded": b"C" + urlsafe_b64encode(PADDED),
    "not gzip": b"M" + BODY,
    "zlib and not gzip": b"M" + zlib.compress(BODY),
    "gzip cut": b"M" + gzip.compress(BODY)[:-1],
    "gzip twice": b"M" + gzip.compress(BODY) + gzip.compress(b""),
    "gzip with more behind": b"M" + gzip.compress(BODY) + b"\0",
    "gzip with a wrong sum": b"M" + gzip.compress(BODY)[:-8] + bytes(8),
    "too many tokens": b"@" + encode({"ctn-v1": [b""] * 4097}),
    "too deep": b"@" + b"\x81" * 100_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_container_is_malformed(data):
    """Each form is read strictly, so that one container is not two."""
    with pytest.raises(MalformedError):
        Container.read(data)


@pytest.mark.parametrize("letter", [b"M", b"D"])
def test_a_gzip_bomb_is_refused_before_it_is_unpacked(letter):
    """Many megabytes in a few kilobytes are unpacked as far as the limit and no further."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(2**20)) for _ in range(64)]) + packer.flush()

    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="at most"):
            Container.read(letter + bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_container_has_a_limit():
    """What is larger than the limit is refused in every encoding, packed or not."""
    for encoding in Encoding:
        with pytest.raises(MalformedError, match="at most"):
            Container.read(Container.of([bytes(2**20)]).write(encoding))
        assert Container.read(Container.of([bytes(1000)]).write(encoding), max_bytes=1100).tokens


def test_the_base64_of_a_token_has_one_form():
    """Bits behind the end have to be zero."""
    text = b64encode(PADDED)
    assert text.endswith(b"=")
    assert not text.endswith(b"==")
    last = len(text) - 2
    changed = text[:last] + bytes([text[last] + 1]) + b"="

    with pytest.raises(MalformedError, match="base64"):
        Container.read(b"B" + changed)
