"""A bundle of a task that had a further job run, made by hand, each of whose parts a test may make otherwise."""

from __future__ import annotations

import json

from bundles import LONG, OTHER_WORKER, Q, S, U, W, World, dlg, inv, task
from principals import NOW

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.queue.beneath import nonce_for
from ipvm_queue.ucan import Container, Invocation, issue
from ipvm_queue.workflow import read, sign

FURTHER = {"b": task(1), "c": task({"from": "b"}, 2)}
VALUES = {"b": "b is done", "c": "c is done"}
CONTAINED = Link.of(b"the container that it was sent in")


def document(jobs, signer, parent):
    """Return a signed job as it stands in a block."""
    return sign(read({"header": {"nonce": b"n", "parent": parent}, "jobs": jobs}), signer).document


class Nested:
    """The user's job, in which `more` is a further job; that job, run by `worker` in the name of who `lets` it.

    `run` is the further job as it was run, `out` what the receipt of `more` says of it, `names` what it names beneath.
    """

    def __init__(
        self, run=None, out=None, lets=U, worker=W, names=None, at=NOW + 9, nonce=None, asks=FURTHER, parent=None
    ):
        more = {"type": "ipvm/effect", "with": "ipvm:queue", "do": "job/run", "inputs": {"job": json.dumps(asks)}}
        self.above = World({"more": more})
        ran = self.above.receipts["more"].args["ran"]
        nonce = nonce_for(self.above.tokens["8"].link, ran) if nonce is None else nonce
        jobs = FURTHER if run is None else run
        self.document = document(jobs, worker, parent or Link.of(self.above.document, DAG_CBOR))
        link = Link.of(self.document, DAG_CBOR)
        may = [dlg(S, lets, S, "/"), dlg(lets, worker, S, "/")] if lets else [dlg(S, worker, S, "/")]
        let = [dlg(Q, U, Q, "/queue/push"), dlg(U, worker, Q, "/queue/push")]
        self.below = World(
            jobs,
            worker=OTHER_WORKER,
            user=worker,
            **{
                "8": lambda _: inv(worker, S, "/ipvm/run", {"job": link}, *may, expiration=LONG, nonce=nonce),
                "9": lambda t: inv(worker, Q, "/queue/push", {"inv": t["8"].link}, *let),
            },
        )
        self.extra = {"may": may[0].data, "may too": may[-1].data, "let": let[0].data, "let too": let[1].data}
        receipts = [each.link for each in self.below.receipts.values()]
        beneath = {"inv": self.below.tokens["8"].link, "sent": CONTAINED, "receipts": receipts}
        meta = {"beneath": beneath | (names or {})} if names != {} else {}
        cause = self.above.tokens["11"].link
        found, data = issue(W, ran, {"ok": VALUES} if out is None else out, meta, at, cause=cause)
        self.above.receipts["more"] = Invocation.parse(data)
        self.above.words["more"] = self.above.say("/job/run", [ran], [found])

    def members(self, *, without=(), instead=None):
        """Return all members by name: those of the further job have a stroke, `8'`, `13r.b'`."""
        found = self.above.members(label="z") | self.extra
        below = self.below.members(label="z", without=("1", "7"))  # the user's delegations are in their place
        found |= {f"{name}'": data for name, data in below.items()} | {"document'": self.document}
        return {name: data for name, data in (found | (instead or {})).items() if name not in without}

    def bundle(self, **changes):
        """Return the bundle."""
        return Container.of(self.members(**changes).values()).write()
