"""Every Redis key, in one place.

All share the prefix `{ipvm:<queue>}:`, whose braces keep a queue on one slot of a cluster, so that a script may touch
a run, its messages and its receipts in one step. CIDs stand in base16 (`f0171…`), the fastest to print. What each key
under a run means is said at the head of `scripts/prelude.lua`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link


RUN_DIGITS: Final = 16  # of a run's id; scripts know it too


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue: str

    @property
    def prefix(self) -> str:
        """What every key of this queue begins with."""
        return f"{{ipvm:{self.queue}}}:"

    def list(self, name: str) -> str:
        """Return the LIST of the broker messages of a Celery queue."""
        return self.prefix + name

    def block(self, cid: Link) -> str:
        """Return the STRING of a block's bytes."""
        return f"{self.prefix}block:{cid.key}"

    def pin(self, cid: Link) -> str:
        """Return the STRING of a pinned block's bytes, which never lapses."""
        return f"{self.prefix}pin:{cid.key}"

    def pinned(self, cid: Link) -> str:
        """Return the STRING `size|owner` that says that a block was pinned: it stays when the block is lost."""
        return f"{self.pin(cid)}:promised"

    @property
    def pins(self) -> str:
        """HASH: DID → how many bytes are pinned for them."""
        return self.prefix + "pin:of"

    def mark(self, what: str) -> str:
        """Return the STRING of the highest number that was seen of something; `what` is its hash."""
        return f"{self.prefix}mark:{what}"

    def receipt(self, task: Link) -> str:
        """Return the STRING of `c` (reusable) or `n` (not), then the binary CID of the receipt of a Task."""
        return f"{self.prefix}receipt:{task.key}"

    def run(self, run: str) -> str:
        """Return the HASH of a run; its parts stand under this key with a suffix."""
        return f"{self.prefix}run:{run}"

    def handed(self, run: str) -> str:
        """Return the HASH of a run's hand-outs: CID of the pop (`/queue/pop`) → the queue's signed answer."""
        return f"{self.run(run)}:handed"

    def further(self, run: str) -> str:
        """Return the HASH of the further runs that a run's tasks have asked for: node|DID → the note of it."""
        return f"{self.run(run)}:further"

    def run_keys(self, run: str) -> str:
        """Return the HASH of the boxes that hold a run's key: DID of a reader ("" for the first readers) → box."""
        return f"{self.run(run)}:keys"

    @property
    def wanted_keys(self) -> str:
        """SET: run|DID of workers that ask for a run's key."""
        return self.prefix + "keys:wanted"

    def proxy(self, receipt: Link) -> str:
        """Return the STRING of the binary CID of the token by which a receipt is signed in the service's name.

        Of a receipt of another queue there is a second CID behind it: of the delegations that it came with.
        """
        return f"{self.prefix}proxy:{receipt.key}"

    @property
    def inbox(self) -> str:
        """LIST: ids of the requests that no gate has taken yet."""
        return self.prefix + "inbox"

    def request(self, request: str) -> str:
        """Return the HASH of a request: `c` → its container, CID → a block that it brings."""
        return f"{self.prefix}inbox:{request}"

    def reply(self, request: str) -> str:
        """Return the LIST of the one answer to a request."""
        return f"{self.prefix}reply:{request}"

    def at(self, gate: str) -> str:
        """Return the LIST of the requests that a gate has taken and not answered."""
        return f"{self.prefix}taken:{gate}"

    @property
    def gates(self) -> str:
        """SET: the gates that have served, each until another has taken over from it."""
        return self.prefix + "gates"

    def gate(self, gate: str) -> str:
        """Return the STRING that stands as long as a gate serves."""
        return f"{self.prefix}gate:{gate}"

    def replay(self, key: bytes) -> str:
        """Return the STRING of the request that brought an invocation; `key` is the hash of what was signed."""
        return f"{self.prefix}replay:{key.hex()}"

    @property
    def leases(self) -> str:
        """HASH: CID of a pop → the worker's lease, in DAG-CBOR."""
        return self.prefix + "leases"

    @property
    def revoked(self) -> str:
        """HASH: CID of a revoked delegation → when it would have lapsed anyway (Unix s), or nothing for never.

        Beside them `version` → another text each time that one is added.
        """
        return self.prefix + "revoked"

    @property
    def awaited(self) -> str:
        """SET: what has waiters: CIDs of Tasks, acts, runs and locks."""
        return self.prefix + "awaited"

    @property
    def runs(self) -> str:
        """ZSET: ids of all runs that are remembered, scored by when they were opened (ms)."""
        return self.prefix + "runs"

    @property
    def live(self) -> str:
        """SET: ids of the runs that are not over."""
        return self.prefix + "live"

    @property
    def workers(self) -> str:
        """HASH: a live worker's name → what it says of itself, in DAG-CBOR."""
        return self.prefix + "workers"

    def slots(self, name: str) -> str:
        """Return the STRING of how many processes consume a Celery queue; lapses when they stop saying so."""
        return f"{self.prefix}slots:{self.list(name)}"

    @property
    def sweep(self) -> str:
        """STRING: held for a moment by the worker that repairs runs."""
        return self.prefix + "sweep"

    def act(self, act: str) -> str:
        """Return the HASH of an act, a destructive effect that is done once; see `scripts/act_claim.lua`."""
        return f"{self.prefix}act:{act}"

    @property
    def acts(self) -> str:
        """ZSET: all acts, scored by when they were first claimed (ms)."""
        return self.prefix + "acts"

    @property
    def doubts(self) -> str:
        """ZSET: the acts that are in doubt, scored by when that was found (ms)."""
        return self.prefix + "doubts"

    @property
    def acts_by_task(self) -> str:
        """HASH: a Task's CID → the act that it stands for."""
        return self.prefix + "acts:of"

    @property
    def subject(self) -> str:
        """STRING: the DID of the queue."""
        return self.prefix + "did"
