"""Containers: tokens travelling together (UCAN Container 0.1).

A header byte says how the rest is packed; inside is the CBOR `{"ctn-v1": [bytes, …]}`. There are no CIDs in it: who
reads one hashes each token.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import DAG_CBOR, Link, count_items, decode, encode
from ipvm_queue.ucan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES: Final = 1024 * 1024
MAX_TOKENS: Final = 4096
_KEY: Final = "ctn-v1"
_FRAME: Final = 3  # values beside the tokens: the map, the key, the list
_GZIP: Final = 16 + zlib.MAX_WBITS
# Gzip had other letters before; they are read and never written.
_OLD: Final = {b"D": b"M", b"E": b"O", b"F": b"P"}


class Encoding(Enum):
    """The six ways to pack a container, by header byte."""

    BYTES = b"@"
    BASE64 = b"B"
    BASE64URL = b"C"
    BYTES_GZIP = b"M"
    BASE64_GZIP = b"O"
    BASE64URL_GZIP = b"P"

    @property
    def is_gzipped(self) -> bool:
        """Whether the CBOR is compressed."""
        return self in (Encoding.BYTES_GZIP, Encoding.BASE64_GZIP, Encoding.BASE64URL_GZIP)


@dataclass(frozen=True, slots=True)
class Container:
    """Tokens that travel together, by the CIDs that they hash to, in the order in which they came."""

    tokens: Mapping[Link, bytes]

    @classmethod
    def of(cls, tokens: Iterable[bytes]) -> Container:
        """Return the container of some tokens; one that comes twice is in it once."""
        return cls({Link.of(token, DAG_CBOR): token for token in tokens})

    @classmethod
    def read(cls, data: bytes, *, max_bytes: int = MAX_BYTES, max_tokens: int = MAX_TOKENS) -> Container:
        """Return the container in `data`, however packed and in whatever order.

        `max_bytes` bounds the CBOR, once it is unpacked. Raises `MalformedError`; whether the tokens are any is not
        looked at.
        """
        if len(data) > 2 * max_bytes:  # base64 makes a third more, gzip of what cannot be compressed hardly any
            raise MalformedError(f"a container has at most {max_bytes} bytes")
        head = data[:1]
        try:
            encoding = Encoding(_OLD.get(head, head))
        except ValueError:
            raise MalformedError(f"a container does not begin with {head!r}") from None
        body = _from_text(data[1:], encoding)
        if encoding.is_gzipped:
            body = _unzip(body, max_bytes)
        try:
            count_items(body, max_tokens + _FRAME)
        except LimitError:
            raise MalformedError(f"a container has at most {max_tokens} tokens, this one has more") from None
        try:
            value = decode(body, max_bytes=max_bytes)
        except CodecError as error:
            raise MalformedError(f"in the container: {error.message}", hint=error.hint) from error
        match value:
            case {"ctn-v1": [*tokens], **rest} if not rest and all(type(token) is bytes for token in tokens):
                return cls.of(tokens)
        raise MalformedError(f'a container is {{"{_KEY}": [bytes, …]}}')

    def write(self, encoding: Encoding = Encoding.BYTES) -> bytes:
        """Return the container's bytes: tokens sorted, so that the same ones always make the same container."""
        body = encode({_KEY: sorted(self.tokens.values())})
        if encoding.is_gzipped:
            packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
            body = packer.compress(body) + packer.flush()
        return encoding.value + _to_text(body, encoding)


def _to_text(body: bytes, encoding: Encoding) -> bytes:
    if encoding in (Encoding.BASE64, Encoding.BASE64_GZIP):
        return b64encode(body)
    if encoding in (Encoding.BASE64URL, Encoding.BASE64URL_GZIP):
        return urlsafe_b64encode(body).rstrip(b"=")
    return body


def _from_text(body: bytes, encoding: Encoding) -> bytes:
    if encoding in (Encoding.BYTES, Encoding.BYTES_GZIP):
        return body
    try:
        if encoding in (Encoding.BASE64, Encoding.BASE64_GZIP):
            found = b64decode(body, validate=True)
        else:
            found = urlsafe_b64decode(body + b"=" * (-len(body) % 4))
    except Base64Error as error:
        raise MalformedError(f"the container is not the base64 that its header says: {error}") from error
    if _to_text(found, encoding) != body:
        raise MalformedError("the container is not the base64 that its header says")
    return found


def _unzip(body: bytes, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise MalformedError(f"the container is not the gzip that its header says: {error}") from error
    if len(found) > max_bytes:
        raise MalformedError(f"a container has at most {max_bytes} bytes, this one unpacks to more")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedError("the container's gzip is cut short, or goes on behind its end")
    return found
