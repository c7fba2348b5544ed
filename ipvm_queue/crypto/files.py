"""Keys in files: PKCS#8 PEM, readable by their owner alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ipvm_queue.crypto.ed25519 import Signer
from ipvm_queue.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path


def load_signer(path: Path, *, create: bool = False) -> Signer:
    """Return the signer whose key is in `path`; with `create`, make the file first where there is none.

    Raises `KeyFileError` when the file is missing, unreadable, open to others or no Ed25519 key.
    """
    if create and not path.exists():
        try:
            return save_signer(Signer.generate(), path)
        except FileExistsError:
            pass  # another process made it between the look and the write
    try:
        data = path.read_bytes()
        exposed = path.stat().st_mode & 0o077
    except OSError as error:
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}", hint="make one with: ipvm key new") from error
    if exposed:
        raise KeyFileError(f"the key {path} can be read by others", hint=f"chmod 600 {path}")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds another kind of key", hint="Ed25519 is expected: ipvm key new")
    return Signer(key)


def save_signer(signer: Signer, path: Path) -> Signer:
    """Write a new key file (never over an old one: `FileExistsError`) and return the signer."""
    pem = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        os.link(partial, path)  # atomic, and fails where a key stands already
    except FileExistsError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return signer
