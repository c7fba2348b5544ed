"""Small plans, compiled for a queue that is nowhere."""

from __future__ import annotations

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan import Plan, compile_plan
from ipvm_queue.workflow import read
from ipvm_queue.workflow.safety import Safety

QUEUE = "did:key:z6Mkqueue"
MODULE = Link.of(b"a module")
DOCUMENT = Link.of(b"a document", DAG_CBOR)


def job(*args, func="f", **more):
    """Return a Wasm job."""
    return {"type": "wasm/1.0", "with": str(MODULE), "func": func, "input": list(args), **more}


def by_ability(task) -> Safety:
    """Return the class of a task, as a small registry would: reading asks, all else acts."""
    if task.kind == "wasm":
        return Safety.PURE
    return Safety.QUERY if task.ability == "crud/read" else Safety.COMMAND


def effect(ability, uri="test:x", **fields):
    """Return an effect job."""
    return {"type": "ipvm/effect", "with": uri, "do": ability, **fields}


def plan_of(jobs, *, seed=b"", **header) -> Plan:
    """Return the plan of a map of jobs."""
    document = {"header": header, "jobs": jobs} if header else jobs
    return compile_plan(read(document), QUEUE, DOCUMENT, safety=by_ability, seed=seed).plan


DIAMOND = {
    "top": job(1),
    "left": job({"from": "top"}),
    "right": job({"from": "top"}, 2),
    "end": job({"from": "left"}, {"from": "right"}),
    "tail": job({"from": "end"}),
}
