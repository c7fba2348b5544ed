"""`ipvm seal` and `ipvm open`: boxes that only the holders of some did:keys can read."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer
from ipvm_queue.cli.words import printable, say
from ipvm_queue.errors import LimitError, UsageError

FILE = click.argument("file", type=click.Path(path_type=Path, allow_dash=True), help="What; - is standard input.")
OUTPUT = click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; default: standard output.")


@click.command()
@FILE
@click.option("--to", "readers", metavar="DID", multiple=True, required=True, help="A did:key that may open it.")
@OUTPUT
@options.as_json
def seal(file: Path, readers: tuple[str, ...], output: Path | None, *, as_json: bool) -> None:
    """Seal a file to some did:keys: Ed25519 or P-256, each opens it alone.

    With --json, the box as the input of a job: {"value": {"/": {"bytes": …}}}; or with -o, where it is written.

    Example: ipvm seal letter.txt --to did:key:z6Mk… -o letter.box
    """
    from ipvm_queue.crypto import seal as seal_to

    box = seal_to(readers, _read(file))
    if as_json and output is None:
        answer({"value": box})
        return
    _write(box, output)
    if as_json:
        answer({"file": str(output), "size": len(box)})


@click.command(name="open")
@FILE
@options.key
@OUTPUT
def open_(file: Path, key: Path | None, output: Path | None) -> None:
    """Open a sealed box with your key.

    Example: ipvm open letter.box
    """
    from ipvm_queue.crypto import load_signer, open_sealed

    _write(open_sealed(load_signer(options.settings(key=key).key), _read(file)), output)


def _read(file: Path) -> bytes:
    from ipvm_queue.crypto.sealed import MAX_SEALED

    most = MAX_SEALED + 1024 * 1024  # a box is a little longer than what is in it
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(most + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if len(data) > most:
        raise LimitError(f"{file} is larger than {MAX_SEALED} bytes")
    return data


def _write(data: bytes, output: Path | None) -> None:
    if output is None:
        if sys.stdout.isatty() and not _is_text(data):
            raise UsageError("this would garble the terminal: it is no plain text", hint="name a file: -o FILE")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        output.touch(mode=0o600)
        output.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    say(f"{len(data):,} bytes in {output}")


def _is_text(data: bytes) -> bool:
    """Whether a terminal can show data as they are: text without anything that would steer it."""
    text = data.decode(errors="replace").replace("\t", " ").replace("\r\n", "\n")
    return "\ufffd" not in text and printable(text) == text
