"""Celery without signatures, for benchmarks/signing.py alone: `python benchmarks/unsigned.py -A workers.wasm worker …`.

Nothing is signed and everything verifies. All that goes with it stays: tokens are made, encoded, sent, read, hashed,
kept, and their chains are walked.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ipvm_queue.crypto import ed25519

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unsigned() -> Iterator[None]:
    """Leave signing and verifying out."""
    kept = ed25519.crypto_sign, ed25519.crypto_sign_open
    ed25519.crypto_sign = lambda _data, _key: bytes(ed25519.SIGNATURE_BYTES)
    ed25519.crypto_sign_open = lambda _signed, _key: b""
    try:
        yield
    finally:
        ed25519.crypto_sign, ed25519.crypto_sign_open = kept


if __name__ == "__main__":
    from celery.__main__ import main

    sys.path[0] = str(Path.cwd())
    with unsigned():
        main()
