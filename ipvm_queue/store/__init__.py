"""Where bytes live: blocks, receipts, runs and workers, in Redis."""

from ipvm_queue.store.acl import User, Users
from ipvm_queue.store.acts import Act, ActState, Claim, NotDurableError, RedisActs, Wanted
from ipvm_queue.store.blocks import Blocks, DirectoryBlocks, MemoryBlocks, PinQuotaError, RedisBlocks
from ipvm_queue.store.connection import Credentials, Current, connect, hide_password, without_user
from ipvm_queue.store.further import Note, Place, RedisFurther
from ipvm_queue.store.inbox import Inbox
from ipvm_queue.store.keys import Keys
from ipvm_queue.store.leases import Lease, Leases
from ipvm_queue.store.marks import Marks
from ipvm_queue.store.receipts import Entry, RedisReceipts
from ipvm_queue.store.records import FAILED, Record, State
from ipvm_queue.store.registry import BEAT_SECONDS, Registry, Worker
from ipvm_queue.store.replays import RedisReplays
from ipvm_queue.store.revocations import Revocations
from ipvm_queue.store.run_keys import RunKey, RunKeys
from ipvm_queue.store.runs import RedisRuns
from ipvm_queue.store.transitions import (
    Answer,
    Ask,
    Attestation,
    ByRequest,
    Grant,
    Header,
    Known,
    NewRun,
    Opened,
    Opening,
    Papers,
    Progress,
    Repeated,
    Settlement,
)

__all__ = [
    "BEAT_SECONDS",
    "FAILED",
    "Act",
    "ActState",
    "Answer",
    "Ask",
    "Attestation",
    "Blocks",
    "ByRequest",
    "Claim",
    "Credentials",
    "Current",
    "DirectoryBlocks",
    "Entry",
    "Grant",
    "Header",
    "Inbox",
    "Keys",
    "Known",
    "Lease",
    "Leases",
    "Marks",
    "MemoryBlocks",
    "NewRun",
    "NotDurableError",
    "Note",
    "Opened",
    "Opening",
    "Papers",
    "PinQuotaError",
    "Place",
    "Progress",
    "Record",
    "RedisActs",
    "RedisBlocks",
    "RedisFurther",
    "RedisReceipts",
    "RedisReplays",
    "RedisRuns",
    "Registry",
    "Repeated",
    "Revocations",
    "RunKey",
    "RunKeys",
    "Settlement",
    "State",
    "User",
    "Users",
    "Wanted",
    "Worker",
    "connect",
    "hide_password",
    "without_user",
]
