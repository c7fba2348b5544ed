"""`ipvm-submit --plan`: what would run, and as which chords and chains."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from ipvm_queue.cli import exits, options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.documents import named
from ipvm_queue.cli.words import one_line, plural, say
from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.plan import looked_up
from ipvm_queue.plan.canvas import compile_canvas
from ipvm_queue.plan.draw import as_table, early_commits
from ipvm_queue.worker import make_app

if TYPE_CHECKING:
    from pathlib import Path

    from ipvm_queue.cli.documents import Document
    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.plan.draw import Row


def plan_of(
    document: Document, broker: str | None, key: Path | None, proofs: tuple[Path, ...], *, as_json: bool
) -> int:
    """Print the plan of a document; where the broker is away, as a queue of the user's own would have it."""
    try:
        return _plan(document, broker, key, proofs, as_json=as_json)
    except UnavailableError as error:
        if options.settings(broker_url=broker).broker_url is None:
            raise
        say(f"planned without the broker: {error.message}\nTask CIDs are those of a queue of your own")
        return _plan(document, "", key, proofs, as_json=as_json)


def _plan(document: Document, broker: str | None, key: Path | None, proofs: tuple[Path, ...], *, as_json: bool) -> int:
    with options.connected(broker, key, proofs=proofs) as client:
        if not client.is_let_in:
            say("no proof lets you push to this queue: Task CIDs are those of a queue of your own")
        with named(document):
            plan, _ = client.plan(document.workflow, folder=document.folder, blocks=document.blocks)
        return show_plan(client, plan, as_json=as_json)


def show_plan(client: Client, plan: Plan, *, as_json: bool) -> int:
    """Print a plan and the canvas that it compiles to."""
    rows = as_table(plan)
    known = _known(client, plan)
    labels = {number: "commit" if number == plan.barrier else node.label for number, node in plan.steps.items()}
    units = [_shape(unit, labels) for unit in compile_canvas(plan, make_app(plan.queues))]
    if as_json:
        nodes = [{**row._asdict(), "task": Link.parse(row.task), "cached": row.number in known} for row in rows]
        answer(
            {"plan": plan.link, "workflow": plan.document, "nodes": nodes, "canvas": units, "commits": _commits(plan)}
        )
        return exits.OK
    _table(rows, known)
    _say_commits(_commits(plan))
    line("")
    for unit in units:
        line(_words(unit))
    say(f"plan {plan.link}: {plural(plan.count, 'task')}, {len(known)} with a receipt already; nothing was enqueued")
    return exits.OK


def _commits(plan: Plan) -> list[dict[str, Value]]:
    """Return the commit points in the order in which they can come: where, in a run, the world is changed.

    `needed_by` are the tasks that a command in the midst of the pure part is an input of; one that is behind the
    barrier has `after_all`.
    """
    early = [
        {"label": node.label, "task": node.task, "after_all": False, "needed_by": [each.label for each in followers]}
        for node, followers in early_commits(plan)
    ]
    rest = [row for row in as_table(plan) if row.commit]
    late = [{"label": row.label, "task": Link.parse(row.task), "after_all": True, "needed_by": []} for row in rest]
    return [*early, *late]


def _say_commits(commits: list[dict[str, Any]]) -> None:
    if not commits:
        return
    line("")
    line("commit points:")
    for number, each in enumerate(commits, 1):
        needed = ", ".join(map(one_line, each["needed_by"]))
        where = f"in the midst of the pure part, for {needed}" if needed else "when its inputs are there"
        line(
            f"{number:>5}  {one_line(each['label'])}  {'when all before has succeeded' if each['after_all'] else where}"
        )


def _known(client: Client, plan: Plan) -> set[int]:
    """Return the nodes that would not run, because there is a receipt for their Task."""
    nodes = islice(enumerate(plan), plan.count)
    pure = [(number, node.task) for number, node in looked_up(nodes, lambda _: True)]
    entries = client.receipts.of_tasks([task for _, task in pure])
    return {number for (number, _), entry in zip(pure, entries, strict=True) if entry is not None and entry.reusable}


def _table(rows: list[Row], known: set[int]) -> None:
    shown = [one_line(row.label) for row in rows]
    width = max(map(len, shown))
    for row, label in zip(rows, shown, strict=True):
        after = [one_line(each) for each in (*row.after, *row.when)]
        words = [row.command, row.shape, "cached" if row.number in known else "", row.task]
        tail = ("  secret" if row.secret else "") + (f"  after {', '.join(after)}" if after else "")
        line(f"{row.number:>5}  {label:{width}}  {words[0]}  {words[1]:5}  {words[2]:6}  …{words[3][-8:]}{tail}")


def _shape(unit: Any, labels: dict[int, str]) -> Any:
    """Return a Celery signature as data: a label, `{"chain": […]}` or `{"chord": {"header": […], "body": …}}`."""
    kind = unit.subtask_type
    if kind == "chord":
        header = [_shape(each, labels) for each in unit.tasks]
        return {"chord": {"header": header, "body": _shape(unit.body, labels)}}
    if kind == "chain":
        return {"chain": [_shape(each, labels) for each in unit.tasks]}
    return labels[unit.args[1]]


def _words(unit: Any) -> str:
    if isinstance(unit, str):
        return one_line(unit)
    if "chain" in unit:
        return f"chain({', '.join(map(_words, unit['chain']))})"
    chord = unit["chord"]
    return f"chord([{', '.join(map(_words, chord['header']))}], {_words(chord['body'])})"
