"""What a run starts from, for tests that open one by hand."""

from __future__ import annotations

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.plan.canvas import message
from ipvm_queue.store import Opening

PLAN = Link.of(b"plan", DAG_CBOR)


def opening(nodes: int = 1, plan: Link = PLAN, **changes) -> Opening:
    """Return a run of nodes on one queue, all of them ready, with any field changed."""
    given = {
        "plan": plan,
        "document": plan,
        "count": nodes,
        "requestor": "did:key:z",
        "messages": {"q": message("q", plan, 1.0)},
        "settled": {},
        "arrived": {},
        "ready": {0: list(range(nodes))},
        "failed": 0,
        "first_failed": None,
        "catch": None,
    }
    return Opening(**{**given, **changes})
