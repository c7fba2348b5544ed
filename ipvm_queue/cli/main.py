"""`ipvm`: everything but submitting."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

import click

from ipvm_queue._version import __version__
from ipvm_queue.cli.exits import run

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final = {
    "up": "up:up",
    "run": "runs:run",
    "graph": "graph:graph",
    "effect": "effect:effect",
    "receipt": "receipt:receipt",
    "block": "block:block",
    "memo": "memo:memo",
    "key": "key:key",
    "seal": "seal:seal",
    "open": "seal:open_",
    "delegate": "delegate:delegate",
    "revoke": "revoke:revoke",
    "ucan": "ucan:ucan",
    "doctor": "doctor:doctor",
    "completion": "completion:completion",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __init__(self, *args: object, places: Mapping[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they were written down."""
        del ctx
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in self._places:
            return None
        module, name = self._places[cmd_name].split(":")
        command = getattr(import_module(f"ipvm_queue.cli.{module}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.group(cls=LazyGroup, places=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ipvm-queue")
def ipvm() -> None:
    """Look after the runs, receipts, blocks and keys of an IPVM queue.

    Jobs are submitted with `ipvm-submit`. Without a broker (--broker, IPVM_BROKER_URL or ipvm.toml) each command
    starts a stack of its own and stops it at its end; what the stack holds stays on disk.
    """


def main() -> NoReturn:
    """Run `ipvm`."""
    run(ipvm, "ipvm")
