"""Gathering a bundle: from receipts down to everything that they hang on, as the store has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ipvm_queue.errors import LimitError, MissingBlockError, UsageError
from ipvm_queue.ipld import Link, count_items, decode
from ipvm_queue.queue.beneath import beneath
from ipvm_queue.queue.members import MAX_BYTES, MAX_MEMBERS, MAX_VALUES
from ipvm_queue.ucan import Container, Delegation, Invocation, Token, read
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.ucan.token import DELEGATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Blocks(Protocol):
    """Where blocks are."""

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes; raises `MissingBlockError`."""


class Words(Protocol):
    """What a store has been told beside a receipt."""

    def attestation(self, receipt: Link) -> Link | None:
        """Return the CID of the token (13s) that says a receipt in the service's name."""

    def delegations(self, receipt: Link) -> Link | None:
        """Return the CID of the container of delegations that a receipt of another queue came with."""


class Asked(NamedTuple):
    """A job that receipts were asked for with: the CIDs of its invocation (8) and of the container it came in."""

    invocation: Link
    sent: Link


def export(
    receipts: Iterable[Link],
    blocks: Blocks,
    words: Words,
    asked: Asked | None = None,
) -> bytes:
    """Return the bundle of some receipts, and of those that they rest on, as a container.

    `asked` is the job that they are the answer to, where another job's receipts stand in for its own. Raises
    `UsageError` for a receipt of a run that came through no gate, `MissingBlockError` where something has lapsed,
    `LimitError` for a bundle too large.
    """
    gathering = _Gathering(blocks, words)
    ahead = list(receipts)
    for link in ahead:  # it grows while it is walked
        if link not in gathering.members:
            ahead.extend(gathering.receipt(link))
    if asked is not None:
        gathering.sent(asked.sent, [asked.invocation])
    return Container(gathering.members).write()


class _Gathering:
    def __init__(self, blocks: Blocks, words: Words) -> None:
        self.members: dict[Link, bytes] = {}
        self._blocks = blocks
        self._words = words
        self._lets: Mapping[Link, bytes] = {}
        self._size = 0
        self._values = 0

    def receipt(self, link: Link) -> list[Link]:
        """Take a receipt in with what it hangs on; return those that it rests on."""
        receipt = read(self._take(link), trusted=True)
        said, lets = self._words.attestation(link), self._words.delegations(link)
        self._lets = {} if lets is None else self._read(lets)
        if said is None or receipt.cause is None:
            raise UsageError(
                f"the receipt {link} is of a run that came through no gate: nothing says it in a service's name",
                hint="run the job again: ipvm memo forget TASK lets it be computed anew",
            )
        self._invocation(said)
        if receipt.cause not in self.members:
            self._hand_out(receipt.cause)
        if isinstance(receipt.out, Link):
            self._take(receipt.out)
        under = receipt.meta.get("under", [])
        inputs = decode(self._take(under)) if isinstance(under, Link) else under
        below = beneath(receipt.meta)
        if below is None:
            return [*inputs]
        self._sent(below.sent, [below.job])
        return [*inputs, *below.receipts]

    def sent(self, container: Link, wanted: list[Link]) -> None:
        """Take in some of the invocations that were sent to the gate together, their document, and the delegations."""
        tokens = Container.read(self._blocks.get(container)).tokens
        for link in wanted:
            invocation = Invocation.parse(self._add(link, tokens[link]))
            for proof in invocation.prf:
                self._add(proof, tokens[proof])
            if "job" in invocation.args:
                self._document(invocation)
                self._add_all(tokens, invocation.sub)

    def _add_all(self, tokens: Mapping[Link, bytes], subject: str) -> None:
        for link, data in tokens.items():
            if Token.open(data).kind == DELEGATION:
                about = Delegation.parse(data).sub
                if about is None or is_same(about, subject):
                    self._add(link, data)

    def _read(self, container: Link) -> Mapping[Link, bytes]:
        return Container.read(self._blocks.get(container), max_bytes=MAX_BYTES, max_tokens=MAX_MEMBERS).tokens

    def _hand_out(self, link: Link) -> None:
        receipt = read(self._take(link), trusted=True)
        match receipt.out, receipt.meta.get("sent"):
            case {"ok": {"inv": Link() as job, "push": Link() as push, "pop": Link() as pop}}, Link() as sent:
                self._invocation(pop)
                self._sent(sent, [job, push])
            case _:
                raise UsageError(f"{link} is no hand-out that says what was sent with the job")

    def _sent(self, container: Link, wanted: list[Link]) -> None:
        try:
            self.sent(container, wanted)
        except MissingBlockError:  # of another queue's receipt the members are here, each by itself
            for link in wanted:
                invocation = self._invocation(link)
                if "job" in invocation.args:
                    self._document(invocation)
                    self._add_all(self._lets, invocation.sub)

    def _invocation(self, link: Link) -> Invocation:
        found = Invocation.parse(self._take(link))
        for proof in found.prf:
            self._take(proof)
        return found

    def _document(self, job: Invocation) -> None:
        document = job.args.get("job")
        if isinstance(document, Link):
            self._take(document)

    def _take(self, link: Link) -> bytes:
        return self.members.get(link) or self._add(link, self._blocks.get(link))

    def _add(self, link: Link, data: bytes) -> bytes:
        if link not in self.members:
            self.members[link] = data
            self._size += len(data)
            self._values += count_items(data)
            if self._size > MAX_BYTES or len(self.members) > MAX_MEMBERS or self._values > MAX_VALUES:
                message = f"a bundle has at most {MAX_BYTES} bytes, {MAX_MEMBERS} members and {MAX_VALUES} values"
                raise LimitError(message)
        return data
