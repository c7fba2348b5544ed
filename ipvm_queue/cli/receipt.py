"""`ipvm receipt`: who ran what, what came out, and whether that holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, brief, line
from ipvm_queue.errors import IpvmError

if TYPE_CHECKING:
    from pathlib import Path

    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan import Receipt

CID = click.argument("cid", type=options.Cid(), help="A receipt's CID, or that of the Task that it is for.")


class NotReproducedError(IpvmError):
    """Raised when a pure Task, run again, gives something else than its receipt says."""

    code = "not-reproduced"


@click.group()
def receipt() -> None:
    """Show and verify receipts."""


@receipt.command()
@CID
@options.connecting
def get(cid: Link, broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Print a receipt.

    Example: ipvm receipt get bafyrei...
    """
    with options.connected(broker, key) as client:
        found = find(client, cid)
        out = result(client, found)
    _print(found, out, {}, as_json=as_json)


@receipt.command()
@CID
@options.connecting
@click.option("--rerun", metavar="RUN", help="Run the pure Task again, here, with the inputs that it had in RUN.")
def verify(cid: Link, broker: str | None, key: Path | None, rerun: str | None, *, as_json: bool) -> None:
    """Check a receipt's CID and signature, and its result.

    The block of a large result is checked too. --rerun runs the Task again.

    Example: ipvm receipt verify bafyrei... --rerun 1f3a
    """
    with options.connected(broker, key) as client:
        found = find(client, cid)
        out = result(client, found)
        checked = ["cid", "signature", "result"]
        if rerun is not None:
            from ipvm_queue.cli.rerun import run_again

            again = run_again(client, rerun, found)
            if again != out:
                raise NotReproducedError(
                    f"run again, the Task gave {brief(again)}; its receipt says {brief(out)}",
                    hint=f"do not trust results of {found.issuer}",
                    receipt=str(found.link),
                )
            checked.append("rerun")
    _print(found, out, {"valid": True, "checked": checked}, as_json=as_json)


def find(client: Client, cid: Link) -> Receipt:
    """Return a receipt by its own CID or its Task's, its signature verified; raises `CodecError`."""
    from ipvm_queue.ucan import read

    (entry,) = client.receipts.of_tasks([cid])
    return read(client.blocks.get(cid if entry is None else entry.receipt))


def result(client: Client, found: Receipt) -> Value:
    """Return a receipt's Result, from its block where it has one."""
    from ipvm_queue.ipld import Link, decode

    return decode(client.blocks.get(found.out)) if isinstance(found.out, Link) else found.out


def _print(found: Receipt, out: Value, extra: dict[str, Value], *, as_json: bool) -> None:
    if as_json:
        fields = {"receipt": found.link, "ran": found.ran, "worker": found.issuer, "issued": found.issued}
        answer({**fields, "out": out, "meta": found.meta, **extra})
        return
    line(f"receipt {found.link}")
    line(f"ran     {found.ran}")
    line(f"worker  {found.issuer}")
    line(f"issued  {datetime.fromtimestamp(found.issued, UTC).isoformat()}")
    for branch, value in out.items():
        line(f"{branch:7} {brief(value)}")
    line(f"meta    {brief(found.meta)}")
    if extra:
        line(f"valid   {', '.join(extra['checked'])}")
