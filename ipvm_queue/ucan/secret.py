"""Secret Results: sealed, in receipts that anybody can verify.

::

    {"ok": {"ipvm/sealed": box}}   or   {"error": {"ipvm/sealed": box}}         and  meta: {secret: true, run, under?}

The box holds the Result, what the receipt would say of how it came about (gas alone can tell a secret), and padding:
only the order of magnitude of its length is seen. It is sealed for one Task, so that it cannot be passed off as the
Result of another. The signature of a receipt covers the box, so nobody has to open it to verify one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.crypto import open_sealed, seal
from ipvm_queue.errors import CodecError, SealError
from ipvm_queue.ipld import decode, encode_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link, Value

SEALED: Final = "ipvm/sealed"
VEIL: Final[dict[str, Value]] = {"secret": True}  # what is shown instead of a secret value
_SMALLEST: Final = 256
_OUTER: Final = 64  # bytes around what is padded, more or less


class Opened(NamedTuple):
    """What was in a box: the Result, and what was to be said of it."""

    out: dict[str, Value]
    meta: dict[str, Any]


def seal_result(
    readers: Iterable[str], task: Link, out: dict[str, Value], meta: Mapping[str, Value]
) -> dict[str, Value]:
    """Return a Result as only `readers` (did:keys) can read it; raises what `crypto.seal` raises."""
    (branch,) = out
    inner = {"out": out, "meta": {**meta}}
    size = len(encode_own(inner)) + _OUTER
    data = encode_own({**inner, "pad": bytes(_padded(size) - size)})
    return {branch: {SEALED: seal(readers, data, context=_context(task))}}


def open_result(signer: Signer, task: Link, out: Value) -> Opened:
    """Return what stands in a sealed Result of `task`; raises `SealError`, `WrongKeyError` for who is no reader."""
    match out:
        case {"ok": {"ipvm/sealed": bytes() as box}} | {"error": {"ipvm/sealed": bytes() as box}}:
            data = open_sealed(signer, box, context=_context(task))
        case _:
            raise SealError("this Result is not sealed")
    try:
        match decode(data, max_bytes=len(data)):
            case {"out": dict() as inner, "meta": dict() as meta} if inner.keys() == out.keys():
                return Opened(inner, meta)
    except CodecError as error:
        raise SealError(f"what is in the box is no Result: {error.message}") from error
    raise SealError("what is in the box is no Result of this kind")


def seal_outcome(owner: str, run: str, outcome: dict[str, Value]) -> bytes:
    """Return what became of a failure in a run (its `catch` has said so) as only the run's owner can read it."""
    return seal(owner, encode_own(outcome), context=_outcome_context(run))


def open_outcome(signer: Signer, run: str, box: bytes) -> dict[str, Value]:
    """Return what `seal_outcome` sealed; raises `SealError`, `WrongKeyError` for anybody but the owner."""
    data = open_sealed(signer, box, context=_outcome_context(run))
    return decode(data, max_bytes=len(data))  # type: ignore[no-any-return]


def is_secret(meta: Mapping[str, Any]) -> bool:
    """Whether a receipt's `meta` says that its Result is sealed."""
    return meta.get("secret") is True


def veil(out: Mapping[str, Value]) -> dict[str, Value]:
    """Return what may be shown of a sealed Result: which branch it is."""
    return dict.fromkeys(out, VEIL)


def _context(task: Link) -> bytes:
    return b"ipvm/result\0" + task.bytes


def _outcome_context(run: str) -> bytes:
    return b"ipvm/outcome\0" + run.encode()


def _padded(size: int) -> int:
    """Round a length up, by a sixteenth at most where it is long."""
    if size <= _SMALLEST:
        return _SMALLEST
    step = 1 << (size.bit_length() - 5)
    return -(-size // step) * step
