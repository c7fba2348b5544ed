"""`Link`: a CID as it stands in IPLD data, small enough for hot paths.

multiformats' own CID object costs 0.2 ms to make; here it judges heads that were not seen before and parses foreign
text (base58btc, base36, ...).
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b, new, sha256
from typing import Final, NoReturn, TypeAlias

from multiformats import CID

from ipvm_queue.errors import CodecError

DAG_CBOR: Final = 0x71
DAG_PB: Final = 0x70
RAW: Final = 0x55
_SHA256: Final = b"\x12\x20"
_PREFIX: Final = {DAG_CBOR: b"\x01\x71" + _SHA256, RAW: b"\x01\x55" + _SHA256}
_KNOWN: Final = frozenset(_PREFIX.values())
_V0_LENGTH: Final = 34
_V1_SHA256_LENGTH: Final = 36
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = tuple(first + second for first in _LETTERS for second in _LETTERS)
_SHORT_BYTES: Final = 6  # the last eight letters of a 36-byte CID's text depend on no more
_MAX_BYTES: Final = 128
_MAX_TEXT: Final = 8 * _MAX_BYTES + 1  # base2 is the longest multibase
_HINT: Final = "a CID looks like bafy… or Qm…"
_BLAKE2B_256: Final = 0xB220
_IDENTITY: Final = 0x00
# The hash functions whose blocks can be verified, all of their full length: a shortened digest is easy to meet.
_HASHES: Final = {
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x15: "sha3_384",
    0x16: "sha3_256",
    0x17: "sha3_224",
}
_BASE32: Final = re.compile(r"b[a-z2-7]+")
_BASE16: Final = re.compile(r"f01(?:[0-9a-f]{2})+")  # as keys of the store are written
_TO_DIGITS: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
_Bytes: TypeAlias = bytes


class Link:
    """A CID: the address of a block by its content.

    `bytes` is the binary CID without multibase prefix; `str(link)` is base32 text (base58btc for CIDv0). Links are
    equal when their binary forms are. Raises `CodecError` for anything that is no CID.
    """

    __slots__ = ("bytes",)
    bytes: _Bytes

    def __init__(self, binary: _Bytes) -> None:
        if not (len(binary) == _V1_SHA256_LENGTH and binary[:4] in _KNOWN):
            _check(binary)
        self.bytes = binary

    @classmethod
    def of(cls, data: _Bytes, codec: int = RAW) -> Link:
        """Return the CIDv1 (sha2-256) of a block's bytes."""
        return cls(_PREFIX[codec] + sha256(data).digest())

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read a CID in any multibase; `ipfs://CID` is accepted too."""
        return _parse(text.removeprefix("ipfs://"))

    @classmethod
    def split(cls, data: _Bytes) -> tuple[Link, _Bytes]:
        """Read the CID that `data` starts with; return it and the bytes after it."""
        _, _, _, size, start = _fields(data[:_MAX_BYTES])
        return cls(data[: start + size]), data[start + size :]

    @property
    def codec(self) -> int:
        """The multicodec of the block: `DAG_CBOR`, `RAW`, or another's number."""
        if self.bytes[:4] in _KNOWN:
            return self.bytes[1]
        return _fields(self.bytes)[1]

    @property
    def inline(self) -> _Bytes | None:
        """The block itself, where the CID holds it (the identity "hash"); None where it does not."""
        if self.is_sha256:
            return None
        _, _, function, _, start = _fields(self.bytes)
        return self.bytes[start:] if function == _IDENTITY else None

    @property
    def is_sha256(self) -> bool:
        """Whether this is a CIDv1 of sha2-256."""
        return len(self.bytes) == _V1_SHA256_LENGTH and self.bytes[2:4] == _SHA256 and self.bytes[0] == 1

    def matches(self, data: _Bytes) -> bool:
        """Whether `data` hashes to this CID; False also where the hash function is not one that can be trusted.

        Those that can: sha2, sha3 and blake2b-256 at full length, and the identity.
        """
        if self.is_sha256:
            return self.bytes[4:] == sha256(data).digest()
        _, _, function, _, start = _fields(self.bytes)
        digest = self.bytes[start:]
        if function == _IDENTITY:
            return digest == data
        if function == _BLAKE2B_256:
            return digest == blake2b(data, digest_size=32).digest()
        return function in _HASHES and digest == new(_HASHES[function], data).digest()

    @property
    def key(self) -> str:
        """The CID in base16 text (`f0171…`): a valid CID, and the fastest to print; used in store keys."""
        return "f" + self.bytes.hex()

    @property
    def short(self) -> str:
        """The last eight characters of the text form, for people."""
        return "…" + _base32(self.bytes[-_SHORT_BYTES:])[-8:]

    def __str__(self) -> str:
        if len(self.bytes) == _V0_LENGTH and self.bytes[:2] == _SHA256:
            return str(CID.decode(self.bytes))
        return "b" + _base32(self.bytes)

    def __repr__(self) -> str:
        return f"Link({self})"

    def __bytes__(self) -> _Bytes:
        return self.bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)


