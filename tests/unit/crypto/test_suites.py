"""P-256 and secp256k1 beside Ed25519: DIDs, signatures, headers and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from multiformats import multibase

from ipvm_queue.crypto import SUITES, Signer, base58, load_signer, principal, save_signer, suite_of_header, verify
from ipvm_queue.crypto.ecdsa import P256, SECP256K1, Curve
from ipvm_queue.errors import CodecError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

DID_STARTS = {"Ed25519": "did:key:z6Mk", "P-256": "did:key:zDn", "secp256k1": "did:key:zQ3s"}
HEADERS = {"Ed25519": "3401ed01ed011371", "P-256": "3401ec0180241271", "secp256k1": "3401ec01e7011271"}


@pytest.mark.parametrize("name", SUITES)
def test_a_signature_verifies_under_its_did_and_no_other(name: str) -> None:
    """In each suite, signer, bytes and signature belong together."""
    signer, other = Signer.generate(name), Signer.generate(name)
    signature = signer.sign(b"data")

    assert len(signature) == 64
    assert verify(signer.did, signature, b"data")
    assert not verify(signer.did, signature, b"Data")
    assert not verify(other.did, signature, b"data")
    assert not verify(signer.did, bytes(64), b"data")
    assert not verify(signer.did, signature[:63], b"data")


@pytest.mark.parametrize("name", SUITES)
def test_names_headers_and_dids_belong_together(name: str) -> None:
    """Each suite has its varsig header and the start of its DIDs; a header is known by all of its bytes."""
    signer = Signer.generate(name)

    assert signer.did.startswith(DID_STARTS[name])
    assert signer.varsig.hex() == HEADERS[name]
    assert suite_of_header(signer.varsig) is SUITES[name]
    assert principal(signer.did)[0] is SUITES[name]
    assert suite_of_header(signer.varsig + b"\0") is None


@pytest.mark.parametrize("header", ["", "34ed0171", "340185240 0128002 71", "3401ed01ed0113a902", "3401ed01ed011271"])
def test_other_headers_are_no_suite(header: str) -> None:
    """Varsig 0, RS256, DAG-JSON payloads and a wrong hash are not among the three."""
    assert suite_of_header(bytes.fromhex(header.replace(" ", ""))) is None


@pytest.mark.parametrize("name", SUITES)
def test_keys_of_each_suite_are_kept_in_files(name: str, tmp_path: Path) -> None:
    """What is saved is what is loaded."""
    signer = save_signer(Signer.generate(name), tmp_path / "key.pem")

    assert load_signer(tmp_path / "key.pem").did == signer.did
    assert load_signer(tmp_path / "key.pem").suite is SUITES[name]


def with_high_s(signature: bytes, curve: Curve) -> bytes:
    """Return the twin of a signature with low s."""
    return signature[:32] + (curve.order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


@pytest.mark.parametrize("curve", [P256, SECP256K1], ids=lambda curve: curve.name)
def test_signatures_are_made_with_the_lower_s(curve: Curve) -> None:
    """Of the two signatures that a key could give, the one with the lower s is given."""
    signer = Signer.generate(curve.name)

    assert all(int.from_bytes(signer.sign(bytes([i]))[32:], "big") <= curve.order // 2 for i in range(8))


def test_a_high_s_is_refused_for_secp256k1_and_taken_for_p256() -> None:
    """secp256k1's signatures have one form; WebCrypto makes P-256's in both."""
    for curve, expected in ((P256, True), (SECP256K1, False)):
        signer = Signer.generate(curve.name)

        assert verify(signer.did, with_high_s(signer.sign(b"data"), curve), b"data") is expected


@pytest.mark.parametrize("curve", [P256, SECP256K1], ids=lambda curve: curve.name)
def test_numbers_out_of_range_do_not_verify(curve: Curve) -> None:
    """R and s of 0, of the order and above are no signature, and no error."""
    signer = Signer.generate(curve.name)
    good = signer.sign(b"data")
    for number in (0, curve.order, 2**256 - 1):
        wrong = number.to_bytes(32, "big")

        assert not verify(signer.did, wrong + good[32:], b"data")
        assert not verify(signer.did, good[:32] + wrong, b"data")


def did_with(binary: bytes) -> str:
    """Return a did:key of any bytes."""
    return "did:key:" + str(multibase.encode(binary, "base58btc"))


POINT = P256.raw(P256.generate())
BAD_KEYS = {
    "P-256 x alone": b"\x80\x24"
    + ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers().x.to_bytes(32, "big"),
    "P-256 hybrid head": b"\x80\x24\x06" + POINT[1:],
    "P-256 x too large": b"\x80\x24\x02" + b"\xff" * 32,
    "P-256 infinity": b"\x80\x24\x00" + bytes(32),
    "P-256 long": b"\x80\x24" + POINT + b"\0",
    "secp256k1 x too large": b"\xe7\x01\x02" + b"\xff" * 32,
    "secp256k1 off the curve": b"\xe7\x01\x02" + (5).to_bytes(32, "big"),
    "secp256k1 short": b"\xe7\x01\x02" + bytes(31),
}


@pytest.mark.parametrize("binary", BAD_KEYS.values(), ids=BAD_KEYS)
def test_what_is_no_point_is_no_did(binary: bytes) -> None:
    """A key is the compressed form of a point on its curve, and nothing else."""
    with pytest.raises(CodecError, match="did:key"):
        verify(did_with(binary), bytes(64), b"data")


def test_a_key_of_another_suite_is_no_signer() -> None:
    """A signer can only be made of keys whose DIDs others take."""
    with pytest.raises(UsageError, match="no suite"):
        Signer(ec.generate_private_key(ec.SECP384R1()))


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\1", b"\xed\x01" + bytes(range(32)), bytes(range(200))])
def test_base58_is_that_of_multibase(data: bytes) -> None:
    """The fast codec writes what the library writes, leading zeros too, and reads it back."""
    text = base58.encode(data)

    assert "z" + text == str(multibase.encode(data, "base58btc"))
    assert base58.decode(text) == data
