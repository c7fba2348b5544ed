"""The codec that has wheels everywhere: cbor2, held to DAG-CBOR by refusing what is not IPLD and encoding again."""

from __future__ import annotations

import struct
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn

import cbor2

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import value as ipld
from ipvm_queue.ipld.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvm_queue.ipld.value import Value

NAME: Final = "cbor2"
_LINK_TAG: Final = 42


def encode(value: Value, max_depth: int) -> bytes:
    """Return the DAG-CBOR of `value`."""
    ipld.check(value, max_depth=max_depth)
    return _dumps(value)


def decode(data: bytes, max_depth: int) -> Value:
    """Return the value that `data` encodes; raises `ValueError` unless encoding it again gives the same bytes."""
    value = _loads(data, max_depth, _TAGS, _check_keys)
    ipld.check_depth(value, max_depth=max_depth)
    if _dumps(value) != data:
        raise ValueError("not canonical")
    return value


def decode_own(data: bytes, max_depth: int) -> Value:
    """Return the value of data that `encode` has made."""
    return _loads(data, max_depth, _TAGS, None)


def decode_plain(data: bytes, max_depth: int) -> Value:
    """Return the value of data that `encode` has made, with the bytes of CIDs in place of links."""
    return _loads(data, max_depth, _PLAIN_LINK, None)


def encode_own(value: Value) -> bytes:
    """Return the DAG-CBOR of a value that is known to be IPLD, and not deep."""
    return _dumps(value)


def probe(data: bytes, max_depth: int) -> None:
    """Raise unless `data` begin with CBOR that keeps to `max_depth` and holds as much as it claims."""
    _loads(data, max_depth, _ANY_LINK, None)


def _loads(data: bytes, max_depth: int, tags: _Tags, object_hook: cbor2.ObjectHook | None) -> Value:
    try:
        return cbor2.loads(
            data,
            semantic_decoders=tags,
            object_hook=object_hook,
            max_depth=max_depth + 2,  # a link is one more, and so is an empty list or map
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as error:
        if "nesting depth" in str(error):
            raise LimitError(f"nested more than {max_depth} deep") from error
        if isinstance(error.__cause__, CodecError):
            raise error.__cause__ from error
        raise


class _Tags(dict[int, "Callable[[Any, bool], Any]"]):
    """A decoder for every tag there is: a link for 42, a refusal for the rest, before cbor2's own meaning of them."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        def refuse(_content: Any, _immutable: bool) -> NoReturn:  # noqa: FBT001 - cbor2 calls it so
            raise CodecError(f"tag {tag} is not DAG-CBOR: 42, a link, is the only one")

        return refuse


def _decode_link(content: Any, _immutable: bool) -> Link:  # noqa: FBT001 - cbor2 calls it so
    if type(content) is not bytes or content[:1] != b"\0":
        raise CodecError("a link is a byte string that starts with 0x00")
    return Link(content[1:])


_TAGS: Final = _Tags({_LINK_TAG: _decode_link})
_PLAIN_LINK: Final = _Tags({_LINK_TAG: lambda content, _immutable: content[1:]})
_ANY_LINK: Final = _Tags({_LINK_TAG: lambda _content, _immutable: None})


def _check_keys(item: Mapping[Any, Any], _immutable: bool) -> Mapping[Any, Any]:  # noqa: FBT001 - cbor2 calls it so
    for key in item:
        if type(key) is not str:
            raise CodecError(f"an IPLD map has only text keys, not {type(key).__name__}")
    return item


def _dumps(value: Value) -> bytes:
    return cbor2.dumps(value, encoders=_ENCODERS, canonical=True)


def _encode_float(encoder: cbor2.CBOREncoder, number: float) -> None:
    if not isfinite(number):
        raise CodecError(f"{number} has no IPLD form")
    encoder.write(b"\xfb" + struct.pack(">d", number))  # canonical CBOR would shorten it; DAG-CBOR has 64 bits only


def _encode_link(encoder: cbor2.CBOREncoder, link: Link) -> None:
    encoder.encode(cbor2.CBORTag(_LINK_TAG, b"\0" + link.bytes))


def _refuse_simple(_encoder: cbor2.CBOREncoder, item: object) -> NoReturn:
    raise CodecError(f"{item!r} is not DAG-CBOR: the simple values are false, true and null")


_ENCODERS: Final[Mapping[type, Callable[[cbor2.CBOREncoder, Any], None]]] = {
    float: _encode_float,
    Link: _encode_link,
    cbor2.CBORSimpleValue: _refuse_simple,
    type(cbor2.undefined): _refuse_simple,
}
