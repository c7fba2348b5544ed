"""`ipvm-submit`: a job in, receipts out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from ipvm_queue._version import __version__
from ipvm_queue.cli import exits, options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.words import say

if TYPE_CHECKING:
    from ipvm_queue.client import Client
    from ipvm_queue.run import Run

_LEAST: Final = 5.0  # seconds that a gate has to let a job in, however short the wait for its end is to be


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("job", help="A job document: a file, or - for standard input; DAG-JSON or DAG-CBOR.")
@options.connecting
@click.option(
    "--block",
    "blocks",
    metavar="FILE|CAR",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Add a block, or all blocks of a CAR, that the job needs. Repeatable.",
)
@options.proofs
@click.option(
    "--receipts",
    "bundles",
    metavar="BUNDLE",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Receipts of another queue that the job awaits: a file of `ipvm receipt export`. Repeatable.",
)
@click.option("--plan", is_flag=True, help="Print the plan and its canvas; enqueue nothing.")
@click.option("--no-wait", is_flag=True, help="Print the run's id once it is accepted, and leave.")
@click.option("--timeout", metavar="SECONDS", type=options.Duration(min=0), help="Give up waiting; the run goes on.")
@options.reveal
@click.version_option(__version__, prog_name="ipvm-queue")
def submit(
    job: str,
    broker: str | None,
    key: Path | None,
    blocks: tuple[Path, ...],
    *,
    proofs: tuple[Path, ...],
    bundles: tuple[Path, ...],
    timeout: float | None,
    as_json: bool,
    plan: bool,
    no_wait: bool,
    reveal: bool,
) -> int:
    """Run JOB on the queue, wait for it, and print what came out.

    Results go to standard output, everything else to standard error.

    \b
    Exit codes: 0 all is well, 1 the run ended with an error, 2 bad usage or
    document, 3 refused by the queue, 4 in doubt, 5 timed out waiting, 6 the
    broker or every worker is away, 130 interrupted (it says what goes on).

    \b
    Example:
      ipvm-submit examples/pipeline/job.json
    """  # noqa: D301 - \b keeps click from filling the lines
    from ipvm_queue.cli import documents
    from ipvm_queue.cli.results import wait

    document = documents.load(job, blocks, options.settings(broker_url=broker, key=key))
    if plan:
        from ipvm_queue.cli.plans import plan_of

        return plan_of(document, broker, key, proofs, as_json=as_json)
    given = _read(bundles)
    with options.connected(broker, key, workers=True, proofs=proofs) as client:
        patience = None if timeout is None else max(timeout, _LEAST)
        for bundle in given:
            client.hand_over(bundle)
        with documents.named(document):
            run = client.submit(document.workflow, folder=document.folder, blocks=document.blocks, patience=patience)
        if no_wait:
            return _leave(run, client, as_json=as_json)
        return wait(run, client, timeout, as_json=as_json, reveal=reveal)


def _read(bundles: tuple[Path, ...]) -> list[bytes]:
    """Return what is in bundles; raises `UsageError` for a file that is none."""
    if not bundles:
        return []
    from ipvm_queue.cli.bundles import load

    return [load(bundle) for bundle in bundles]


def _leave(run: Run, client: Client, *, as_json: bool) -> int:
    from ipvm_queue.cli.results import only_while_up

    if as_json:
        answer({"run": run.id, "workflow": run.workflow, "status": run.status, "tasks": {}})
    else:
        line(run.id)
    say(f"follow it with: ipvm run watch {run.id}{only_while_up(client)}")
    return exits.OK


def main() -> NoReturn:
    """Run `ipvm-submit`."""
    exits.run(submit, "ipvm-submit")
