"""`ipvm effect`: what workers can do to the world, what was done, and what nobody knows of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, brief, line
from ipvm_queue.cli.words import one_line, plural, say
from ipvm_queue.errors import CodecError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.store import Act

ACT = click.argument("task", metavar="CID", type=options.Cid(), help="The CID of a command's Task.")


@click.group()
def effect() -> None:
    """List effects, and settle what is in doubt."""


@effect.command()
@options.as_json
def kinds(*, as_json: bool) -> None:
    """List the effects that are known here, by URI scheme and ability.

    Example: ipvm effect kinds
    """
    from ipvm_queue.effects import effects

    rows: list[dict[str, Any]] = [
        {
            "scheme": row.scheme,
            "ability": row.ability,
            "safety": row.safety.value,
            "private": row.private,
            "idempotency_key": row.idempotency_key,
            "reconciles": row.reconcile is not None,
            "summary": row.summary,
        }
        for row in effects().values()
    ]
    if as_json:
        answer({"kinds": rows})
        return
    for row in rows:
        flags = [word for word in ("private", "idempotency_key", "reconciles") if row[word]]
        tail = f"  ({', '.join(flags).replace('_', ' ')})" if flags else ""
        line(f"{row['scheme'] + ':':10} {row['ability']:16} {row['safety']:8} {row['summary']}{tail}")
    if not rows:
        say("no effects")


@effect.command(name="list")
@options.connecting
@click.option("--in-doubt", is_flag=True, help="Only those of which nobody knows whether they happened.")
@options.limit(50)
def list_(broker: str | None, key: Path | None, limit: int, *, in_doubt: bool, as_json: bool) -> None:
    """List the destructive effects that were claimed last.

    Example: ipvm effect list --in-doubt
    """
    with options.connected(broker, key) as client:
        found = client.acts.all(in_doubt=in_doubt, limit=limit)
    if as_json:
        answer({"acts": [_fields(act) for act in found]})
        return
    for act in found:
        line(f"{act.task}  {act.state:8} {_time(act)}  {one_line(act.label)}: {one_line(act.about)}")
    if not found:
        say("no effect is in doubt" if in_doubt else "no effects")


@effect.command()
@ACT
@options.connecting
def show(task: Link, broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Show one destructive effect: where it stands, and its receipt.

    Example: ipvm effect show bafyrei...
    """
    from ipvm_queue.ucan import read
    from ipvm_queue.ucan.secret import VEIL, is_secret

    with options.connected(broker, key) as client:
        act = _find(client, task)
    fields = _fields(act)
    if act.envelope:
        receipt = read(act.envelope, trusted=True)
        fields["out"] = VEIL if is_secret(receipt.meta) else receipt.out
    if as_json:
        answer(fields)
        return
    for name, value in fields.items():
        line(f"{name:8} {value if isinstance(value, str) else brief(value)}")


@effect.command()
@ACT
@options.connecting
@click.option("--done", "said", flag_value="done", multiple=True, help="It has happened.")
@click.option(
    "--not-done", "said", flag_value="not-done", multiple=True, help="It has not happened; it may be done again."
)
@click.option("--value", metavar="JSON", help="What came out of it, in DAG-JSON; with --done. Default: null.")
@click.option("--reason", default="", help="How you know; kept with the effect.")
@click.option("--no-resume", is_flag=True, help="Leave the runs that were told of the doubt as they ended.")
def resolve(
    task: Link,
    broker: str | None,
    key: Path | None,
    *,
    said: tuple[str, ...],
    value: str | None,
    reason: str,
    no_resume: bool,
    as_json: bool,
) -> None:
    """Say what became of an effect that is in doubt.

    With --done you sign its receipt. With --not-done it is done again when
    it is next asked for. The runs that ended in doubt of it go on from there.

    Example: ipvm effect resolve bafyrei... --not-done
    """
    if len(set(said)) != 1:
        raise UsageError("say what became of it: --done or --not-done, one of them")
    outcome = said[0]
    if value is not None and outcome != "done":
        raise UsageError("--value goes with --done")
    with options.connected(broker, key) as client:
        act = _find(client, task)
        if act.state != "in-doubt":
            raise UsageError(f"this effect is {act.state}: there is no doubt to resolve", task=str(act.task))
        if not _settle(client, act, outcome, _value(value), reason):
            raise UsageError("somebody else has settled it in the meantime", hint=f"ipvm effect show {act.task}")
        resumed = [] if no_resume else _resume(client, act)
        act = _find(client, task)
    if as_json:
        answer({**_fields(act), "resumed": resumed})
        return
    line(f"{act.task}  {act.state}")
    if resumed:
        say(f"{plural(len(resumed), 'run')} {'goes' if len(resumed) == 1 else 'go'} on: {', '.join(resumed)}")


def _find(client: Client, task: Link) -> Act:
    found = client.acts.find(task)
    if found is None:
        hint = "ipvm effect list shows those that are; ipvm run show RUN --json names a run's Tasks"
        raise UsageError(f"no destructive effect is known under {task}", hint=hint)
    return found


def _settle(client: Client, act: Act, outcome: str, value: Value, reason: str) -> bool:
    """Write what the operator says; False where it was settled already."""
    from time import time

    from ipvm_queue.ucan import issue

    if outcome == "not-done":
        return client.acts.not_done(act.id, act.fence, reason or "an operator says so", judged=True)
    meta: dict[str, Value] = {"resolved": {"why": reason, "doubt": act.why}}
    receipt = issue(client.signer, act.task, {"ok": value}, meta, int(time()))
    return client.acts.done(act.id, act.fence, receipt, [act.task], judged=True) == receipt


def _resume(client: Client, act: Act) -> list[str]:
    """Let the runs that ended in doubt of an act go on; one that is not known any more is left out."""
    resumed = []
    for each in act.runs:
        try:
            run = client.run(each)
        except UsageError:
            continue
        if run.status == "in-doubt":
            run.resume()
            resumed.append(each)
    return resumed


def _value(text: str | None) -> Value:
    from ipvm_queue.ipld import from_json

    try:
        return None if text is None else from_json(text)
    except CodecError as error:
        raise UsageError(f"--value is no DAG-JSON: {error.message}", hint=error.hint) from error


def _fields(act: Act) -> dict[str, Any]:
    from ipvm_queue.ipld import Link

    fields: dict[str, Any] = {
        "task": act.task,
        "key": Link.parse(act.id),  # what the world knows it by: Idempotency-Key, Message-ID
        "state": act.state,
        "label": act.label,
        "about": act.about,
        "run": act.run,
        "owner": act.owner,
        "fence": act.fence,
        "runs": list(act.runs),
    }
    if act.since:
        fields["since"] = _moment(act).isoformat()
    if act.why:
        fields["why"] = act.why
    if act.receipt is not None:
        fields["receipt"] = act.receipt
    return fields


def _moment(act: Act) -> datetime:
    return datetime.fromtimestamp(act.since / 1000, UTC)


def _time(act: Act) -> str:
    return _moment(act).astimezone().strftime("%Y-%m-%d %H:%M:%S") if act.since else "not begun".ljust(19)
