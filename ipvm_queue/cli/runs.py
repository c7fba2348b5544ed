"""`ipvm run`: what runs, what ran, and how to follow or end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import exits, options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.words import one_line, plural, say

if TYPE_CHECKING:
    from pathlib import Path

    from ipvm_queue.run import Run

RUN = click.argument("run_id", metavar="RUN", help="A run's id, or the beginning of it.")


@click.group()
def run() -> None:
    """List, show, follow and cancel runs."""


@run.command(name="list")
@options.connecting
@options.limit(20)
@click.option(
    "--status", type=click.Choice(["running", "ok", "error", "in-doubt", "cancelled"]), help="Only those that stand so."
)
def list_(broker: str | None, key: Path | None, limit: int, status: str | None, *, as_json: bool) -> None:
    """List the runs submitted last.

    Example: ipvm run list --status running
    """
    with options.connected(broker, key) as client:
        found = [each for each in client.runs(limit) if status in (None, each.status)]
    if as_json:
        fields = ("id", "status", "tasks", "left", "failed", "requestor")
        rows = [{name: getattr(each, name) for name in fields} for each in found]
        times = [each.submitted.isoformat() for each in found]
        answer({"runs": [{**row, "submitted": time} for row, time in zip(rows, times, strict=True)]})
        return
    for each in found:
        time = each.submitted.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        done = f"{each.tasks - each.left} of {plural(each.tasks, 'task')}"
        failed = f", {each.failed} failed" if each.failed else ""
        line(f"{each.id}  {each.status:9} {time}  {done}{failed}")
    if not found:
        say("no runs")


@run.command()
@RUN
@options.connecting
@options.reveal
def show(run_id: str, broker: str | None, key: Path | None, *, as_json: bool, reveal: bool) -> int:
    """Show every task of a run, its receipt and its value.

    The exit code is that of the run, as `ipvm-submit` gives it; 0 for one that goes on.

    Example: ipvm run show 1f3a
    """
    from ipvm_queue.cli.results import attach, conclude

    with options.connected(broker, key) as client:
        found = attach(client, run_id)
        if not as_json:
            say(f"run {found.id}: {found.status}, workflow {found.workflow}")
            _show_receipts(found)
        return conclude(found, as_json=as_json, reveal=reveal)


@run.command()
@RUN
@options.connecting
@click.option("--timeout", metavar="SECONDS", type=options.Duration(min=0), help="Give up waiting; the run goes on.")
@options.reveal
def watch(
    run_id: str, broker: str | None, key: Path | None, timeout: float | None, *, as_json: bool, reveal: bool
) -> int:
    """Follow a run to its end, as `ipvm-submit` does.

    Example: ipvm run watch 1f3a
    """
    from ipvm_queue.cli.results import attach, wait

    with options.connected(broker, key, workers=True) as client:
        return wait(attach(client, run_id), client, timeout, as_json=as_json, reveal=reveal)


@run.command()
@RUN
@options.connecting
def resume(run_id: str, broker: str | None, key: Path | None, *, as_json: bool) -> int:
    """Open a cancelled or stuck run again.

    What has a receipt does not run again. (A run that the broker forgot
    is submitted again: its receipts are found.)

    Example: ipvm run resume 1f3a
    """
    from ipvm_queue.cli.results import attach

    with options.connected(broker, key) as client:
        found = attach(client, run_id)
        found.resume()
        return _stands(found, as_json=as_json)


@run.command()
@RUN
@options.connecting
@options.proofs
@click.option("--reason", default="", help="Why; kept with the run.")
def cancel(
    run_id: str, broker: str | None, key: Path | None, proofs: tuple[Path, ...], reason: str, *, as_json: bool
) -> int:
    """End a run before its time.

    Tasks that have not begun never will. Whoever submitted the run may end it,
    and whoever holds the queue's own key (--key).

    Example: ipvm run cancel 1f3a --reason "wrong input"
    """
    from ipvm_queue.cli.results import attach

    with options.connected(broker, key, workers=True, proofs=proofs) as client:  # the gate judges it
        client.counter.meet({client.signer.did})  # the queue itself needs no proof
        found = attach(client, run_id)
        found.cancel(reason)
        return _stands(found, as_json=as_json)


def _stands(found: Run, *, as_json: bool) -> int:
    status = found.status
    if as_json:
        answer({"run": found.id, "workflow": found.workflow, "status": status})
    else:
        line(f"{found.id}  {status}")
    return exits.OK


def _show_receipts(found: Run) -> None:
    for result in found.results().values():
        receipt = "" if result.receipt is None else f"receipt {result.receipt}"
        say(f"  {result.state:8} {one_line(result.label)}  {'cached  ' if result.cached else ''}{receipt}".rstrip())
