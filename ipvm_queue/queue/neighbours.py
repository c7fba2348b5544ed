"""Receipts of other queues, so that a task here may await a task there (UCAN Promise 1: across services).

A receipt is taken in with the bundle that it hangs on, which is verified as anybody would verify it offline. No trust
is needed beside that: whoever awaits a Task has named the queue or the service whose Task it is, for its DID is in the
CID. Bundles are handed over (`/queue/push/receipts`), or fetched from queues on the same broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipvm_queue.errors import IpvmError
from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.export import export
from ipvm_queue.queue.proofs import Proofs
from ipvm_queue.ucan import Container, InvalidClaimError, RevokedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ipvm_queue.queue.recompute import Registry
    from ipvm_queue.queue.verdict import Finding
    from ipvm_queue.store import RedisBlocks, RedisReceipts, RedisRuns

_REFUSED: Final = 4096


class Neighbour(NamedTuple):
    """Another queue on the same broker, as the gate reads it."""

    name: str
    runs: RedisRuns
    receipts: RedisReceipts
    blocks: RedisBlocks


class Proved(NamedTuple):
    """What a bundle holds that is good: its receipts, judged, and the tokens and blocks that they hang on, by CID."""

    findings: Sequence[Finding]
    members: Mapping[Link, bytes]


class Foreign:
    """Takes receipts of other queues into a store."""

    def __init__(
        self, runs: RedisRuns, blocks: RedisBlocks, registry: Registry, neighbours: Sequence[Neighbour] = ()
    ) -> None:
        self._runs = runs
        self._blocks = blocks
        self._registry = registry
        self._neighbours = neighbours
        self._refused: dict[tuple[str, Link], None] = {}

    def judge(self, bundle: bytes, revoked: Collection[Link]) -> Proved:
        """Return what a bundle proves.

        Raises `MalformedError` for what is no bundle, `InvalidClaimError` with the first step that does not hold,
        `RevokedError` where it hangs on a delegation that has been revoked here: whether that was before or after, no
        bundle can say.
        """
        report = verify(bundle, self._registry)
        if report.flaw is not None or not report.findings:
            flaw = report.flaw
            said = "there is no receipt in it" if flaw is None else f"{flaw.name}: {flaw.verdict}: {flaw.detail}"
            raise InvalidClaimError(f"the bundle does not hold: {said}")
        members = Container.read(bundle, max_bytes=len(bundle), max_tokens=len(bundle)).tokens
        used = {link: data for link, data in members.items() if link not in report.unused}
        taken_back = next((link for link in used if link in revoked), None)
        if taken_back is not None:
            raise RevokedError(f"the bundle hangs on {taken_back}, which has been revoked", token=taken_back)
        return Proved(report.findings, used)

    def keep(self, proved: Proved) -> list[Link]:
        """Keep the receipts of a good bundle and wake who waits for them; return them.

        All that they hang on is kept, too: what comes to rest on them can be exported in its turn. One that says that
        a task was not run is kept for that alone.
        """
        lets = Container.of(each.data for each in Proofs(proved.members).delegations).write()
        self._blocks.put_many({**proved.members, Link.of(lets): lets})
        for found in proved.findings:
            if found.word is not None:
                self._runs.receive(found.receipt, found.word, Link.of(lets), list(found.addresses))
        return [found.receipt for found in proved.findings if found.addresses and not found.is_input]

    def look(self, revoked: Collection[Link]) -> list[Link]:
        """Fetch what is awaited here and has been done at a neighbour; return the receipts."""
        if not self._neighbours:
            return []
        awaited = self._runs.awaited()
        taken: list[Link] = []
        for neighbour in self._neighbours if awaited else ():
            entries = neighbour.receipts.of_tasks(awaited)
            for entry in entries:
                if entry is None or (neighbour.name, entry.receipt) in self._refused:
                    continue
                try:
                    bundle = export([entry.receipt], neighbour.blocks, neighbour.runs)
                    kept = self.keep(self.judge(bundle, revoked))
                except IpvmError:
                    kept = []
                if not kept:
                    self._refuse(neighbour.name, entry.receipt)
                taken += kept
        return taken

    def _refuse(self, name: str, receipt: Link) -> None:
        """Remember what will not become better by itself."""
        self._refused[name, receipt] = None
        if len(self._refused) > _REFUSED:
            del self._refused[next(iter(self._refused))]
