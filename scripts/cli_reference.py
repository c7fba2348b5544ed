"""Print docs/cli.md from the commands themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli.main import ipvm
from ipvm_queue.cli.submit import submit
from ipvm_queue.settings import FOREVER, PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
# Command line

Printed by `python scripts/cli_reference.py > docs/cli.md`; a test compares.

Results go to standard output, everything else to standard error. With `--json` the answer is one DAG-JSON object; an
error is in it as `{"status": …, "error": {"code", "message", "hint"}}`. A result that cannot be written is an error
(2); words that cannot be written to standard error are lost and change nothing. Exit codes, of every command:

| code | meaning |
|---|---|
| 0 | all is well |
| 1 | the run ended with an error result, or a check failed |
| 2 | bad usage, setting or document |
| 3 | refused by the queue |
| 4 | in doubt: an effect may or may not have happened |
| 5 | timed out waiting; the run goes on |
| 6 | the broker, or every worker, is away |
| 70 | a fault of ipvm-queue itself |
| 130 | interrupted; the run goes on |
| 141 | nobody reads standard output any more |

## Settings

A flag wins over a variable, that over a file, that over the default. The files are the one that `IPVM_CONFIG` names, or
else `./ipvm.toml` over `~/.config/ipvm/ipvm.toml`; paths in a file are relative to it. `ipvm doctor` shows each setting
with its source. Durations are seconds (`forever` where a lifetime has no end), sizes bytes.

| in a file | variable | default | |
|---|---|---|---|
"""


def sections(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Yield the help of a command and of all commands below it."""
    context = command.make_context(name, [], parent, resilient_parsing=True, terminal_width=80, max_content_width=80)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            if below is not None:
                yield from sections(below, each, context)


def settings() -> str:
    """Return a row for each setting."""
    home = str(Path.home())
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = (FOREVER if name.endswith("_ttl") else "none") if default is None else str(default).replace(home, "~")
        rows.append(f"| `{name}` | `{PREFIX}{name.upper()}` | `{shown}` | {field.description} |\n")
    return "".join(rows)


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD + settings(), *sections(submit, "ipvm-submit"), *sections(ipvm, "ipvm")])


if __name__ == "__main__":
    sys.stdout.write(page())
