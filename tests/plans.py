"""Small plans, compiled for a queue that is nowhere."""

from __future__ import annotations

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan import Plan, compile_plan
from ipvm_queue.workflow import read

QUEUE = "did:key:z6Mkqueue"
MODULE = Link.of(b"a module")
DOCUMENT = Link.of(b"a document", DAG_CBOR)


def job(*args, func="f", **more):
    """Return a Wasm job."""
    return {"type": "wasm/1.0", "with": str(MODULE), "func": func, "input": list(args), **more}


def plan_of(jobs, **header) -> Plan:
    """Return the plan of a map of jobs."""
    document = {"header": header, "jobs": jobs} if header else jobs
    return compile_plan(read(document), QUEUE, DOCUMENT).plan


DIAMOND = {
    "top": job(1),
    "left": job({"from": "top"}),
    "right": job({"from": "top"}, 2),
    "end": job({"from": "left"}, {"from": "right"}),
    "tail": job({"from": "end"}),
}
