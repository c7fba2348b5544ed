"""`ipvm completion`: what a shell needs to complete our commands."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish", "powershell")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), help="The shell that is to complete.")
def completion(shell: str) -> None:
    """Print a completion script for a shell.

    It completes `ipvm` and `ipvm-submit`.

    Example: ipvm completion bash > ~/.local/share/bash-completion/completions/ipvm
    """
    from click.shell_completion import get_completion_class

    from ipvm_queue.cli.main import ipvm
    from ipvm_queue.cli.submit import submit

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click cannot complete for {shell}")
    for command, program in ((ipvm, "ipvm"), (submit, "ipvm-submit")):
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        click.echo(kind(command, {}, program, variable).source())
