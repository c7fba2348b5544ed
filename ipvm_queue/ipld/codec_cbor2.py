"""The codec that has wheels everywhere: cbor2, held to DAG-CBOR by checking types and encoding again."""

from __future__ import annotations

import struct
from typing import Any, Final

import cbor2

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import value as ipld
from ipvm_queue.ipld.link import Link
from ipvm_queue.ipld.value import Value

NAME: Final = "cbor2"
_LINK_TAG: Final = 42


def encode(value: Value) -> bytes:
    """Return the DAG-CBOR of `value`."""
    ipld.check(value)
    return _dumps(value)


def decode(data: bytes, max_depth: int) -> Value:
    """Return the value that `data` encodes, if encoding it again gives the same bytes."""
    value = cbor2.loads(
        data,
        tag_hook=_decode_tag,
        max_depth=max_depth + 2,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    ipld.check(value, max_depth=max_depth)
    if _dumps(value) != data:
        raise CodecError("not canonical DAG-CBOR")
    return value


def _dumps(value: Value) -> bytes:
    return cbor2.dumps(value, encoders={float: _encode_float, Link: _encode_link}, canonical=True)


def _encode_float(encoder: Any, number: float) -> None:
    encoder.write(b"\xfb" + struct.pack(">d", number))  # canonical CBOR would shorten it; DAG-CBOR has 64 bits only


def _encode_link(encoder: Any, link: Link) -> None:
    encoder.encode(cbor2.CBORTag(_LINK_TAG, b"\0" + link.bytes))


def _decode_tag(tag: cbor2.CBORTag, _immutable: bool) -> Link:  # noqa: FBT001 - cbor2 calls it so
    if tag.tag != _LINK_TAG:
        raise CodecError(f"tag {tag.tag} is not DAG-CBOR: 42, a link, is the only one")
    if type(tag.value) is not bytes or tag.value[:1] != b"\0":
        raise CodecError("a link is a byte string that starts with 0x00")
    return Link(tag.value[1:])
