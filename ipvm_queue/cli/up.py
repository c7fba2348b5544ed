"""`ipvm up`: an embedded stack that stays."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.words import say
from ipvm_queue.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from ipvm_queue.embedded import Embedded
    from ipvm_queue.embedded.group import Group
    from ipvm_queue.queue import Agents
    from ipvm_queue.settings import Settings


@click.command()
@click.option("--flower/--no-flower", default=None, help="With Flower, or without; default: if it is installed.")
@click.option("--port", type=click.IntRange(1, 65535), help="Flower's port; default: 5555, or a free one.")
@options.as_json
def up(port: int | None, *, flower: bool | None, as_json: bool) -> None:
    """Keep Valkey, gate, workers and Flower up until Ctrl-C.

    Other commands of yours find the stack by themselves. What it holds stays on disk, and it listens on the loopback
    only. Nothing of it is left running when this command ends, whatever ends it.

    \b
    Example:
      ipvm up
    """  # noqa: D301 - \b keeps click from filling the lines
    from ipvm_queue.embedded import Embedded
    from ipvm_queue.embedded.flower import choose_port, is_installed, start
    from ipvm_queue.queue import establish

    settings = options.settings()
    if flower and not is_installed():
        raise UsageError("Flower is not installed", hint="pip install 'ipvm-queue[flower]'")
    if settings.broker_url is not None:
        source = settings.source("broker_url")
        say(f"other commands use {settings.shown('broker_url')} ({source}), and will not find this stack")
    number = choose_port(port) if (is_installed() if flower is None else flower) else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as held:
        try:
            stack = held.enter_context(Embedded.join(settings))
            shown = None
            if number is not None:
                shown = start(stack.broker_url, settings.queue, stack.directory, stack.logs, number)
                held.callback(shown.stop, 1.0)
            address = None if number is None else f"http://127.0.0.1:{number}"
            _tell(stack, settings, address, establish(settings), as_json=as_json)
            _stay(stack, shown)
        except KeyboardInterrupt:
            say("\nstopping")


def _tell(stack: Embedded, settings: Settings, flower: str | None, agents: Agents, *, as_json: bool) -> None:
    if as_json:
        answer({"broker_url": stack.broker_url, "flower": flower, "logs": str(stack.logs), **agents._asdict()})
        sys.stdout.flush()
        return
    line(f"broker   {stack.broker_url}")
    line(f"flower   {flower or 'none'}")
    line(f"logs     {stack.logs}")
    for name, did in agents._asdict().items():
        line(f"{name:8} {did}")
    if settings.broker_url is None:
        say("submit with: ipvm-submit job.json (it finds this stack by itself)")
    else:
        say(f"submit with: ipvm-submit --broker {stack.broker_url} job.json")
    say(f"another program: IPVM_BROKER_URL={stack.broker_url}")
    say("stop with Ctrl-C")


def _stay(stack: Embedded, flower: Group | None) -> None:
    """Return never, but by an interrupt, or an error if the stack ends by itself."""
    while not stack.ended(1.0):
        if flower is not None and not flower.alive:
            say(f"Flower ended: {flower.tail()}")
            flower = None
    raise UnavailableError("the stack has ended by itself", hint=f"its logs are in {stack.logs}")
