"""Strict DAG-CBOR.

Speed comes from cbrrr where it is installed (extra `fast`, needs a compiler) and else from cbor2; dag-cbor, the
reference, stands behind both: what the fast codec refuses it refuses too, and its words say why and at which byte.
"""

from __future__ import annotations

import re
from typing import Final

import dag_cbor
from multiformats import CID

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import value as ipld
from ipvm_queue.ipld.items import MAX_ITEMS, count_items
from ipvm_queue.ipld.link import DAG_CBOR, Link
from ipvm_queue.ipld.value import MAX_DEPTH, Value

try:
    from ipvm_queue.ipld import codec_cbrrr as codec
except ImportError:
    from ipvm_queue.ipld import codec_cbor2 as codec  # type: ignore[no-redef]

CODEC: Final[str] = codec.NAME
MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_EXPLAINED: Final = 64 * 1024
_PLACE: Final = re.compile(r"At byte #(\d+)")
_CONTEXT: Final = re.compile(r"At byte #|\^|Error while decoding (dict|list|CID)\.")


def encode(value: Value, *, max_depth: int = MAX_DEPTH) -> bytes:
    """Return the one DAG-CBOR encoding of `value`.

    Raises `CodecError` for what is not IPLD and `LimitError` for what is more than `max_depth` deep.
    """
    try:
        return codec.encode(value, max_depth)
    except CodecError:
        raise
    except Exception as error:
        ipld.check(value, max_depth=max_depth)
        raise CodecError(f"not encodable as DAG-CBOR: {error}") from error


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Value:
    """Return the value that `data` encodes.

    Raises `CodecError` unless it is exactly one canonical DAG-CBOR item, `LimitError` where it is too long or too deep,
    or has too many values in it, which takes memory whatever its length.
    """
    if len(data) > max_bytes:
        raise LimitError(f"{len(data)} bytes of DAG-CBOR, at most {max_bytes} are read")
    if len(data) > max_items:  # each value has one byte at least
        count_items(data, max_items)
    try:
        return codec.decode(data, max_depth)
    except LimitError:
        raise
    except CodecError as error:
        raise CodecError(f"not DAG-CBOR: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise CodecError(f"not DAG-CBOR: {explain(data) or error}") from error


def encode_own(value: Value) -> bytes:
    """Return the encoding of a value that this package has made of checked parts: IPLD throughout, and not deep."""
    return codec.encode_own(value)


def decode_own(data: bytes) -> Value:
    """Return the value of data that this package has encoded and whose CID has been verified since.

    They are known to be canonical, so that only half of the work is left. Raises `CodecError` for what is no DAG-CBOR.
    """
    try:
        return codec.decode_own(data, MAX_DEPTH)
    except Exception as error:
        raise CodecError(f"not DAG-CBOR: {error}") from error


def decode_plain(data: bytes) -> Value:
    """Return what `decode_own` does, with the bytes of CIDs in place of Links, which take longer than all the rest."""
    try:
        return codec.decode_plain(data, MAX_DEPTH)
    except Exception as error:
        raise CodecError(f"not DAG-CBOR: {error}") from error


def explain(data: bytes) -> str | None:
    """Return what the reference codec finds wrong with `data`, and at which byte, in one line.

    None if it finds nothing, or if the data are too long (64 KiB) or too deep for it: it is slow and recurses.
    """
    if len(data) > _MAX_EXPLAINED:
        return None
    try:
        dag_cbor.decode(data)
    except RecursionError:
        return None
    except Exception as error:  # noqa: BLE001 - its errors have no common root
        return _innermost(str(error))
    return None


def _innermost(report: str) -> str:
    """Return the cause and its place from the reference's report, which draws all the way down to them."""
    section = report.rpartition("\\ ")[2]
    lines = [line.strip() for line in section.splitlines()]
    cause = next((line for line in lines if not _CONTEXT.match(line)), lines[0]).rstrip(".")
    place = _PLACE.search(section)
    return cause if place is None else f"{cause} (byte {place[1]})"


def to_reference(value: Value) -> Value:
    """Return `value` with multiformats' CIDs in place of links, as dag-cbor wants it."""
    if isinstance(value, Link):
        return CID.decode(value.bytes)
    if isinstance(value, dict):
        return {key: to_reference(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_reference(item) for item in value]
    return value


def cid_of(value: Value) -> Link:
    """Return the CID of `value` as a DAG-CBOR block."""
    return Link.of(encode(value), DAG_CBOR)