def _fields(binary: bytes) -> tuple[int, int, int, int, int]:
    """Return version, codec, hash function, digest size, and where in `binary` the digest starts."""
    if binary[:2] == _SHA256:
        return 0, DAG_PB, _SHA256[0], _SHA256[1], 2
    numbers: list[int] = []
    number = shift = 0
    for position, byte in enumerate(binary):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that a varint goes on
            numbers.append(number)
            number = shift = 0
            if len(numbers) == 4:  # noqa: PLR2004 - version, codec, function, size
                return numbers[0], numbers[1], numbers[2], numbers[3], position + 1
    raise CodecError("not a CID: it ends too early", hint=_HINT)


def _base32(data: bytes) -> str:
    """Return unpadded lower-case base32, two letters at a step: a third of the time of the standard library's."""
    bits = 8 * len(data)
    spare = -bits % 10
    number = int.from_bytes(data, "big") << spare
    text = "".join([_PAIRS[number >> shift & 1023] for shift in range(bits + spare - 10, -1, -10)])
    return text[: (bits + 4) // 5]


def _check(binary: bytes) -> None:
    if len(binary) > _MAX_BYTES:
        raise CodecError(f"a CID has at most {_MAX_BYTES} bytes, this one has {len(binary)}", hint=_HINT)
    *_, size, start = _fields(binary)
    if len(binary) != start + size:
        raise CodecError(f"not a CID: its digest has {len(binary) - start} bytes and claims {size}", hint=_HINT)
    _check_head(binary[:start], size)


@lru_cache(maxsize=1024)
def _check_head(head: bytes, size: int) -> None:
    """Let multiformats judge version, codec, hash function and varints: once for all digests behind one head."""
    try:
        CID.decode(head + bytes(size))
    except Exception as error:
        raise CodecError(f"not a CID: {error}", hint=_HINT) from error


@lru_cache(maxsize=4096)
def _parse(text: str) -> Link:
    if len(text) > _MAX_TEXT:
        raise CodecError(f"a CID has at most {_MAX_TEXT} characters, this one has {len(text)}", hint=_HINT)
    if _BASE32.fullmatch(text):
        return Link(_read_base32(text))
    if _BASE16.fullmatch(text):
        return Link(bytes.fromhex(text[1:]))
    try:
        cid = CID.decode(text)
        canonical = str(cid)
    except Exception as error:  # noqa: BLE001 - its errors have no common root
        _refuse(text, error)
    if canonical != text:  # several texts would else name one block
        _refuse(text)
    return Link(bytes(cid))


def _read_base32(text: str) -> bytes:
    """Return the bytes of multibase base32, ten times faster than the standard library does."""
    bits = 5 * (len(text) - 1)
    spare = bits % 8
    number = int(text[1:].translate(_TO_DIGITS), 32)
    if spare >= 5 or number & ((1 << spare) - 1):  # noqa: PLR2004 - a letter that adds nothing, or bits behind the end
        _refuse(text)
    return (number >> spare).to_bytes(bits // 8)


def _refuse(text: str, cause: Exception | None = None) -> NoReturn:
    raise CodecError(f"not a CID: {text[:80]!r}", hint=_HINT) from cause
