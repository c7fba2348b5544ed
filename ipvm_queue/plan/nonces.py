"""What makes one effect a different Task from the next, where the job does not say (DESIGN: what identifies work).

A query has an answer for each run. A command belongs to its signed job: the same job again is the same act, and a new
act needs a job with another nonce.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link

_BYTES: Final = 16


def query_nonce(seed: bytes, label: str) -> bytes:
    """Return the nonce of a query in the run that `seed` names."""
    return _digest(b"ipvm/query", seed, label)


def act_nonce(document: Link, label: str) -> bytes:
    """Return the nonce of a command of a signed job."""
    return _digest(b"ipvm/act", document.bytes, label)


def _digest(what: bytes, whose: bytes, label: str) -> bytes:
    return sha256(b"\x00".join((what, len(whose).to_bytes(8, "big"), whose, label.encode()))).digest()[:_BYTES]
