"""Links: every text form of a CID, and everything that is none."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from multiformats import CID

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import DAG_CBOR, DAG_PB, RAW, Link

LINK = Link.of(b"block")
DIGEST = hashlib.sha256(b"block").digest()
CID_OBJECT = CID.decode(LINK.bytes)
V0 = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"


@pytest.mark.parametrize(
    "base", ["base32", "base58btc", "base36", "base64url", "base16", "base32upper", "base64", "base2"]
)
def test_any_multibase_parses_to_the_same_link(base: str) -> None:
    """One block has one link, whatever the text it came as."""
    assert Link.parse(CID_OBJECT.encode(base)) == LINK


def test_ipfs_urls_parse() -> None:
    """`ipfs://CID` is the CID; anything behind it is not."""
    assert Link.parse(f"ipfs://{LINK}") == LINK
    with pytest.raises(CodecError):
        Link.parse(f"ipfs://{LINK}/path")


def test_text_is_base32_and_reads_back() -> None:
    """The printed form is base32, and reads back."""
    assert CID_OBJECT.encode("base32") == str(LINK)
    assert Link.parse(str(LINK)) == LINK
    assert Link.parse(LINK.key) == LINK
    assert LINK.short == "…" + str(LINK)[-8:]
    assert repr(LINK) == f"Link({LINK})"


def test_cid_v0() -> None:
    """A CIDv0 keeps its form: base58btc text, 34 bytes, dag-pb."""
    link = Link.parse(V0)

    assert len(link.bytes) == 34
    assert (str(link), link.codec) == (V0, DAG_PB)
    assert not link.is_sha256


NOT_CIDS = {
    "nothing": "",
    "a word": "hello",
    "only a multibase": "b",
    "cut": str(LINK)[:-3],
    "longer": str(LINK) + "a",
    "mixed case": str(LINK)[:-1] + str(LINK)[-1].upper(),
    "padding": str(LINK) + "======",
    "blank before": " " + str(LINK),
    "blank after": str(LINK) + " ",
    "newline after": str(LINK) + "\n",
    "not in the alphabet": str(LINK)[:-1] + "1",
    "v0 with a multibase": "z" + V0,
    "v0 cut": V0[:-1],
    "unknown multibase": "!" + str(LINK)[1:],
    "version 2": "f02711220" + DIGEST.hex(),
    "two schemes": f"ipfs://ipfs://{LINK}",
    "very long": "b" + "a" * 100_000,
    "very long base58": "z" + "2" * 1_000_000,
    "digits that are not ASCII": str(LINK)[:-1] + "٣",
}


@pytest.mark.parametrize("text", NOT_CIDS.values(), ids=NOT_CIDS)
def test_what_is_no_cid_is_refused(text: str) -> None:
    """Text that is not exactly one CID is a `CodecError` that shows at most its start."""
    with pytest.raises(CodecError, match="CID") as caught:
        Link.parse(text)

    assert caught.value.hint == "a CID looks like bafy… or Qm…"
    assert len(caught.value.message) < 200


def test_only_one_base32_text_names_a_link() -> None:
    """Bits behind the last byte must be zero: else several texts would name one block."""
    text = str(LINK)  # 36 bytes are 57.6 characters: two spare bits in the last one
    twin = text[:-1] + "abcdefghijklmnopqrstuvwxyz234567"["abcdefghijklmnopqrstuvwxyz234567".index(text[-1]) + 1]

    with pytest.raises(CodecError):
        Link.parse(twin)


BAD_BINARY = {
    "empty": b"",
    "version only": b"\x01",
    "no digest": b"\x01\x71\x12",
    "digest cut": b"\x01\x71\x12\x20" + DIGEST[:-1],
    "digest longer": b"\x01\x71\x12\x20" + DIGEST + b"\0",
    "version 0 spelled out": b"\x00\x70\x12\x20" + DIGEST,
    "version 2": b"\x02\x71\x12\x20" + DIGEST,
    "version not minimal": b"\x81\x00\x71\x12\x20" + DIGEST,
    "codec not minimal": b"\x01\xf1\x00\x12\x20" + DIGEST,
    "hash not minimal": b"\x01\x71\x92\x00\x20" + DIGEST,
    "size not minimal": b"\x01\x71\x12\xa0\x00" + DIGEST,
    "unknown codec": b"\x01\xff\x7e\x12\x20" + DIGEST,
    "unknown hash": b"\x01\x71\xff\x7e\x20" + DIGEST,
    "a codec as hash": b"\x01\x71\x71\x20" + DIGEST,
    "endless varint": b"\x01" + b"\xff" * 60,
    "v0 cut": b"\x12\x20" + DIGEST[:-1],
    "v0 longer": b"\x12\x20" + DIGEST + b"\0",
    "too long": b"\x01\x55\x00\x80\x01" + bytes(128),
}


@pytest.mark.parametrize("binary", BAD_BINARY.values(), ids=BAD_BINARY)
def test_bad_binary_is_refused(binary: bytes) -> None:
    """Bytes that are not exactly one CID with minimal varints are a `CodecError`."""
    with pytest.raises(CodecError, match="CID"):
        Link(binary)


HASHES = {
    "sha2-256": b"\x01\x55\x12\x20" + hashlib.sha256(b"block").digest(),
    "sha2-256 v0": b"\x12\x20" + hashlib.sha256(b"block").digest(),
    "sha2-256 of another codec": b"\x01\x70\x12\x20" + hashlib.sha256(b"block").digest(),
    "sha2-512": b"\x01\x55\x13\x40" + hashlib.sha512(b"block").digest(),
    "sha3-224": b"\x01\x55\x17\x1c" + hashlib.sha3_224(b"block").digest(),
    "sha3-256": b"\x01\x55\x16\x20" + hashlib.sha3_256(b"block").digest(),
    "sha3-384": b"\x01\x55\x15\x30" + hashlib.sha3_384(b"block").digest(),
    "sha3-512": b"\x01\x55\x14\x40" + hashlib.sha3_512(b"block").digest(),
    "blake2b-256": b"\x01\x55\xa0\xe4\x02\x20" + hashlib.blake2b(b"block", digest_size=32).digest(),
    "identity": b"\x01\x55\x00\x05block",
}


@pytest.mark.parametrize("binary", HASHES.values(), ids=HASHES)
def test_blocks_are_verified(binary: bytes) -> None:
    """The bytes of the block match, changed ones do not."""
    link = Link(binary)

    assert link.matches(b"block")
    assert not link.matches(b"blocK")
    assert not link.matches(b"")


@pytest.mark.parametrize(
    "binary",
    [
        b"\x01\x55\x12\x01" + hashlib.sha256(b"block").digest()[:1],
        b"\x01\x55\x12\x00",
        b"\x01\x55\x11\x14" + hashlib.sha1(b"block", usedforsecurity=False).digest(),
        b"\x01\x55\xd5\x01\x10" + hashlib.md5(b"block", usedforsecurity=False).digest(),
    ],
    ids=["sha2-256 cut to a byte", "sha2-256 cut to nothing", "sha1", "md5"],
)
def test_weak_hashes_match_nothing(binary: bytes) -> None:
    """A digest that others can meet proves nothing, so it matches nothing."""
    assert not Link(binary).matches(b"block")


def test_codec_is_read_from_the_cid() -> None:
    """The multicodec, known or not."""
    assert Link.of(b"a").codec == RAW
    assert Link.of(b"a", DAG_CBOR).codec == DAG_CBOR
    assert Link(b"\x01\x78\x16\x20" + DIGEST).codec == 0x78


def test_split_reads_the_cid_in_front() -> None:
    """The CID ends where its digest does; the rest is the caller's."""
    v0 = Link.parse(V0)

    assert Link.split(LINK.bytes + b"rest") == (LINK, b"rest")
    assert Link.split(v0.bytes) == (v0, b"")
    with pytest.raises(CodecError):
        Link.split(LINK.bytes[:-1])


def test_links_are_values() -> None:
    """Equal bytes are equal links, in sets and through pickle; nothing else is equal to a link."""
    twin = Link(bytes(LINK))

    assert (twin == LINK, hash(LINK) == hash(twin)) == (True, True)
    assert LINK not in (LINK.bytes, str(LINK), Link.of(b"other"))
    assert pickle.loads(pickle.dumps(LINK)) == LINK  # noqa: S301 - our own bytes
