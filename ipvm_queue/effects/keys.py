"""`crypto/sign` and `crypto/decrypt`: what only the holder of a key can do (effects 5.1.1, 5.1.2).

`with` names the key (`did:key:…`; to decrypt also `age:age1…`, and an `ipns:` URI that the operator has given a key),
or for `crypto/decrypt` where the box is (`ipfs://CID`), and then the box says which keys open it. Results are private
unless the job says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.crypto import open_sealed, recipients_of
from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.ipfs import find_block, read_cid, wrong_cid
from ipvm_queue.effects.keyring import files, find_key, keys, read_did, refuse_tokens
from ipvm_queue.errors import IpvmError, SealError, UsageError, WrongKeyError
from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value

_AGE: Final = "age:"
_AGE_SECRET: Final = "AGE-SECRET-KEY-"  # noqa: S105 - what such a line starts with
_MAX_VALUE: Final = 16 * 1024 * 1024

CONFIG: Final = {
    "keys": {
        "directory": {
            "type": "string",
            "minLength": 1,
            "description": "where the keys for jobs are: *.pem (PKCS#8), and *.age (identities, for decryption)",
        },
        "names": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": "^did:key:z"},
            "description": "did:keys by other URIs that jobs may name them with",
        },
    }
}


def _sign(context: Context, call: Call) -> Outcome:
    signer = find_key(context, call.uri)
    value = call.args["value"]
    data = value.encode() if isinstance(value, str) else value
    refuse_tokens(signer.did, data)
    return Outcome({"ok": signer.sign(data)}, {"key": signer.did, "suite": signer.suite.name})


def _decrypt(context: Context, call: Call) -> Outcome:
    signer = find_key(context, call.uri)
    return _opened(signer, _box(context, call), call)


def _decrypt_block(context: Context, call: Call) -> Outcome:
    """Open a box that stands in a block, with whichever key it is sealed to."""
    box, _ = find_block(context, read_cid(call.uri, "keys"), call, "keys")
    try:
        wanted = set(recipients_of(box))
    except IpvmError as error:
        raise EffectError("keys/format", error.message, "requestor") from error
    for signer in keys(context):
        if signer.did in wanted:
            return _opened(signer, box, call)
    raise EffectError("keys/wrong-key", "the box is sealed to keys that this worker has not", "requestor")


def _opened(signer: Signer, box: bytes, call: Call) -> Outcome:
    try:
        data = open_sealed(signer, box)
    except WrongKeyError as error:
        raise EffectError("keys/wrong-key", error.message, "requestor") from error
    except SealError as error:
        raise EffectError("keys/altered", error.message, "requestor") from error
    except UsageError as error:
        raise EffectError("keys/suite", error.message, "requestor") from error
    except IpvmError as error:
        raise EffectError("keys/format", error.message, "requestor") from error
    return Outcome({"ok": _bounded(data, call)}, {"key": signer.did})


def _decrypt_age(context: Context, call: Call) -> Outcome:
    try:
        import pyrage  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "this worker cannot read age: install ipvm-queue[age] beside it"
        raise EffectError("keys/extra", message, "runner") from error
    recipient = call.uri[len(_AGE) :]
    identity = next((each for each in _identities(context) if str(each.to_public()) == recipient), None)
    if identity is None:
        raise EffectError("keys/unknown", f"this worker has no key {call.uri[:120]}", "runner")
    try:
        data = pyrage.decrypt(_box(context, call), [identity])
    except pyrage.DecryptError as error:
        wrong = "matching keys" in str(error)
        code = "keys/wrong-key" if wrong else "keys/altered"
        raise EffectError(code, f"age cannot open it: {error}", "requestor") from error
    return Outcome({"ok": _bounded(data, call)}, {"key": call.uri})


def _identities(context: Context) -> list[Any]:
    import pyrage  # noqa: PLC0415 - an extra

    found = []
    for path in files(context, "*.age"):
        try:
            if path.stat().st_mode & 0o077:
                raise PermissionError("others may read it")
            lines = [line.strip() for line in path.read_text(encoding="ascii").splitlines()]
            found += [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_AGE_SECRET)]
        except (OSError, ValueError, pyrage.IdentityError) as error:
            message = f"a key file of this worker cannot be used: {path.name}"
            raise EffectError("keys/file", message, "runner") from error
    return found


def _box(context: Context, call: Call) -> bytes:
    value: Value = call.args["value"]
    if isinstance(value, Link):
        return find_block(context, value, call, "keys")[0]
    return value.encode() if isinstance(value, str) else value


def _bounded(data: bytes, call: Call) -> bytes:
    if len(data) > call.max_bytes:
        raise EffectError("keys/too-large", f"{len(data)} bytes, at most {call.max_bytes} are taken", "requestor")
    return data


def _wrong_did(uri: str, args: Mapping[str, Any]) -> str | None:
    del args
    try:
        read_did(uri)
    except EffectError as error:
        return error.message
    return None


def _schema(*kinds: str) -> dict[str, Any]:
    value = {"type": list(kinds), "maxLength": _MAX_VALUE}
    return {"type": "object", "properties": {"value": value}, "required": ["value"]}


EFFECTS: Final = (
    Effect(
        "did",
        "crypto/sign",
        Safety.QUERY,
        _sign,
        _schema("string", "bytes"),
        "a signature by a key of the worker, 64 bytes (text is signed as UTF-8)",
        private=True,
        check=_wrong_did,
    ),
    Effect(
        "did",
        "crypto/decrypt",
        Safety.QUERY,
        _decrypt,
        _schema("bytes", "link"),
        "the data in a sealed box, by a key of the worker",
        private=True,
        check=_wrong_did,
    ),
    Effect(
        "ipns",
        "crypto/decrypt",
        Safety.QUERY,
        _decrypt,
        _schema("bytes", "link"),
        "the data in a sealed box, by a key of the worker that its operator has given this name",
        private=True,
    ),
    Effect(
        "ipfs",
        "crypto/decrypt",
        Safety.QUERY,
        _decrypt_block,
        {"type": "object", "properties": {}},
        "the data in a sealed box that is a block, by whichever key of the worker it is sealed to",
        private=True,
        check=wrong_cid,
    ),
    Effect(
        "age",
        "crypto/decrypt",
        Safety.QUERY,
        _decrypt_age,
        _schema("bytes", "string", "link"),
        "the data in an age file, by an identity of the worker (extra: age)",
        private=True,
    ),
)
