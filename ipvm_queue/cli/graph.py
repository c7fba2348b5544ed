"""`ipvm graph`: a job as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line

if TYPE_CHECKING:
    from ipvm_queue.plan import Plan


@click.command()
@click.argument("job", required=False, help="A job document: a file, or - for standard input.")
@options.connecting
@click.option(
    "--as",
    "form",
    type=click.Choice(["text", "dot", "mermaid"]),
    default="text",
    show_default=True,
    help="In which form.",
)
@click.option("--run", "run_id", metavar="RUN", help="Draw a run instead, with the state of each task.")
@click.option(
    "--block",
    "blocks",
    metavar="FILE|CAR",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Blocks that the job needs. Repeatable.",
)
def graph(
    *,
    job: str | None,
    broker: str | None,
    key: Path | None,
    form: str,
    run_id: str | None,
    blocks: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Draw the graph of a JOB, or of a run.

    \b
    Example:
      ipvm graph job.json --as mermaid
    """  # noqa: D301 - \b keeps click from filling the lines
    from ipvm_queue.cli import documents
    from ipvm_queue.cli.results import attach

    if (job is None) == (run_id is None):
        raise click.UsageError("give a job or --run, one of them")
    document = None if job is None else documents.load(job, blocks, options.settings(broker_url=broker, key=key))
    with options.connected(broker, key) as client:
        states = None
        if document is not None:
            with documents.named(document):
                plan, _ = client.plan(document.workflow, folder=document.folder, blocks=document.blocks)
        elif run_id is not None:
            run = attach(client, run_id)
            plan = run.plan
            states = {label: str(result.state) for label, result in run.results().items()}
    picture = _draw(plan, form, states)
    if as_json:
        answer({"form": form, "graph": picture})
    else:
        line(picture)


def _draw(plan: Plan, form: str, states: dict[str, str] | None) -> str:
    from ipvm_queue.plan.draw import as_dot, as_mermaid, as_text

    return {"text": as_text, "dot": as_dot, "mermaid": as_mermaid}[form](plan, states)
