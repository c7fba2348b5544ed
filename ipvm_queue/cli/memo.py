"""`ipvm memo`: the table of what has been computed already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.exits import failure
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Link, Value


@click.group()
def memo() -> None:
    """Forget what pure tasks have given before."""


@memo.command()
@options.connecting
def stat(broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Print how many Tasks have a receipt.

    Example: ipvm memo stat
    """
    with options.connected(broker, key) as client:
        count = client.receipts.count()
    if as_json:
        answer({"receipts": count})
    else:
        line(str(count))


@memo.command()
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True, type=options.Cid(), help="Task CIDs.")
@options.connecting
def forget(tasks: tuple[Link, ...], broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Forget Tasks, so that they run again when asked for.

    Fails if none of them has a receipt.

    Example: ipvm memo forget bafyrei...
    """
    with options.connected(broker, key) as client:
        known = {task: _forget(client, task) for task in tasks}
    fault = UsageError("none of these Tasks has a receipt", hint="ipvm run show RUN --json names a run's Tasks")
    failed = not any(known.values())
    if as_json:
        rows: list[Value] = [{"task": task, "known": was} for task, was in known.items()]
        answer({"forgotten": rows, **(failure(fault) if failed else {})})
    else:
        for task, was in known.items():
            line(f"{task}  {'forgotten' if was else 'not known'}")
    if failed:
        raise fault


def _forget(client: Client, task: Link) -> bool:
    """Forget a Task under both of its addresses: as it stands in its job, and with its inputs in place."""
    from ipvm_queue.ucan import read

    (entry,) = client.receipts.of_tasks([task])
    if entry is None:
        return False
    ran = read(client.blocks.get(entry.receipt), trusted=True).ran
    for address in (task, ran):
        client.receipts.forget(address)
    return True
