"""`Signer`: a private key and the DID that it speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ipvm_queue.crypto.suites import ED25519, SUITES, suite_of_key
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from ipvm_queue.crypto.suites import PrivateKey


class Signer:
    """A private key and the DID that it speaks for.

    `Signer.generate()` makes a new one; `sign(data)` returns a 64-byte signature. `suite` is the key's, and
    `varsig` the header that goes before its signatures over DAG-CBOR. Raises `UsageError` for a key of another suite.
    """

    __slots__ = ("_key", "_sign", "did", "suite", "varsig")

    def __init__(self, key: PrivateKey) -> None:
        suite = suite_of_key(key)
        if suite is None:
            raise UsageError("this key is of no suite that is used here", hint=f"one of {', '.join(SUITES)}")
        self._key = key
        self._sign = suite.signing(key)
        self.suite = suite
        self.varsig = suite.varsig
        self.did = suite.did(key)

    @classmethod
    def generate(cls, suite: str = ED25519.name) -> Signer:
        """Return a signer with a fresh random key of a suite: `Ed25519`, `P-256` or `secp256k1`."""
        return cls(SUITES[suite].generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Signer:
        """Return the Ed25519 signer whose `seed` this is; raises `UsageError` for anything but 32 bytes."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(seed))
        except ValueError as error:
            raise UsageError("the seed of an Ed25519 key has 32 bytes") from error

    @property
    def seed(self) -> bytes:
        """The 32 bytes that an Ed25519 key is made from; raises `UsageError` for a key of another suite."""
        if self.suite is not ED25519:
            raise UsageError(f"a key of {self.suite.name} has no seed")
        return self._key.private_bytes_raw()  # type: ignore[union-attr]

    @property
    def private_key(self) -> PrivateKey:
        """The key itself, for writing it to a file."""
        return self._key

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""
        return self._sign(data)

    def __repr__(self) -> str:
        return f"Signer({self.did})"
