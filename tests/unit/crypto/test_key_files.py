"""Key files: private, never overwritten, and honest about what is wrong with them."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ipvm_queue.crypto import Signer, load_signer, save_signer
from ipvm_queue.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path


def private(path: Path, data: bytes) -> Path:
    """Write a file for its owner alone."""
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_saved_key_loads_as_the_same_identity(tmp_path: Path) -> None:
    """What was written is read, folders are made, and nothing else is left behind."""
    path = tmp_path / "a" / "b" / "key.pem"

    saved = save_signer(Signer.generate(), path)

    assert load_signer(path).did == saved.did
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_the_key(tmp_path: Path, umask: int) -> None:
    """The file has mode 0600 and a new folder 0700, whatever the umask."""
    path = tmp_path / "keys" / "key.pem"
    before = os.umask(umask)
    try:
        save_signer(Signer.generate(), path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o644, 0o601])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """The error says how to close it."""
    path = tmp_path / "key.pem"
    save_signer(Signer.generate(), path)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="read by others") as caught:
        load_signer(path)

    assert caught.value.hint == f"chmod 600 {path}"


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """Saving where a key stands is an error and leaves the old key."""
    path = tmp_path / "key.pem"
    first = save_signer(Signer.generate(), path)

    with pytest.raises(FileExistsError):
        save_signer(Signer.generate(), path)

    assert load_signer(path).did == first.did
    assert [path] == list(tmp_path.iterdir())


def test_create_makes_a_key_once(tmp_path: Path) -> None:
    """The first load makes the key, later ones find it."""
    path = tmp_path / "key.pem"

    assert load_signer(path, create=True).did == load_signer(path, create=True).did == load_signer(path).did


def test_racing_creators_end_with_one_identity(tmp_path: Path) -> None:
    """However many start at once, all get the key that is in the file."""
    for attempt in range(10):
        path = tmp_path / str(attempt) / "key.pem"
        with ThreadPoolExecutor(8) as pool:
            dids = {future.result().did for future in [pool.submit(load_signer, path, create=True) for _ in range(8)]}

        assert dids == {load_signer(path).did}
        assert [path] == list(path.parent.iterdir())


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    """Without `create`, a missing file is an error with a hint."""
    with pytest.raises(KeyFileError, match="no key") as caught:
        load_signer(tmp_path / "key.pem")

    assert caught.value.hint == f"make one with: ipvm key new {tmp_path / 'key.pem'}"


def pem_of(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed448.Ed448PrivateKey) -> bytes:
    """Return the PEM of a private key."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ED25519 = Ed25519PrivateKey.generate()
NOT_A_KEY = {
    "empty": b"",
    "text": b"hello\n",
    "binary": bytes(range(256)),
    "cut": pem_of(ED25519)[:-40],
    "encrypted": ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    "public": ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "endless": b"a" * 1_000_000,
}


@pytest.mark.parametrize("data", NOT_A_KEY.values(), ids=NOT_A_KEY)
def test_what_is_no_private_key_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file that holds no unencrypted private key is an error that names it and shows nothing of it."""
    path = private(tmp_path / "key.pem", data)

    with pytest.raises(KeyFileError, match="not an unencrypted PEM private key"):
        load_signer(path)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048), ed448.Ed448PrivateKey.generate()],
    ids=["P-384", "RSA", "Ed448"],
)
def test_another_kind_of_key_is_refused(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Identities are Ed25519, P-256 or secp256k1."""
    path = private(tmp_path / "key.pem", pem_of(key))

    with pytest.raises(KeyFileError, match="another kind of key"):
        load_signer(path)


@pytest.mark.parametrize("create", [False, True])
def test_paths_that_cannot_hold_a_key_are_errors(tmp_path: Path, create: bool) -> None:  # noqa: FBT001 - a parameter
    """A folder in place of the file, a file in place of the folder: a `KeyFileError`, not a traceback."""
    (tmp_path / "file").write_bytes(b"")

    for path in (tmp_path, tmp_path / "file" / "key.pem", tmp_path / "file" / "deeper" / "key.pem"):
        with pytest.raises(KeyFileError):
            load_signer(path, create=create)


def test_saving_under_a_file_is_an_error(tmp_path: Path) -> None:
    """A file where the folder should be is a `KeyFileError`."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(KeyFileError, match="cannot write"):
        save_signer(Signer.generate(), tmp_path / "file" / "key.pem")
