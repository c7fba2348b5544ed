"""The accelerator: cbrrr, as strict as the reference and a hundred times faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cbrrr

from ipvm_queue.ipld import codec_cbor2
from ipvm_queue.ipld import value as ipld
from ipvm_queue.ipld.link import Link

if TYPE_CHECKING:
    from ipvm_queue.ipld.value import Value

NAME: Final = "cbrrr"
# Heads of lists and maps that hold something; inside strings the same bytes mean nothing, so a count is an upper bound.
_HEADS: Final = bytes((*range(0x81, 0x9C), *range(0xA1, 0xBC)))
_NO_HEADS: Final = bytes(set(range(256)) - set(_HEADS))
_SMALL: Final = 4096


def encode(value: Value, max_depth: int) -> bytes:
    """Return the DAG-CBOR of `value`; cbrrr would follow a list that holds itself until memory ends."""
    ipld.check_depth(value, max_depth=max_depth)
    return cbrrr.encode_dag_cbor(value, cid_type=Link)  # type: ignore[no-any-return]


def decode(data: bytes, max_depth: int) -> Value:
    """Return the value that `data` encodes.

    cbrrr refuses everything that DAG-CBOR forbids, but has no limit on depth and allocates each list at its claimed
    length before it reads an item, so that list heads nested in each other cost their square. Long data that may be
    such are probed with cbor2 first.
    """
    may_be_deep = len(data) > max_depth and len(data.translate(None, _NO_HEADS)) > max_depth
    if may_be_deep and len(data) > _SMALL:
        codec_cbor2.probe(data, max_depth)
    value = cbrrr.decode_dag_cbor(data, cid_ctor=Link)
    if may_be_deep:
        ipld.check_depth(value, max_depth=max_depth)
    return value


def decode_own(data: bytes, max_depth: int) -> Value:
    """Return the value of data that `encode` has made."""
    del max_depth
    return cbrrr.decode_dag_cbor(data, cid_ctor=Link)


def decode_plain(data: bytes, max_depth: int) -> Value:
    """Return the value of data that `encode` has made, with the bytes of CIDs in place of links."""
    del max_depth
    return cbrrr.decode_dag_cbor(data, cid_ctor=bytes)


def encode_own(value: Value) -> bytes:
    """Return the DAG-CBOR of a value that is known to be IPLD, and not deep."""
    return cbrrr.encode_dag_cbor(value, cid_type=Link)  # type: ignore[no-any-return]
