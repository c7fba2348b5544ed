"""A worker in one process whose broker fails at a bad moment: it works on one run and prints what that came to.

`python hiccup.py RUN`. While its second node runs, settling the first one fails, as when the broker is away.
"""

import sys
from contextlib import suppress

from ipvm_queue.errors import UnavailableError
from ipvm_queue.plan import WASM_QUEUE
from ipvm_queue.worker import make_app
from ipvm_queue.worker.announce import Announcer
from ipvm_queue.worker.app import settings
from ipvm_queue.worker.process import Process
from ipvm_queue.worker.standing import Door, broker
from ipvm_queue.worker.tools import Tools

NAME = "hiccup@here"
configured = settings()
app = make_app([WASM_QUEUE])
Door(configured, str(configured.broker_url)).pop(NAME, [WASM_QUEUE], 1)
tools = Tools.make(configured, broker(app, kept=True), NAME, Announcer(app, NAME), waiting=broker(app))
worker = Process(tools, interval=3600)
execute, settle, runs = tools.wasm.run, tools.runs.settle, []


def away(*_args, **_kwargs):
    """Settle nothing."""
    raise UnavailableError("the broker is away")


def run(*args):
    """Run a node; before the second one ends the leases are kept, and what is done would be settled."""
    runs.append(args)
    if len(runs) == 2:
        tools.runs.settle = away
        with suppress(UnavailableError):
            worker._shift.beat()
        tools.runs.settle = settle
    return execute(*args)


tools.wasm.run = run
worker.work(sys.argv[1], 0, WASM_QUEUE)
sys.stdout.write(f"{len(runs)}\n")
