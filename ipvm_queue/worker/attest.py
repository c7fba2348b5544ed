"""Signing what came out: the worker's own receipts (13r), and that the service stands by them (13s).

A receipt is the executor's own word, and names the hand-out by which it was entitled. The token beside it, an
invocation of `/ucan/proxy/sign` on the service by the worker, under the chain service → queue → worker, makes it the
service's: `args: {cmd, ran: [&Task…], rcpt: [&receipt…]}`. One token covers all receipts of one settlement that
answer the same command, so that a signature is not paid for each; every receipt in it still verifies alone.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.ipld import DAG_CBOR, Link, encode_own
from ipvm_queue.queue.requests import PROXY_SIGN
from ipvm_queue.store import Attestation, Record
from ipvm_queue.ucan import issue, seal
from ipvm_queue.ucan.receipt import INVOCATION_TAG
from ipvm_queue.worker.sealing import SecretLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node
    from ipvm_queue.store import RedisBlocks, Settlement, State
    from ipvm_queue.worker.authority import Mandate
    from ipvm_queue.worker.sealing import Sealing

INLINE: Final = 2048  # bytes of a Result that stay in its receipt; a larger one is a block of its own
_SEVERAL: Final = 32
_MOST: Final = 256  # receipts under one signature: a token has 64 KiB at most, and each takes 82 bytes


class _Made(NamedTuple):
    command: str
    ran: Link
    receipt: Link


class Scribe:
    """Signs a run's receipts.

    `mandate` is the one under which it does, given before anything is signed, `sealing` how secrets are sealed, None
    for a run without any.
    """

    mandate: Mandate

    def __init__(self, signer: Signer, blocks: RedisBlocks) -> None:
        self.sealing: Sealing | None = None
        self._signer = signer
        self._blocks = blocks
        self._made: dict[bytes, _Made] = {}  # by the receipt's CID

    def sign(self, node: Node, task: Link, out: Value, state: State, meta: dict[str, Value]) -> tuple[Record, bytes]:
        """Return a node's record, and its receipt (13r)."""
        if self.sealing is not None and self.sealing.covers(node, state):
            out, meta = self.sealing.seal(task, out, meta)
        out, encoded = self._placed(out)
        link, receipt = issue(self._signer, task, out, meta, int(time()), cause=self.mandate.cause)
        self._made[link.bytes] = _Made(node.command, task, link)
        return Record(link, state, cached=False, out=encoded), receipt

    def seal_again(self, node: Node, out: dict[str, Value], meta: dict[str, Value]) -> Value:
        """Return the Result of a receipt that was not made in this run as this run keeps it."""
        if self.sealing is None or not node.secret:
            raise SecretLostError("it is secret, and this run has no secrets")
        return self._placed(self.sealing.seal(node.task, out, meta)[0])[0]

    def _placed(self, out: Value) -> tuple[Value, bytes]:
        encoded = encode_own(out)
        if len(encoded) <= INLINE:
            return out, encoded
        link = self._blocks.put(encoded, DAG_CBOR)
        return link, encode_own(link)

    def under(self, receipts: tuple[Link, ...]) -> dict[str, Value]:
        """Return what a receipt says of those that its Task's args were taken from, so that a reader can walk down.

        `{"under": [&receipt…]}`; where they are many, the list is a block of its own and `under` its Link.
        """
        if not receipts:
            return {}
        if len(receipts) <= _SEVERAL:
            return {"under": [*receipts]}
        return {"under": self._blocks.put(encode_own([*receipts]), DAG_CBOR)}

    def attest(self, done: Sequence[Settlement]) -> list[Attestation]:
        """Return the tokens (13s) that say new receipts in the service's name, one for each command.

        Where the chain has policies each receipt gets a token of its own: they were looked at for its Task alone.
        """
        by_command: dict[str, list[_Made]] = {}
        for each in done:
            made = self._made.pop(each.record.receipt.bytes, None) if each.receipt else None
            if made is not None:
                by_command.setdefault(made.command, []).append(made)
        most = 1 if by_command and self.mandate.has_proxy_policies else _MOST
        return [
            self._attestation(self.mandate, command, some[start : start + most])
            for command, some in by_command.items()
            for start in range(0, len(some), most)
        ]

    def _attestation(self, mandate: Mandate, command: str, made: list[_Made]) -> Attestation:
        receipts = [each.receipt for each in made]
        payload: dict[str, Value] = {
            "iss": self._signer.did,
            "sub": mandate.service,
            "cmd": PROXY_SIGN,
            "args": {"cmd": command, "ran": [each.ran for each in made], "rcpt": [*receipts]},
            "prf": [proof.link for proof in mandate.proxies],
            "nonce": b"",
            "exp": None,
            "iat": int(time()),
        }
        data = seal(payload, INVOCATION_TAG, self._signer)
        return Attestation(Link.of(data, DAG_CBOR), data, receipts)
