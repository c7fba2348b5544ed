"""Keys in files: PKCS#8 PEM, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ipvm_queue.crypto.signer import Signer
from ipvm_queue.crypto.suites import SUITES, suite_of_key
from ipvm_queue.errors import KeyFileError

_MAX_BYTES: Final = 64 * 1024


def load_signer(path: Path, *, create: bool = False) -> Signer:
    """Return the signer whose key is in `path`; with `create`, make the file first where there is none.

    Raises `KeyFileError` when the file is missing, unreadable, open to others or of no suite that is used here.
    """
    try:
        with path.open("rb") as file:
            exposed = os.fstat(file.fileno()).st_mode & 0o077
            pem = file.read(_MAX_BYTES)
    except FileNotFoundError as error:
        if create:
            return _create(path)
        raise KeyFileError(f"there is no key {path}", hint=f"make one with: ipvm key new {path}") from error
    except OSError as error:
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}") from error
    if exposed:
        raise KeyFileError(f"the key {path} can be read by others", hint=f"chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is not an unencrypted PEM private key") from error
    if suite_of_key(key) is None:
        raise KeyFileError(
            f"{path} holds another kind of key", hint=f"one of {', '.join(SUITES)} is expected: ipvm key new"
        )
    return Signer(key)  # type: ignore[arg-type]


def save_signer(signer: Signer, path: Path) -> Signer:
    """Write a new key file (never over an old one: `FileExistsError`) and return the signer.

    Raises `KeyFileError` when the file cannot be written.
    """
    pem = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, partial = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # a name of its own, mode 0600
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        os.link(partial, path)  # atomic, and fails where a key stands already
    except FileExistsError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from error
    finally:
        Path(partial).unlink(missing_ok=True)
    return signer


def _create(path: Path) -> Signer:
    try:
        return save_signer(Signer.generate(), path)
    except FileExistsError:  # another process made it between the look and the write
        return load_signer(path)
