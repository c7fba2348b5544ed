"""`ipvm block`: bytes by their CID."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.exits import failure
from ipvm_queue.cli.words import say
from ipvm_queue.errors import MissingBlockError, UsageError

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link, Value

_PUT: Final = "ipvm block put FILE"
CIDS = click.argument("cids", metavar="CID...", nargs=-1, required=True, type=options.Cid(), help="Which blocks.")


@click.group()
def block() -> None:
    """Store and fetch blocks by their CID."""


@block.command()
@click.argument(
    "files", metavar="FILE|CAR...", nargs=-1, required=True, type=click.Path(path_type=Path), help="What to store."
)
@options.connecting
@click.option("--dag-cbor", is_flag=True, help="The files are DAG-CBOR, not raw bytes.")
def put(files: tuple[Path, ...], broker: str | None, key: Path | None, *, as_json: bool, dag_cbor: bool) -> None:
    """Store files, or the blocks of CARs; print the CIDs.

    Example: ipvm block put examples/guests/count.wasm
    """
    from ipvm_queue.cli.documents import read_blocks
    from ipvm_queue.ipld import DAG_CBOR, Block, decode

    found = list(read_blocks(files, options.settings().max_block_bytes))
    if dag_cbor:
        for each in found:
            decode(each.data)
        found = [Block.of(each.data, DAG_CBOR) for each in found]
    with options.connected(broker, key) as client:
        client.blocks.put_many({each.cid: each.data for each in found})
    if as_json:
        answer({"blocks": [{"cid": each.cid, "size": len(each.data)} for each in found]})
        return
    for each in found:
        line(str(each.cid))


@block.command()
@CIDS
@options.connecting
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; default: standard output.")
@click.option("--car", is_flag=True, help="Write a CAR of the blocks, with them as roots.")
def get(
    cids: tuple[Link, ...], broker: str | None, key: Path | None, output: Path | None, *, as_json: bool, car: bool
) -> None:
    """Write a block's bytes, or several as a CAR.

    With --json the bytes are in the answer, or with -o in the file, whose name and size the answer has.

    Example: ipvm block get bafkrei... -o count.wasm
    """
    from ipvm_queue.ipld import Block, write_car

    if len(cids) > 1 and not car and (output is not None or not as_json):
        raise UsageError("several blocks go into a CAR", hint="add --car")
    with options.connected(broker, key) as client:
        found = [Block(cid, client.blocks.get(cid)) for cid in cids]
    if as_json and output is None:
        answer({"blocks": [{"cid": each.cid, "data": each.data} for each in found]})
        return
    data = write_car(cids, found) if car else found[0].data
    if output is None:
        _refuse_terminal(data)
        click.echo(data, nl=False)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    if as_json:
        sizes: list[Value] = [{"cid": each.cid, "size": len(each.data)} for each in found]
        answer({"blocks": sizes, "file": str(output), "size": len(data)})


@block.command()
@CIDS
@options.connecting
def stat(cids: tuple[Link, ...], broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Print the size of blocks, in bytes.

    Fails if one is not stored.

    Example: ipvm block stat bafkrei...
    """
    with options.connected(broker, key) as client:
        sizes = {cid: client.blocks.size(cid) for cid in cids}
    absent = [MissingBlockError(f"{cid} is not stored", hint=_PUT) for cid, size in sizes.items() if size is None]
    if as_json:
        rows: list[Value] = [{"cid": cid, "size": size} for cid, size in sizes.items()]
        answer({"blocks": rows, **(failure(absent[0]) if absent else {})})
    else:
        for cid, size in sizes.items():
            line(f"{cid}  {'missing' if size is None else size}")
    if absent:
        raise absent[0]


@block.command()
@CIDS
@options.connecting
def unpin(cids: tuple[Link, ...], broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Let go of blocks that `handle/resolve` has pinned, which never lapse by themselves.

    For operators: tasks that were promised these blocks will not find them.

    Example: ipvm block unpin bafkrei...
    """
    with options.connected(broker, key) as client:
        freed = client.blocks.unpin(cids)
    if as_json:
        answer({"blocks": [{"cid": cid, "pinned": cid in freed} for cid in cids]})
        return
    for cid in cids:
        line(f"{cid}  {'unpinned' if cid in freed else 'was not pinned'}")


def _refuse_terminal(data: bytes) -> None:
    """Keep bytes that are no text away from a terminal."""
    if sys.stdout.isatty() and not data.isascii():
        say(f"{len(data)} bytes, not for a terminal")
        raise UsageError("these bytes would steer the terminal", hint="write them to a file: -o FILE")
