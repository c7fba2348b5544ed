"""Receipts: who ran a Task, and what came out.

A receipt is an invocation of `/ucan/assert/receipt` by the executor upon itself, without audience, that never
expires: `args: {ran: &Task, out: Result}`. `cause` names the receipt by which the executor was handed the Task. A
Result is `{"ok": value}` or `{"error": value}`; a large one stands in
a block of its own and `out` is its Link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.ucan.envelope import seal, unseal

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value

INVOCATION_TAG: Final = "ucan/inv@1.0.0"
COMMAND: Final = "/ucan/assert/receipt"
_FIELDS: Final = frozenset({"iss", "sub", "cmd", "args", "prf", "nonce", "exp", "iat", "meta"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """`issuer` (a DID) asserts that running the Task `ran` came out as `out`, at `issued` (Unix seconds).

    `meta` says how: gas used and engine for Wasm. `link` is the CID of the signed envelope, `cause` that of the receipt
    that handed the Task to the issuer.
    """

    link: Link
    issuer: str
    ran: Link
    out: Value
    meta: dict[str, Any]
    issued: int
    cause: Link | None = None


def issue(
    signer: Signer, ran: Link, out: Value, meta: dict[str, Any], now: int, *, cause: Link | None = None
) -> tuple[Link, bytes]:
    """Return a new receipt's CID and bytes. You can read it as "(signer) says that (ran) came out as (out)"."""
    payload: dict[str, Value] = {
        "iss": signer.did,
        "sub": signer.did,
        "cmd": COMMAND,
        "args": {"ran": ran, "out": out},
        "prf": [],
        "nonce": b"",
        "exp": None,
        "iat": now,
        "meta": meta,
    }
    if cause is not None:
        payload["cause"] = cause
    data = seal(payload, INVOCATION_TAG, signer)
    return Link.of(data, DAG_CBOR), data


def read(data: bytes, *, trusted: bool = False) -> Receipt:
    """Return the receipt in `data`; raises `CodecError` unless its signature and shape are right.

    `trusted` leaves the signature out, for bytes that come from the queue's own store under their CID.
    """
    envelope = unseal(data, trusted=trusted)
    payload = envelope.payload
    if envelope.tag != INVOCATION_TAG or payload.get("cmd") != COMMAND:
        raise CodecError("not a receipt")
    if payload.keys() - {"cause"} != _FIELDS or payload["iss"] != payload["sub"] or payload["prf"] != []:
        raise CodecError("not a receipt by its executor")
    match payload:
        case {"args": {"ran": Link() as ran, "out": out, **rest}, "meta": dict() as meta, "iat": int() as issued} if (
            not rest and isinstance(payload.get("cause", ran), Link)
        ):
            if not (
                isinstance(out, Link) or (isinstance(out, dict) and len(out) == 1 and out.keys() & {"ok", "error"})
            ):
                raise CodecError("a receipt's out is {ok} or {error} or a link to one of them")
            return Receipt(Link.of(data, DAG_CBOR), payload["iss"], ran, out, meta, issued, payload.get("cause"))
    raise CodecError("not a receipt: args are {ran, out}, a cause is a link")
