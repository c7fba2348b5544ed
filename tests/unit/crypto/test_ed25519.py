"""Ed25519 identities: what is signed verifies, and no DID is taken that cannot be trusted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multiformats import multibase

from ipvm_queue.crypto import Signer, verify
from ipvm_queue.crypto.ed25519 import SIGNATURE_BYTES, public_key
from ipvm_queue.errors import CodecError

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
SIGN = 1 << 255


def encoded(y: int) -> bytes:
    """Return a key of the y coordinate `y`, sign bit included."""
    return y.to_bytes(32, "little")


def did_with(binary: bytes, base: str = "base58btc") -> str:
    """Return a did:key of any bytes."""
    return "did:key:" + str(multibase.encode(binary, base))


def did_of(key: bytes) -> str:
    """Return the did:key of 32 bytes."""
    return did_with(b"\xed\x01" + key)


def signer(seed: int = 1) -> Signer:
    """Return the same signer for the same seed."""
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32)))


def test_a_signature_verifies_under_its_did_and_no_other() -> None:
    """Signer, bytes and signature belong together."""
    signature = signer().sign(b"data")

    assert len(signature) == SIGNATURE_BYTES
    assert verify(signer().did, signature, b"data")
    assert not verify(signer().did, signature, b"Data")
    assert not verify(signer(2).did, signature, b"data")


def test_fresh_keys_differ() -> None:
    """`generate` makes a new identity each time, printed as its DID and not as its key."""
    one, two = Signer.generate(), Signer.generate()

    assert one.did != two.did
    assert one.did.startswith("did:key:z6Mk")
    assert repr(one) == f"Signer({one.did})"


def test_a_did_names_its_public_key() -> None:
    """The bytes in the DID are the key's."""
    raw = signer().private_key.public_key().public_bytes_raw()

    assert did_of(raw) == signer().did
    assert public_key(signer().did).public_bytes_raw() == raw


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_does_not_verify(length: int) -> None:
    """A signature has 64 bytes."""
    signature = signer().sign(b"data")

    assert not verify(signer().did, (signature * 2)[:length], b"data")


def test_every_byte_of_the_signature_counts() -> None:
    """No byte can be changed."""
    signature = signer().sign(b"data")

    for position in range(SIGNATURE_BYTES):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert not verify(signer().did, bytes(changed), b"data")


def test_a_signature_has_one_form() -> None:
    """The same signature with the group order added to its scalar is refused."""
    signature = signer().sign(b"data")
    scalar = int.from_bytes(signature[32:], "little") + ORDER

    assert not verify(signer().did, signature[:32] + encoded(scalar), b"data")


def square_root(number: int) -> int | None:
    """Return a square root of `number` modulo P, None if there is none."""
    root = pow(number, (P + 3) // 8, P)
    for candidate in (root, root * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == number % P:
            return candidate
    return None


def order_eight() -> int:
    """Return a y of order 8: doubling it gives y = 0, so d·y⁴ + 2·y² = 1 on the curve."""
    d = -121665 * pow(121666, -1, P) % P
    middle = square_root(1 + d)
    assert middle is not None
    roots = [square_root((sign * middle - 1) * pow(d, -1, P)) for sign in (1, -1)]
    return next(root for root in roots if root is not None)


Y8 = order_eight()
SMALL_ORDER = {
    "order 1": encoded(1),
    "order 1, sign": encoded(1 | SIGN),
    "order 2": encoded(P - 1),
    "order 2, sign": encoded((P - 1) | SIGN),
    "order 4": encoded(0),
    "order 4, sign": encoded(SIGN),
    "order 8": encoded(Y8),
    "order 8, sign": encoded(Y8 | SIGN),
    "other order 8": encoded(P - Y8),
    "other order 8, sign": encoded((P - Y8) | SIGN),
}
NOT_CANONICAL = {
    f"p + {extra}{', sign' if sign else ''}": encoded((P + extra) | sign) for extra in range(19) for sign in (0, SIGN)
}


@pytest.mark.parametrize("key", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_keys_of_small_order_are_refused(key: bytes) -> None:
    """Under such a key one signature verifies for every message, so it is no identity."""
    with pytest.raises(CodecError, match="small order"):
        verify(did_of(key), bytes(64), b"data")


@pytest.mark.parametrize("key", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_keys_in_another_encoding_are_refused(key: bytes) -> None:
    """A coordinate of p or more is a second spelling of a key: one key would have two DIDs."""
    with pytest.raises(CodecError, match="canonical"):
        public_key(did_of(key))


RAW_KEY = bytes.fromhex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
GOOD = did_of(RAW_KEY)


BAD_DIDS = {
    "nothing": "",
    "a word": "alice",
    "another method": "did:web:example.com",
    "method in capitals": "DID:KEY:" + GOOD.removeprefix("did:key:"),
    "no key": "did:key:",
    "only a multibase": "did:key:z",
    "another multibase": did_with(b"\xed\x01" + RAW_KEY, "base32"),
    "letter outside base58": GOOD[:-1] + "0",
    "cut": GOOD[:-2],
    "longer": GOOD + "1",
    "leading one": GOOD.replace("did:key:z", "did:key:z1"),
    "a fragment": f"{GOOD}#{GOOD.removeprefix('did:key:')}",
    "a blank before": " " + GOOD,
    "a blank after": GOOD + " ",
    "a newline after": GOOD + "\n",
    "31 bytes": did_with(b"\xed\x01" + RAW_KEY[:-1]),
    "33 bytes": did_with(b"\xed\x01" + RAW_KEY + b"\0"),
    "an X25519 key": did_with(b"\xec\x01" + RAW_KEY),
    "a P-384 key": did_with(b"\x81\x24\x02" + RAW_KEY),
    "an RSA key": did_with(b"\x85\x24" + RAW_KEY),
    "codec not minimal": did_with(b"\xed\x81\x00" + RAW_KEY),
    "no codec": did_with(RAW_KEY),
    "very long": "did:key:z" + "2" * 1_000_000,
    "not ASCII": GOOD[:-1] + "é",
}


@pytest.mark.parametrize("did", BAD_DIDS.values(), ids=BAD_DIDS)
def test_what_is_no_ed25519_did_is_refused(did: str) -> None:
    """A DID of another form, method, suite or length is a `CodecError` with a hint, and never a failed signature."""
    with pytest.raises(CodecError) as caught:
        verify(did, bytes(64), b"data")

    assert "did:key:z6Mk" in (caught.value.hint or "")
    assert len(caught.value.message) < 300
