"""Running a pure Task again, here, to see whether its receipt holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.cli.results import attach
from ipvm_queue.errors import UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.wasm import Limits
from ipvm_queue.wasm.executor import Executor
from ipvm_queue.worker.resolve import Known, Resolved, prepare

if TYPE_CHECKING:
    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node
    from ipvm_queue.run import Run
    from ipvm_queue.ucan import Receipt


def run_again(client: Client, run: str, receipt: Receipt) -> Value:
    """Return the Result of the Task of `receipt`, run in this process with its inputs from `run`.

    Raises `UsageError` where the run has no such Task, or one that is not pure.
    """
    found = attach(client, run)
    node = _node(found, receipt)
    args = _arguments(client, found, node)
    if not isinstance(args, Resolved) or (node.task if node.veiled else args.task) != receipt.ran:
        raise UsageError(f"the inputs of {node.label!r} in run {found.id} are not those of {receipt.ran}")
    bounds = found.plan.bounds[node.bounds]
    limits = Limits(gas=bounds.gas, memory=args.args.get("mem", bounds.memory), time=bounds.time)
    executor = Executor(client.blocks.get, client.settings.cache_dir / "modules")
    try:
        return executor.run(args.args["mod"], args.args["fun"], args.args["params"], limits).out
    finally:
        executor.close()


def _node(run: Run, receipt: Receipt) -> Node:
    by_label = {node.label: node for node in list(run.plan)[: run.plan.count]}
    for label, result in run.results().items():
        if result.receipt == receipt.link or result.task == receipt.ran:
            if not by_label[label].pure:
                raise UsageError(f"task {label!r} is not pure, it cannot be run again")
            return by_label[label]
    raise UsageError(f"run {run.id} has no task with the receipt {receipt.link}", hint="ipvm run show names them")


def _arguments(client: Client, run: Run, node: Node) -> object:
    results = run.results()
    known = {}
    for number in node.predecessors:
        each = results[run.plan.node(number).label].reveal()
        if isinstance(each.receipt, Link) and each.out is not None:
            known[number] = Known(each.receipt, each.state, each.out, lasting=True)  # type: ignore[arg-type]
    return prepare(run.plan, node, known, _others(client, node.awaits))


def _others(client: Client, tasks: list[Link]) -> dict[Link, Known]:
    from ipvm_queue.cli.receipt import find, result

    found = {}
    for task in tasks:
        receipt = find(client, task)
        out = result(client, receipt)
        found[task] = Known(receipt.link, "ok" if "ok" in out else "error", out, lasting=True)
    return found
