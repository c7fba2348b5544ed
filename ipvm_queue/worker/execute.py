"""Run one Task whose arguments are all there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import LimitError
from ipvm_queue.ipld import MAX_DEPTH, Link, check_depth
from ipvm_queue.wasm import Limits

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Bounds
    from ipvm_queue.worker.tools import Tools

MAX_RESULT_DEPTH: Final = MAX_DEPTH - 16  # a Result stands in a receipt, and in the arguments of others


class Done(NamedTuple):
    """How a Task came out: its Result, what the receipt's `meta` says of it, and whether its receipt may be reused."""

    out: dict[str, Value]
    meta: dict[str, Value]
    reusable: bool


def execute(tools: Tools, command: str, args: Value, bounds: Bounds) -> Done:
    """Run a Task (effects 3 "Pure Wasm"); whatever goes wrong in it is an error Result."""
    if command != "/wasm/run":
        return _refused("task/command", f"this worker does not know how to {command}", "runner")
    module, function, params = args["mod"], args["fun"], args["params"]
    if not isinstance(module, Link):
        return _refused("task/module", "`with` came out as something that is no link to a Wasm module", "requestor")
    if not isinstance(function, str):
        return _refused("task/function", "`func` came out as something that is no name of a function", "requestor")
    limits = Limits(gas=bounds.gas, memory=args.get("mem", bounds.memory), time=bounds.time)
    if limits.memory > tools.max_memory:
        wanted = f"the job wants {limits.memory} bytes of memory, and this worker gives at most {tools.max_memory}"
        return _refused("task/memory", wanted, "requestor")
    outcome = tools.wasm.run(module, function, params, limits)
    try:
        check_depth(outcome.out, max_depth=MAX_RESULT_DEPTH)
    except LimitError as error:
        return _refused("task/depth", f"the result is {error.message}", "guest")
    meta = {"engine": outcome.engine} | ({} if outcome.gas is None else {"gas": outcome.gas})
    return Done(outcome.out, meta, outcome.cacheable)


def _refused(code: str, message: str, fault: str) -> Done:
    return Done({"error": {"code": code, "message": message, "fault": fault}}, {}, reusable=False)
