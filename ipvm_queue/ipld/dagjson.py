"""DAG-JSON: the text form of IPLD values, strict both ways.

A link is `{"/": "bafy…"}`, bytes are `{"/": {"bytes": "base64 without padding"}}`; a map that looks like one of the two
and is not is an error. Integers and floats stay apart: a number with a point or an exponent is a float.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from itertools import accumulate
from math import isfinite
from typing import Any, Final, NoReturn

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld.dagcbor import MAX_BYTES
from ipvm_queue.ipld.link import Link
from ipvm_queue.ipld.value import MAX_DEPTH, Value, check

_BYTES_DEPTH: Final = 2  # bytes stand two maps deeper in plain JSON than in IPLD
_MAX_DIGITS: Final = 20
# An unclosed string takes the rest of the text, so that no quote is looked at twice.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET: Final = re.compile(r"[^\[\]{}]+")
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def to_json(value: Value, *, indent: int | None = None, max_depth: int = MAX_DEPTH) -> str:
    """Return `value` as DAG-JSON: keys sorted by their UTF-8 bytes, no blanks without `indent` (spaces a level).

    Raises `CodecError` for what is not IPLD or would read back as a link or bytes, `LimitError` for what is too deep.
    """
    plain = to_plain(value, max_depth=max_depth)
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(plain, indent=indent, separators=separators, sort_keys=True, ensure_ascii=False, allow_nan=False)


def from_json(text: str | bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Value:
    """Return the value that DAG-JSON `text` says; blanks and any order of keys are accepted.

    Raises `CodecError` for anything else than one value, for repeated keys, numbers out of range, lone surrogates and
    misused `{"/": …}`; raises `LimitError` where the text is longer than `max_bytes` or deeper than `max_depth`.
    """
    if len(text) > max_bytes:
        raise LimitError(f"{len(text)} bytes of DAG-JSON, at most {max_bytes} are read")
    try:
        if isinstance(text, bytes):
            text = text.decode()
        _check_nesting(text, max_depth + _BYTES_DEPTH)
        value = json.loads(
            text,
            object_pairs_hook=_read_map,
            parse_int=_read_int,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise CodecError(f"not DAG-JSON: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise CodecError(f"not DAG-JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    check(value, max_depth=max_depth)
    return value


def from_plain(plain: Any, *, max_depth: int = MAX_DEPTH) -> Value:
    """Return the value that parsed JSON (dict, list, str, int, float, bool, None) says with its `{"/": …}` forms."""
    check(plain, max_depth=max_depth + _BYTES_DEPTH)
    value = _read(plain)
    check(value, max_depth=max_depth)
    return value


def to_plain(value: Value, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return `value` as what a JSON library can write, links and bytes in their `{"/": …}` forms."""
    check(value, max_depth=max_depth)
    return _write(value)


def _write(value: Value) -> Any:
    if isinstance(value, dict):
        if _is_reserved(value):
            raise CodecError('a map whose "/" holds text, or a map with text under "bytes", has no DAG-JSON form')
        return {key: _write(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_write(item) for item in value]
    if isinstance(value, bytes):
        return {"/": {"bytes": b64encode(value).decode().rstrip("=")}}
    if isinstance(value, Link):
        return {"/": str(value)}
    return value


def _read(plain: Any) -> Value:
    if isinstance(plain, dict):
        return _read_form({key: _read(item) for key, item in plain.items()})
    if isinstance(plain, list):
        return [_read(item) for item in plain]
    return plain


def _is_reserved(item: dict[str, Any]) -> bool:
    inner = item.get("/")
    return isinstance(inner, str) or (isinstance(inner, dict) and isinstance(inner.get("bytes"), str))


def _read_form(item: dict[str, Any]) -> Value:
    if not _is_reserved(item):
        return item
    inner = item["/"]
    if len(item) > 1:
        raise CodecError('a link or bytes, {"/": …}, has no other keys')
    if isinstance(inner, str):
        if inner.startswith("ipfs:"):
            raise CodecError(f'not a CID: {inner[:80]!r}, in {{"/": …}} it stands without ipfs://')
        return Link.parse(inner)
    if len(inner) > 1:
        raise CodecError('bytes, {"/": {"bytes": …}}, have no other keys')
    return _read_bytes(inner["bytes"])


def _read_bytes(text: str) -> bytes:
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError) as error:
        raise CodecError(f"not base64: {text[:40]!r}") from error
    if b64encode(data).decode().rstrip("=") != text:
        raise CodecError(f"not base64 without padding: {text[:40]!r}")
    return data


def _read_map(pairs: list[tuple[str, Any]]) -> Value:
    item = dict(pairs)
    if len(item) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise CodecError(f"the key {twice[:80]!r} stands twice in one map")
    return _read_form(item)


def _read_int(digits: str) -> int:
    if len(digits.removeprefix("-")) > _MAX_DIGITS:
        raise CodecError("an integer does not fit in 64 bits")
    return int(digits)


def _read_float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise CodecError(f"the number {digits[:40]} does not fit in a 64-bit float")
    return number


def _refuse_constant(word: str) -> NoReturn:
    raise CodecError(f"{word} has no IPLD form")


def _check_nesting(text: str, max_depth: int) -> None:
    """Raise `LimitError` before Python's parser recurses deeper than `max_depth`."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > max_depth:
        raise LimitError(f"nested more than {max_depth - _BYTES_DEPTH} deep")
