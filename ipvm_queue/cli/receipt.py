"""`ipvm receipt`: who ran what, what came out, and whether that holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, brief, line
from ipvm_queue.errors import IpvmError, UsageError

if TYPE_CHECKING:
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
@options.reveal
def get(cid: Link, broker: str | None, key: Path | None, *, as_json: bool, reveal: bool) -> None:
    """Print a receipt.

    Example: ipvm receipt get bafyrei...
    """
    with options.connected(broker, key) as client:
        found = find(client, cid)
        out, meta = seen(client, found, reveal=reveal)
    _print(found, out, meta, {}, as_json=as_json)


@receipt.command()
@click.argument("what", metavar="CID|BUNDLE", help="A receipt's CID, or that of its Task; or a bundle's file.")
@options.connecting
@click.option("--rerun", metavar="RUN", help="Run the pure Task again, here, with the inputs that it had in RUN.")
@click.option("--for", "asked", metavar="INVOCATION", help="Your job's invocation: its CID, its file or its base64.")
def verify(
    what: str, broker: str | None, key: Path | None, rerun: str | None, asked: str | None, *, as_json: bool
) -> int:
    """Check a receipt's CID and signature, and its result; or a bundle, offline.

    The block of a large result is checked too. --rerun runs the Task again.

    A bundle (of ipvm receipt export) is checked step by step with no network and no broker: who signed, whom the
    service lets sign, that the queue handed the job to this worker, who had asked for it, and that the Task is one of
    the job's. What it proves is that the worker was entitled when the job was handed to it, unless something had been
    revoked. With --for it must also answer that job, which has to be yours: then no other part of it is believed.

    Example: ipvm receipt verify result.ucan --for bafyrei...
    """
    if Path(what).is_file() or what == "-":
        from ipvm_queue.cli.bundles import check

        if rerun is not None:
            raise UsageError("a bundle is checked offline; --rerun needs the run's inputs", hint="give a CID")
        return check(what, asked, as_json=as_json)
    if asked is not None:
        raise UsageError("--for goes with a bundle's file", hint="ipvm receipt export CID -o result.ucan")
    return _verify_stored(_cid(what), broker, key, rerun, as_json=as_json)


@receipt.command()
@click.argument("cids", metavar="[CID]...", nargs=-1, type=options.Cid(), help="Receipts, or Tasks that have one.")
@options.connecting
@click.option("--run", "run_id", metavar="RUN", help="Of this run: with its job, and if no CID is given all results.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; default: standard output.")
def export(
    cids: tuple[Link, ...],
    broker: str | None,
    key: Path | None,
    run_id: str | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write a bundle: receipts with all that is needed to verify them offline.

    In it are the receipts that these rest on, every token between the requestor and the worker, the signed job, and
    large results. Whoever gets it can read the job. With --run the run's own job is in it, of which some tasks may
    have been computed for another.

    Example: ipvm receipt export bafyrei... -o result.ucan
    """
    from ipvm_queue.cli.bundles import collect, put

    if not cids and run_id is None:
        raise UsageError("which receipts?", hint="name them by CID, or a run with --run")
    with options.connected(broker, key) as client:
        data, links = collect(client, cids, run_id)
    put(data, links, output, as_json=as_json)


def _cid(text: str) -> Link:
    from ipvm_queue.errors import CodecError
    from ipvm_queue.ipld import Link

    try:
        return Link.parse(text)
    except CodecError as error:
        raise UsageError(f"{text[:80]!r} is neither a file nor a CID: {error.message}", hint=error.hint) from error


def _verify_stored(cid: Link, broker: str | None, key: Path | None, rerun: str | None, *, as_json: bool) -> int:
    with options.connected(broker, key) as client:
        found = find(client, cid)
        out, meta = seen(client, found, reveal=False)
        checked = ["cid", "signature", "result"]
        if rerun is not None:
            from ipvm_queue.cli.rerun import run_again

            again, said = run_again(client, rerun, found), seen(client, found, reveal=True)[0]
            if again != said:
                differ = f"the Task gave {brief(again)}; its receipt says {brief(said)}"
                raise NotReproducedError(
                    f"run again, {'the Task gave something else' if out != said else differ}",
                    hint=f"do not trust results of {found.issuer}",
                    receipt=str(found.link),
                )
            checked.append("rerun")
    _print(found, out, meta, {"valid": True, "checked": checked}, as_json=as_json)
    return 0


def find(client: Client, cid: Link) -> Receipt:
    """Return a receipt by its own CID or its Task's, its signature verified.

    Raises `MissingBlockError` where there is none, `CodecError` for something else.
    """
    from ipvm_queue.errors import CodecError, MissingBlockError
    from ipvm_queue.ucan import read

    (entry,) = client.receipts.of_tasks([cid])
    try:
        return read(client.blocks.get(cid if entry is None else entry.receipt))
    except MissingBlockError as error:
        raise MissingBlockError(
            f"no receipt is known under {cid}", hint="ipvm run show RUN lists those of a run", cid=str(cid)
        ) from error
    except CodecError as error:
        raise CodecError(f"{cid} is no valid receipt: {error.message}", hint=error.hint) from error


def result(client: Client, found: Receipt) -> Value:
    """Return a receipt's Result, from its block where it has one."""
    from ipvm_queue.ipld import Link, decode

    return decode(client.blocks.get(found.out)) if isinstance(found.out, Link) else found.out


def seen(client: Client, found: Receipt, *, reveal: bool) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return a receipt's Result and `meta` as they may be shown; with `reveal` opened by the owner's key."""
    from ipvm_queue.run import yours
    from ipvm_queue.ucan.secret import is_secret, open_result, veil

    out = result(client, found)
    if not is_secret(found.meta):
        return out, found.meta
    if not reveal:
        return veil(out), found.meta
    with yours("the result"):
        opened = open_result(client.signer, found.ran, out)
    return opened.out, {**found.meta, **opened.meta}


def _print(found: Receipt, out: Value, meta: Value, extra: dict[str, Value], *, as_json: bool) -> None:
    if as_json:
        fields = {"receipt": found.link, "ran": found.ran, "worker": found.issuer, "issued": found.issued}
        answer({**fields, "out": out, "meta": meta, **extra})
        return
    from ipvm_queue.cli.results import HIDDEN
    from ipvm_queue.ucan.secret import VEIL

    line(f"receipt {found.link}")
    line(f"ran     {found.ran}")
    line(f"worker  {found.issuer}")
    line(f"issued  {datetime.fromtimestamp(found.issued, UTC).isoformat()}")
    for branch, value in out.items():
        line(f"{branch:7} {HIDDEN if value == VEIL else brief(value)}")
    line(f"meta    {brief(meta)}")
    if extra:
        line(f"valid   {', '.join(extra['checked'])}")
