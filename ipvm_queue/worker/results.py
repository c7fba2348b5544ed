"""Results as other tasks need them: out of the blocks that hold the large ones, and out of their seals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.errors import BlockError
from ipvm_queue.ipld import Link, decode_own, encode_own
from ipvm_queue.store import Record
from ipvm_queue.store.blocks import verified
from ipvm_queue.ucan import read
from ipvm_queue.ucan.secret import is_secret
from ipvm_queue.worker.resolve import Known
from ipvm_queue.worker.sealing import SecretLostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import Blocks, State
    from ipvm_queue.worker.attest import Scribe
    from ipvm_queue.worker.sealing import Vault


def inline(out: Value, blocks: Blocks) -> dict[str, Value]:
    """Return a Result, fetched where it stands in a block; raises `BlockError` for a lost one."""
    return decode_own(blocks.get(out)) if isinstance(out, Link) else out  # type: ignore[no-any-return]


class Results:
    """The Results of one run, and those of others that it awaits or takes for its own."""

    def __init__(self, blocks: Blocks, vault: Vault, plan: Plan, scribe: Scribe) -> None:
        self._blocks = blocks
        self._vault = vault
        self._plan = plan
        self._scribe = scribe

    def of_nodes(self, records: Mapping[int, Record | None]) -> tuple[dict[int, Known], dict[int, BlockError]]:
        """Return what nodes of this run came to, and why that of others is lost."""
        known: dict[int, Known] = {}
        gone: dict[int, BlockError] = {}
        for number, record in records.items():
            if record is None:
                raise RuntimeError(f"node {number} is waited for by one that was released, and has not settled")
            try:
                known[number] = self._of_record(number, record)
            except BlockError as error:
                gone[number] = error
        return known, gone

    def _of_record(self, number: int, record: Record) -> Known:
        out, sealing = inline(record.result, self._blocks), self._scribe.sealing
        if sealing is not None:  # else no node is looked up: each may be one more page of the plan to fetch
            node = self._plan.node(number)
            if sealing.covers(node, record.state):
                out = sealing.open(node.task, out).out
        return Known(record.receipt, record.state, out, record.lasting)

    def of_receipt(self, link: Link, data: bytes) -> Known:
        """Return what a Task of another run came to; raises `SecretLostError` for a secret, `BlockError` if lost."""
        receipt = read(verified(link, data), trusted=True)
        if is_secret(receipt.meta):
            raise SecretLostError("secrets do not leave their run")
        result = inline(receipt.out, self._blocks)
        state: State = "ok" if "ok" in result else "error"
        return Known(receipt.link, state, result, lasting=state == "ok")  # an error of elsewhere may be of that moment

    def stand_in(self, node: Node, data: bytes) -> tuple[Record, dict[str, Value]]:
        """Return the record of a node whose receipt was made before, and its Result; raises `BlockError` if lost."""
        receipt = read(data, trusted=True)
        result, out = inline(receipt.out, self._blocks), receipt.out
        if is_secret(receipt.meta):
            result, meta = self._vault.open_earlier(receipt, result)
            out = self._scribe.seal_again(node, result, meta)
        elif node.secret:  # an operator has said how it came out
            out = self._scribe.seal_again(node, result, receipt.meta)
        record = Record(receipt.link, "ok" if "ok" in result else "error", cached=True, out=encode_own(out))
        return record, result
