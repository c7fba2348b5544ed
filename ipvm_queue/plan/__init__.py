"""Plans: a workflow as numbered nodes, its Celery canvas, and its pictures."""

from ipvm_queue.plan.compiler import Compiled, compile_plan
from ipvm_queue.plan.lookup import looked_up
from ipvm_queue.plan.model import COMMIT, EFFECT_QUEUE, WASM_QUEUE, Bounds, Node, Plan, load

__all__ = [
    "COMMIT",
    "EFFECT_QUEUE",
    "WASM_QUEUE",
    "Bounds",
    "Compiled",
    "Node",
    "Plan",
    "compile_plan",
    "load",
    "looked_up",
]
