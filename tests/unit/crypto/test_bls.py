"""BLS signatures, on beacons that the League of Entropy signed."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ipvm_queue.crypto.bls import verify_on_g1, verify_on_g2
from ipvm_queue.errors import CodecError

MAINNET = bytes.fromhex(
    "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a569937c529eeda66c7293784a9402801af31"
)
QUICKNET = bytes.fromhex(
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
ON_G2 = bytes.fromhex(  # mainnet, round 1, after the genesis seed
    "8d61d9100567de44682506aea1a7a6fa6e5491cd27a0a0ed349ef6910ac5ac20ff7bc3e09d7c046566c9f7f3c6f3b101"
    "04990e7cb424998203d8f7de586fb7fa5f60045417a432684f85093b06ca91c769f0e7ca19268375e659c2a2352b4655"
)
ON_G1 = bytes.fromhex(  # quicknet, round 1000
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
)
SEED = bytes.fromhex("176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a")
FIRST = sha256(SEED + (1).to_bytes(8, "big")).digest()
THOUSANDTH = sha256((1000).to_bytes(8, "big")).digest()
DST_G1 = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
DST_G2 = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"


def test_recorded_signatures_verify() -> None:
    """Two real beacons verify, one in each group."""
    assert verify_on_g2(MAINNET, ON_G2, FIRST, DST_G2)
    assert verify_on_g1(QUICKNET, ON_G1, THOUSANDTH, DST_G1)


def test_another_message_or_domain_does_not() -> None:
    """A signature is of one message, under one domain."""
    assert not verify_on_g2(MAINNET, ON_G2, THOUSANDTH, DST_G2)
    assert not verify_on_g2(MAINNET, ON_G2, FIRST, DST_G1)
    assert not verify_on_g1(QUICKNET, ON_G1, FIRST, DST_G1)
    assert not verify_on_g1(QUICKNET, ON_G1, THOUSANDTH, DST_G2)


@pytest.mark.parametrize("place", [0, 1, 20, 47])
def test_an_altered_signature_does_not(place: int) -> None:
    """No byte of a signature may be another; what is no point of the group any more is no signature."""
    for key, signature, message, verify, domain in (
        (MAINNET, ON_G2, FIRST, verify_on_g2, DST_G2),
        (QUICKNET, ON_G1, THOUSANDTH, verify_on_g1, DST_G1),
    ):
        altered = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]

        assert not verify(key, altered, message, domain)


def test_infinity_is_no_signature_and_no_key() -> None:
    """Under the point at infinity everything would verify."""
    infinity = b"\xc0" + bytes(47), b"\xc0" + bytes(95)

    assert not verify_on_g2(MAINNET, infinity[1], FIRST, DST_G2)
    assert not verify_on_g1(QUICKNET, infinity[0], THOUSANDTH, DST_G1)
    with pytest.raises(CodecError, match="no point of G1"):
        verify_on_g2(infinity[0], infinity[1], FIRST, DST_G2)
    with pytest.raises(CodecError, match="no point of G2"):
        verify_on_g1(infinity[1], infinity[0], THOUSANDTH, DST_G1)


def test_a_point_outside_the_group_is_no_key() -> None:
    """On the curve is not enough: the point must be of the prime order."""
    outside = bytes.fromhex("80" + "00" * 46 + "04")  # x = 4: on the curve, and not in G1

    with pytest.raises(CodecError, match="no point of G1"):
        verify_on_g2(outside, ON_G2, FIRST, DST_G2)


@pytest.mark.parametrize("key", [b"", bytes(48), MAINNET[:-1], QUICKNET])
def test_what_has_not_the_length_of_a_key_is_none(key: bytes) -> None:
    """A key of the other group, a cut one and none at all are errors."""
    with pytest.raises(CodecError, match="no point of G1"):
        verify_on_g2(key, ON_G2, FIRST, DST_G2)
