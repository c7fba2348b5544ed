"""Results as other tasks need them: out of the blocks that hold the large ones, and out of their seals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.ipld import Link, decode_own
from ipvm_queue.ucan import read
from ipvm_queue.ucan.secret import is_secret
from ipvm_queue.worker.resolve import Known
from ipvm_queue.worker.sealing import SecretLostError

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Plan
    from ipvm_queue.store import DirectoryBlocks, Record, State
    from ipvm_queue.worker.attest import Scribe


class Results:
    """The Results of one run, and those of others that it awaits. Every method raises `BlockError` for a lost one."""

    def __init__(self, blocks: DirectoryBlocks, plan: Plan, scribe: Scribe) -> None:
        self._blocks = blocks
        self._plan = plan
        self._scribe = scribe

    def inline(self, out: Value) -> dict[str, Value]:
        """Return a Result, fetched where it stands in a block."""
        return decode_own(self._blocks.get(out)) if isinstance(out, Link) else out  # type: ignore[no-any-return]

    def of_record(self, number: int, record: Record) -> Known:
        """Return what a node of this run came to."""
        out, sealing = self.inline(record.result), self._scribe.sealing
        if sealing is not None:  # else no node is looked up: each may be one more page of the plan to fetch
            node = self._plan.node(number)
            if sealing.covers(node, record.state):
                out = sealing.open(node.task, out).out
        return Known(record.receipt, record.state, out, record.lasting)

    def of_receipt(self, data: bytes) -> Known:
        """Return what a Task of another run came to; raises `SecretLostError` for a secret."""
        receipt = read(data, trusted=True)
        if is_secret(receipt.meta):
            raise SecretLostError("secrets do not leave their run")
        result = self.inline(receipt.out)
        state: State = "ok" if "ok" in result else "error"
        return Known(receipt.link, state, result, lasting=state == "ok")  # an error of elsewhere may be of that moment
