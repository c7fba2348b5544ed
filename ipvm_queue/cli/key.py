"""`ipvm key`: the keys that sign jobs, and the DIDs that they speak for."""

from __future__ import annotations

from pathlib import Path

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.errors import KeyFileError

FILE = click.Path(path_type=Path)


@click.group()
def key() -> None:
    """Make and show the keys that sign jobs."""


@key.command()
@click.argument("file", type=FILE, required=False, help="Where to; default: the user's key.")
@click.option(
    "--suite",
    type=click.Choice(["Ed25519", "P-256", "secp256k1"], case_sensitive=False),
    default="Ed25519",
    show_default=True,
    help="What kind of key; nothing can be sealed to secp256k1.",
)
@options.as_json
def new(file: Path | None, suite: str, *, as_json: bool) -> None:
    """Make a new key, and print its DID.

    A file that is there already stays, and no key is made.

    Example: ipvm key new ~/keys/laptop.pem
    """
    from ipvm_queue.crypto import Signer, save_signer

    path = file or options.settings().key
    try:
        signer = save_signer(Signer.generate(suite), path)
    except FileExistsError:
        raise KeyFileError(f"{path} is there already", hint="name another file") from None
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from error
    _show(signer.did, path, as_json=as_json)


@key.command()
@click.argument("file", type=FILE, required=False, help="Which; default: the user's key.")
@options.as_json
def show(file: Path | None, *, as_json: bool) -> None:
    """Print the DID of a key.

    Example: ipvm key show
    """
    from ipvm_queue.crypto import load_signer

    path = file or options.settings().key
    _show(load_signer(path).did, path, as_json=as_json)


@key.command(name="list")
@options.as_json
def list_(*, as_json: bool) -> None:
    """List the keys beside the user's key.

    Example: ipvm key list
    """
    from ipvm_queue.crypto import load_signer

    own = options.settings().key
    found = []
    for path in sorted(own.parent.glob("*.pem")):
        try:
            found.append({"name": path.stem, "did": load_signer(path).did, "file": str(path)})
        except KeyFileError as error:
            found.append({"name": path.stem, "error": error.message, "file": str(path)})
    if as_json:
        answer({"keys": found})
        return
    for each in found:
        line(f"{each['name']:12} {each.get('did') or 'error: ' + each['error']}")


def _show(did: str, path: Path, *, as_json: bool) -> None:
    if as_json:
        answer({"did": did, "file": str(path)})
    else:
        line(did)
