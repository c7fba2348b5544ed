"""The keys of the world that a worker holds for jobs: PEM files in the directory of the `[keys]` table, by their DIDs.

They are not the worker's own: whoever could have that sign anything could speak as the worker.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipvm_queue.crypto import load_signer, principal
from ipvm_queue.effects.contract import EffectError
from ipvm_queue.errors import CodecError, KeyFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipvm_queue.crypto import Signer
    from ipvm_queue.effects.contract import Context

_MAX_FILES: Final = 1000
_MAP: Final = 5  # CBOR's major type
_MAX_TOKEN: Final = 1024 * 1024  # bytes; no reader takes a longer token
_NAMES: Final = frozenset({"ucv", "att", "prf"})  # one of them is in the head or the body of each UCAN before 1.0
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/_-]+")
_OBJECT: Final = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"')  # how a JSON object begins that has something in it


def read_did(uri: str) -> str:
    """Return the did:key of a URI (a fragment behind it names the same key); raises `EffectError` `keys/uri`."""
    did = uri.partition("#")[0]
    try:
        principal(did)
    except CodecError as error:
        raise EffectError("keys/uri", error.message, "requestor") from error
    return did


def find_key(context: Context, uri: str) -> Signer:
    """Return the key that a URI names: a did:key, or whatever URI the operator gave a key in `[keys.names]`.

    Raises `EffectError`: `keys/unconfigured`, `keys/unknown`, `keys/reserved` for the worker's own.
    """
    did = read_did(context.config("keys").get("names", {}).get(uri, uri))
    if did == context.signer.did:
        raise EffectError(
            "keys/reserved", f"{did} is the worker's own key: it signs receipts, nothing else", "requestor"
        )
    for signer in keys(context):
        if signer.did == did:
            return signer
    raise EffectError("keys/unknown", f"this worker has no key {did}", "runner")


def keys(context: Context) -> Iterator[Signer]:
    """Yield every key of the directory, the worker's own never.

    Raises `EffectError`: `keys/unconfigured`, and `keys/file` for a file that cannot be used.
    """
    for path in files(context, "*.pem"):
        try:
            signer = load_signer(path)
        except KeyFileError as error:  # the file's place is the operator's business, not the job's
            raise EffectError(
                "keys/file", f"a key file of this worker cannot be used: {path.name}", "runner"
            ) from error
        if signer.did != context.signer.did:
            yield signer


def files(context: Context, pattern: str) -> list[Path]:
    """Return the files of the directory, sorted; raises `EffectError` `keys/unconfigured` where there is none."""
    directory = context.config("keys").get("directory")
    if directory is None or not Path(directory).is_dir():
        message = "this worker has no keys for jobs: its effects_config names no directory in [keys]"
        raise EffectError("keys/unconfigured", message, "runner")
    return sorted(Path(directory).glob(pattern))[:_MAX_FILES]


def refuse_tokens(did: str, data: bytes) -> None:
    """Raise `EffectError` `keys/token` for data that would be a capability in the name of `did` once it is signed.

    A job may have a key sign what it likes, and not give away what the key's owner may do: the payload of a UCAN of
    version 1, the head and body of a JWT that is one, or that another reader may take for one.
    """
    if _is_payload(data) or _is_jwt(data):
        message = f"this would be a UCAN in the name of {did}: a job cannot have one signed"
        raise EffectError("keys/token", message, "requestor")


def _is_payload(data: bytes) -> bool:
    """Whether data are a CBOR map with a UCAN's tag in it; not decoded, for others may read what we would refuse."""
    return bool(data) and data[0] >> 5 == _MAP and b"ucan/" in data


def _is_jwt(data: bytes) -> bool:
    head, dot, body = data[:_MAX_TOKEN].partition(b".")
    return bool(dot) and (_is_part(head) or _is_part(body))


def _is_part(text: bytes) -> bool:
    """Whether one side of the dot has a UCAN's names in it, or is an object that others may read and we do not."""
    plain = _unpacked(text)
    try:
        value = loads(plain)
    except (ValueError, RecursionError):
        return _OBJECT.match(plain) is not None
    return isinstance(value, dict) and not _NAMES.isdisjoint(value)


def _unpacked(text: bytes) -> bytes:
    """Return what a base64 text holds to the most lenient reader: strange characters left out, a lone last one, too."""
    kept = _NO_BASE64.sub(b"", text)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return urlsafe_b64decode(kept + b"=" * (-len(kept) % 4))
