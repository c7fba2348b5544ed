"""The three suites of UCAN 1.0, each under its name, its varsig header and its did:key multicodec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ipvm_queue.crypto import did as did_key
from ipvm_queue.crypto import ed25519
from ipvm_queue.crypto.ecdsa import P256, SECP256K1
from ipvm_queue.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

    PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Suite:
    """How keys of one kind are made, named and used.

    `twin` returns the other form of a good signature, None where there is none.
    `varsig` is the header of a signature over DAG-CBOR (varsig 1.0); a header is one of three constants, so nothing
    ever parses one. `load(key, did)` raises `CodecError` for bytes that are no key.
    """

    name: str
    varsig: bytes
    multicodec: bytes
    generate: Callable[[], PrivateKey]
    raw: Callable[[Any], bytes]
    load: Callable[[bytes, str], Any]
    signing: Callable[[Any], Callable[[bytes], bytes]]
    verifies: Callable[[Any, bytes, bytes], bool]
    twin: Callable[[bytes], bytes | None]

    def did(self, key: PrivateKey) -> str:
        """Return the DID that a private key speaks for."""
        return did_key.write(self.multicodec + self.raw(key))


ED25519: Final = Suite(
    "Ed25519",
    ed25519.VARSIG_HEADER,
    ed25519.MULTICODEC,
    Ed25519PrivateKey.generate,
    ed25519.raw,
    ed25519.load,
    ed25519.signing,
    ed25519.verifies,
    lambda _: None,
)
ES256: Final = Suite(
    P256.name,
    bytes.fromhex("3401ec0180241271"),
    b"\x80\x24",
    P256.generate,
    P256.raw,
    P256.load,
    P256.signing,
    P256.verifies,
    P256.twin,
)
ES256K: Final = Suite(
    SECP256K1.name,
    bytes.fromhex("3401ec01e7011271"),
    b"\xe7\x01",
    SECP256K1.generate,
    SECP256K1.raw,
    SECP256K1.load,
    SECP256K1.signing,
    SECP256K1.verifies,
    SECP256K1.twin,
)
SUITES: Final = {suite.name: suite for suite in (ED25519, ES256, ES256K)}
_BY_MULTICODEC: Final = {suite.multicodec: suite for suite in SUITES.values()}
_BY_VARSIG: Final = {suite.varsig: suite for suite in SUITES.values()}


def suite_of_key(key: object) -> Suite | None:
    """Return the suite of a private key, None for a kind that is none of the three."""
    if isinstance(key, Ed25519PrivateKey):
        return ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return SUITES.get({"secp256r1": P256.name}.get(key.curve.name, key.curve.name))
    return None


def suite_of_header(header: bytes) -> Suite | None:
    """Return the suite of a varsig header, None for a header that is none of the three."""
    return _BY_VARSIG.get(header)


@lru_cache(maxsize=4096)
def principal(did: str) -> tuple[Suite, Any]:
    """Return suite and public key of a did:key; raises `CodecError` for one that cannot be used."""
    binary = did_key.read(did)
    suite = _BY_MULTICODEC.get(binary[:2])
    if suite is None:
        raise CodecError(f"{did} is a key of a suite that is not used here", hint=did_key.HINT)
    return suite, suite.load(binary[2:], did)


def verify(did: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is `did`'s over `data`; raises `CodecError` for a DID that cannot be used."""
    suite, key = principal(did)
    return suite.verifies(key, signature, data)
