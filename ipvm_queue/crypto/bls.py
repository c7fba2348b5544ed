"""BLS signatures on BLS12-381 (draft-irtf-cfrg-bls-signature, RFC 9380 hash to curve): verification only.

Points are compressed: 48 bytes on G1, 96 bytes on G2. Decoding checks that a point is on its curve and in its group of
prime order; the point at infinity, under which everything would verify, is refused as key and as signature.
"""

from __future__ import annotations

from typing import Any, Final

from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

from ipvm_queue.errors import CodecError

G1_BYTES: Final = 48
G2_BYTES: Final = 96
_ONE_1: Final = BlstP1Element.uncompress(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
_ONE_2: Final = BlstP2Element.uncompress(
    bytes.fromhex(
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )
)


def verify_on_g2(public_key: bytes, signature: bytes, message: bytes, domain: bytes) -> bool:
    """Whether a signature on G2 (96 bytes) is of `message` under a key on G1 (48 bytes); `domain` is the DST.

    Raises `CodecError` for a key that is none; a signature that is no point is simply not one.
    """
    key = _point(BlstP1Element, G1_BYTES, public_key)
    if key is None:
        raise CodecError("not a BLS public key: no point of G1", hint=f"{G1_BYTES} bytes, compressed")
    point = _point(BlstP2Element, G2_BYTES, signature)
    if point is None:
        return False
    hashed = BlstP2Element.hash_to_group(message, domain)
    return bool(final_verify(miller_loop(_ONE_1, point), miller_loop(key, hashed)))


def verify_on_g1(public_key: bytes, signature: bytes, message: bytes, domain: bytes) -> bool:
    """Whether a signature on G1 (48 bytes) is of `message` under a key on G2 (96 bytes); `domain` is the DST.

    Raises `CodecError` for a key that is none; a signature that is no point is simply not one.
    """
    key = _point(BlstP2Element, G2_BYTES, public_key)
    if key is None:
        raise CodecError("not a BLS public key: no point of G2", hint=f"{G2_BYTES} bytes, compressed")
    point = _point(BlstP1Element, G1_BYTES, signature)
    if point is None:
        return False
    hashed = BlstP1Element.hash_to_group(message, domain)
    return bool(final_verify(miller_loop(point, _ONE_2), miller_loop(hashed, key)))


def _point(group: Any, size: int, data: bytes) -> Any:
    """Return the point of its bytes; None for what is none, and for the point at infinity."""
    if len(data) != size:
        return None
    try:
        point = group.uncompress(data)
    except ValueError:
        return None
    return None if point == group() else point
