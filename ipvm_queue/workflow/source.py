"""The text or bytes of a document, as one IPLD value."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from ipvm_queue.errors import CodecError, DocumentError, Fault, LimitError
from ipvm_queue.ipld import Value, check, count_items, decode
from ipvm_queue.workflow.checks import CBOR_MAPS, refuse
from ipvm_queue.workflow.positions import Positions
from ipvm_queue.workflow.shapes import Reading, parse_cid
from ipvm_queue.workflow.unfit import Unfit, note_unfit

if TYPE_CHECKING:
    from ipvm_queue.workflow.limits import DocumentLimits

_LARGE: Final = "put large values into blocks and link to them"


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed document: its value, its text if it was JSON, and whether a map in it names a key twice.

    `data` are its bytes if it was DAG-CBOR: the codec has refused whatever is not IPLD or too deep then.
    """

    name: str
    value: Value
    text: str | None = None
    repeats: bool = False
    data: bytes | None = None


def parse(data: bytes | str | dict[str, Value], name: str, limits: DocumentLimits) -> Source:
    """Return the IPLD value of DAG-JSON text, DAG-CBOR bytes or a parsed document.

    Raises `DocumentError` with one fault where nothing more can be said: `empty`, `too-large`, `not-json`,
    `not-dag-cbor`, `too-deep`. What is in it is checked by `check_fit`.
    """
    if isinstance(data, dict):
        return Source(name, data)
    if len(data) > limits.size:
        _refuse("too-large", f"{name} has {len(data)} bytes, at most {limits.size} are read", name, hint=_LARGE)
    if not data.strip():
        _refuse("empty", f"{name} is empty", name, hint="a job is a map of labelled jobs")
    if isinstance(data, str):
        return _parse_json(data, name)
    if data[0] in CBOR_MAPS:
        return _parse_cbor(data, name, limits)
    try:
        return _parse_json(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        _refuse("not-json", f"{name} is neither DAG-JSON (UTF-8 text) nor DAG-CBOR: {error}", name)


def check_fit(source: Source, limits: DocumentLimits) -> None:
    """Raise `DocumentError` unless the value is IPLD and not too deep: `too-deep`, `bad-cid`, `not-finite`, …."""
    if source.data is not None:
        return
    try:
        check(source.value, max_depth=limits.depth)
    except LimitError as error:
        _refuse(
            "too-deep", error.message, source.name, hint="flatten the inputs, or put them in a block and link to it"
        )
    except CodecError:
        reading = Reading()
        note_unfit(source.value, reading.faults)
        refuse(source, reading)


def _parse_cbor(data: bytes, name: str, limits: DocumentLimits) -> Source:
    if len(data) > limits.values:  # each value has one byte at least
        try:
            count_items(data, limits.values)
        except LimitError as error:
            _refuse("too-large", f"{name} has {error.message}", name, hint=_LARGE)
    try:
        value = decode(data, max_bytes=limits.size, max_depth=limits.depth, max_items=len(data))
        return Source(name, value, data=data)
    except LimitError as error:
        _refuse("too-deep", error.message, name)
    except CodecError as error:
        _refuse("not-dag-cbor", error.message, name)


def _parse_json(text: str, name: str) -> Source:
    decoder = _DagJson()
    try:
        value = json.loads(text, object_pairs_hook=decoder.read_map, parse_constant=_read_constant)
    except json.JSONDecodeError as error:
        line, column, excerpt = Positions(text).line_of(error.pos)
        fault = Fault("not-json", f"{name} is not JSON: {error.msg}", "", line, column, excerpt or None)
        raise DocumentError([fault], name=name) from error
    except RecursionError:
        _refuse("too-deep", f"{name} is nested far too deep", name)
    except ValueError:  # Python's own limit
        _refuse("not-json", f"{name} has a number of too many digits", name)
    return Source(name, value, text, decoder.repeats)


class _DagJson:
    """Reads `{"/": cid}` as a link and `{"/": {"bytes": base64}}` as bytes."""

    def __init__(self) -> None:
        self.repeats = False

    def read_map(self, pairs: list[tuple[str, Value]]) -> Value:
        value = dict(pairs)
        if len(value) != len(pairs):
            self.repeats = True
        return _special(value) if "/" in value else value


def _special(value: dict[str, Value]) -> Value:
    inner = value["/"]
    if len(value) == 1 and type(inner) is str:
        try:
            return parse_cid(inner)
        except CodecError as error:
            return Unfit("bad-cid", error.message, error.hint)
    if len(value) == 1 and type(inner) is dict and len(inner) == 1 and type(inner.get("bytes")) is str:
        text: str = inner["bytes"]
        try:
            return b64decode(text + "=" * (-len(text) % 4), validate=True)
        except Base64Error:
            return Unfit("bad-bytes", f"not base64: {text[:80]!r}")
    hint = 'links are {"/": "bafy…"}, bytes {"/": {"bytes": "base64"}}'
    return Unfit("reserved-key", "a map with the key '/' is a link or bytes", hint)


def _read_constant(name: str) -> Unfit:
    return Unfit("not-finite", f"numbers are finite, this is {name}")


def _refuse(code: str, message: str, name: str, *, hint: str | None = None) -> NoReturn:
    raise DocumentError([Fault(code, message, hint=hint)], name=name) from None
