"""Where bytes live: blocks, receipts, runs and workers, in Redis."""

from ipvm_queue.store.blocks import Blocks, DirectoryBlocks, MemoryBlocks, RedisBlocks
from ipvm_queue.store.connection import connect, hide_password
from ipvm_queue.store.keys import Keys
from ipvm_queue.store.receipts import Entry, RedisReceipts
from ipvm_queue.store.records import Record, State
from ipvm_queue.store.registry import BEAT_SECONDS, Registry, Worker
from ipvm_queue.store.runs import RedisRuns
from ipvm_queue.store.transitions import (
    Answer,
    Ask,
    Attestation,
    Grant,
    Header,
    Opening,
    Papers,
    Progress,
    Settlement,
)

__all__ = [
    "BEAT_SECONDS",
    "Answer",
    "Ask",
    "Attestation",
    "Blocks",
    "DirectoryBlocks",
    "Entry",
    "Grant",
    "Header",
    "Keys",
    "MemoryBlocks",
    "Opening",
    "Papers",
    "Progress",
    "Record",
    "RedisBlocks",
    "RedisReceipts",
    "RedisRuns",
    "Registry",
    "Settlement",
    "State",
    "Worker",
    "connect",
    "hide_password",
]
