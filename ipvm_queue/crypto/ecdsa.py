"""The suites P-256 and secp256k1: ECDSA with SHA-256, signatures as r‖s in 64 bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ipvm_queue.crypto import did as did_key
from ipvm_queue.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF: Final = 32
_KEY_BYTES: Final = 33  # a compressed point: 02 or 03, and x
_SHA256: Final = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve, its order, and whether a signature whose s is above half the order is refused.

    Of each signature (r, s) there is a twin (r, n - s) that verifies too. secp256k1's users agreed on the lower;
    WebCrypto makes either for P-256, so that there both are taken, and only the lower is made.
    """

    name: str
    curve: ec.EllipticCurve
    order: int
    low_s_only: bool

    def generate(self) -> ec.EllipticCurvePrivateKey:
        """Return a fresh random key."""
        return ec.generate_private_key(self.curve)

    def raw(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the compressed point of a private key's public key."""
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def load(self, key: bytes, did: str) -> ec.EllipticCurvePublicKey:
        """Return the key of its compressed point, that of `did`; raises `CodecError` for one off the curve."""
        if len(key) != _KEY_BYTES:
            raise CodecError(f"{did} is not a {self.name} did:key", hint=did_key.HINT)
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, key)
        except ValueError as error:
            raise CodecError(f"{did} is no point of {self.name}", hint=did_key.HINT) from error

    def signing(self, key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
        """Return the function that signs with a key, with the lower s."""
        return partial(self._sign, key)

    def _sign(self, key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, _SHA256))
        return r.to_bytes(_HALF, "big") + min(s, self.order - s).to_bytes(_HALF, "big")

    def twin(self, signature: bytes) -> bytes | None:
        """Return the other signature that verifies where this one does, None where one of them is refused."""
        if self.low_s_only:
            return None
        s = self.order - int.from_bytes(signature[_HALF:], "big")
        return signature[:_HALF] + s.to_bytes(_HALF, "big")

    def verifies(self, key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is of `data` under `key`."""
        r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        if len(signature) != 2 * _HALF or (self.low_s_only and s > self.order // 2):
            return False
        try:
            key.verify(encode_dss_signature(r, s), data, _SHA256)
        except InvalidSignature:
            return False
        return True


P256: Final = Curve(
    name="P-256",
    curve=ec.SECP256R1(),
    order=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    low_s_only=False,
)
SECP256K1: Final = Curve(
    name="secp256k1",
    curve=ec.SECP256K1(),
    order=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    low_s_only=True,
)
