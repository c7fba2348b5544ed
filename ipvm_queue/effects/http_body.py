"""The body of an answer: read and decompressed within a limit, then a value.

What arrives compressed is counted as what it becomes, while it becomes it: a small bomb ends where a big body does.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import check

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from ipvm_queue.ipld import Value

FORMS: Final = ("auto", "json", "text", "bytes")
ACCEPTED: Final = "gzip, deflate"
_GZIP: Final = zlib.MAX_WBITS | 16
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_DEPTH: Final = 60
_SLACK: Final = 64 * 1024


def read_body(response: httpx.Response, most: int) -> bytes:
    """Return the whole body, decompressed; raises `http/too-large` at `most` bytes and `http/encoding`."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    chunks = response.iter_raw()
    if coding == "identity":
        return _collect(chunks, most)
    if coding not in _WINDOWS:
        raise EffectError(
            "http/encoding", f"the body is in an encoding that was not asked for: {coding[:40]!r}", "world"
        )
    try:
        return _collect(_inflated(chunks, _WINDOWS[coding], most), most)
    except zlib.error as error:
        raise EffectError("http/encoding", f"the body is no {coding}: {error}", "world") from None


def _collect(chunks: Iterable[bytes], most: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise EffectError("http/too-large", f"the body has more than {most} bytes", "world")
    return bytes(body)


def _inflated(chunks: Iterable[bytes], window: int, most: int) -> Iterable[bytes]:
    inflater, arrived = zlib.decompressobj(window), 0
    for chunk in chunks:
        arrived += len(chunk)
        if inflater.eof or arrived > most + _SLACK:  # compressed bytes that become nothing have an end, too
            break
        yield inflater.decompress(chunk, most + 1)
    if arrived and not inflater.eof:
        raise zlib.error("it ends too early")


def value_of(body: bytes, content_type: str, form: str) -> Value:
    """Return a body as a value: `json`, `text` and `bytes` say what it must be, `auto` goes by its content type.

    Raises `http/bad-body` for JSON that is none or has no IPLD form, and for text that is not UTF-8.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if form == "auto":
        form = "json" if kind == "application/json" or kind.endswith("+json") else "text" if _is_text(kind) else "bytes"
        if form == "text":
            try:
                return body.decode()
            except UnicodeDecodeError:
                return body
        if form == "json" and not body:
            return None
    if form == "bytes":
        return body
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        _refuse(f"it is not UTF-8: {error.reason} at {error.start}")
    return _read_json(text) if form == "json" else text


def _is_text(kind: str) -> bool:
    return kind.startswith("text/")


def _read_json(text: str) -> Value:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        check(value, max_depth=_DEPTH)
    except RecursionError:
        _refuse("it is nested too deep")
    except (ValueError, CodecError) as error:
        _refuse(str(error))
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _refuse(why: str) -> NoReturn:
    raise EffectError("http/bad-body", f"the body is not what was asked for: {why}", "world")
