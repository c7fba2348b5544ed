"""IPNS names and their signed records, verified here whoever brought them (IPNS specification, record V2).

A name is the multihash of a libp2p key: the key itself where it is small (identity), else its SHA-256, and then the
record brings the key along. What counts is the DAG-CBOR in `data`, signed as `ipns-signature:` + data; the older
fields around it must say the same or nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ipvm_queue.crypto import base58
from ipvm_queue.crypto.libp2p import verify_peer
from ipvm_queue.effects.contract import EffectError
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, decode, read_protobuf

MAX_RECORD: Final = 10 * 1024
_LIBP2P_KEY: Final = 0x72
_CODECS: Final = frozenset((_LIBP2P_KEY, 0x70))  # dag-pb: how old names were written
_IDENTITY: Final = b"\0"
_SHA256: Final = b"\x12\x20"
_SIGNED: Final = b"ipns-signature:"
_EOL: Final = 0
_WHEN: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_VALUE, _V1_SIGNATURE, _TYPE, _VALIDITY, _SEQUENCE, _TTL, _KEY, _SIGNATURE, _DATA = range(1, 10)
_FIELDS: Final = {"Value": bytes, "ValidityType": int, "Validity": bytes, "Sequence": int, "TTL": int}
_TWINS: Final = {_VALUE: "Value", _TYPE: "ValidityType", _VALIDITY: "Validity", _SEQUENCE: "Sequence", _TTL: "TTL"}


class Name(NamedTuple):
    """An IPNS name: the multihash of a key, and its canonical text (base36, `k51…`)."""

    multihash: bytes
    text: str


class Record(NamedTuple):
    """A verified record: `value` is a path (`/ipfs/…`), `until` the end of its validity (Unix time), `ttl` in ns."""

    value: str
    sequence: int
    until: datetime
    ttl: int
    data: bytes
    signature: bytes


def read_name(text: str) -> Name:
    """Return the name that a text is: a CID (`k51…`, `bafz…`) or a peer id (`12D3…`, `Qm…`).

    Raises `EffectError` `ipns/name`.
    """
    try:
        multihash = _multihash(text)
    except (CodecError, ValueError) as error:
        hint = "; a DNS name's link is read from dns://_dnslink.NAME?TYPE=TXT" if "." in text else ""
        raise EffectError("ipns/name", f"{text[:120]!r} is no IPNS name{hint}", "requestor") from error
    return Name(multihash, _base36(b"\x01" + bytes([_LIBP2P_KEY]) + multihash))


def _multihash(text: str) -> bytes:
    if text.startswith(("1", "Qm")):
        binary = base58.decode(text[:128])
    else:
        link = Link.parse(text)
        if link.codec not in _CODECS:
            raise ValueError("not the CID of a key")
        binary = link.bytes[2:]
    size = len(binary) - len(_IDENTITY) - 1
    identity = binary[:1] == _IDENTITY and 0 < size < 128 and binary[1] == size  # noqa: PLR2004 - one byte of varint
    if not identity and not (binary.startswith(_SHA256) and len(binary) == 34):  # noqa: PLR2004
        raise ValueError("not the multihash of a key")
    return binary


def _base36(binary: bytes) -> str:
    digits, number = "0123456789abcdefghijklmnopqrstuvwxyz", int.from_bytes(binary, "big")
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return "k" + text


def read_record(data: bytes, name: Name, now: datetime) -> Record:
    """Return a record of `name` that is valid at `now`.

    Raises `EffectError`: `ipns/too-large`, `ipns/format`, `ipns/key`, `ipns/signature`, `ipns/expired`.
    """
    if len(data) > MAX_RECORD:
        raise EffectError("ipns/too-large", f"a record of {len(data)} bytes, at most {MAX_RECORD} are read", "network")
    try:
        fields = read_protobuf(data)
    except CodecError as error:
        raise EffectError("ipns/format", f"not an IPNS record: {error.message}", "network") from error
    signed, signature = fields.get(_DATA), fields.get(_SIGNATURE)
    if not isinstance(signed, bytes) or not isinstance(signature, bytes):
        raise EffectError("ipns/format", "the record has no data or no signature of version 2", "network")
    key = _key(fields, name)
    try:
        verified = verify_peer(key, signature, _SIGNED + signed)
    except CodecError as error:
        raise EffectError(
            "ipns/key", f"{name.text} is no name that can be verified: {error.message}", "requestor"
        ) from error
    if not verified:
        raise EffectError("ipns/signature", f"the record is not signed by {name.text}", "network")
    return _valid(_content(signed, fields), signed, signature, now)


def _key(fields: dict[int, int | bytes], name: Name) -> bytes:
    """Return the key of a name: it is in the name, or in the record under the hash that is the name."""
    given = fields.get(_KEY, b"")
    inside = name.multihash[2:] if name.multihash[:1] == _IDENTITY else None
    if inside is not None:
        if given not in (b"", inside):
            raise EffectError("ipns/key", f"the record brings a key that is not that of {name.text}", "network")
        return inside
    if not isinstance(given, bytes) or sha256(given).digest() != name.multihash[2:]:
        raise EffectError("ipns/key", f"the record does not bring the key of {name.text}", "network")
    return given


def _content(signed: bytes, fields: dict[int, int | bytes]) -> dict[str, Any]:
    try:
        content = decode(signed, max_depth=4)
    except CodecError as error:
        raise EffectError("ipns/format", f"the record's data is {error.message}", "network") from error
    if not isinstance(content, dict) or any(type(content.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise EffectError("ipns/format", "the record's data has not the fields of one", "network")
    if any(number in fields and fields[number] != content[twin] for number, twin in _TWINS.items()):
        raise EffectError(
            "ipns/format", "the record says one thing in its signed data and another around it", "network"
        )
    return content


def _valid(content: dict[str, Any], signed: bytes, signature: bytes, now: datetime) -> Record:
    try:
        until = _when(content["Validity"].decode("ascii"))
        value = content["Value"].decode()
    except (ValueError, OverflowError) as error:
        raise EffectError(
            "ipns/format", "the record's value or end of validity is no text that can be read", "network"
        ) from error
    if content["ValidityType"] != _EOL or content["Sequence"] < 0:
        raise EffectError("ipns/format", "the record is valid by a rule that is not known", "network")
    if until <= now:
        raise EffectError("ipns/expired", f"the record was valid until {until:%Y-%m-%dT%H:%M:%SZ}", "world")
    return Record(value, content["Sequence"], until, content["TTL"], signed, signature)


def _when(text: str) -> datetime:
    """Return the time of RFC 3339 text, to the second: what is less than one is cut off."""
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError("not RFC 3339")
    return datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00")).astimezone(UTC)
