"""Where bytes live: blocks, receipts, runs and workers, in Redis."""

from ipvm_queue.store.blocks import Blocks, DirectoryBlocks, MemoryBlocks, RedisBlocks
from ipvm_queue.store.connection import connect, hide_password
from ipvm_queue.store.keys import Keys
from ipvm_queue.store.receipts import Entry, RedisReceipts
from ipvm_queue.store.records import Record, State
from ipvm_queue.store.registry import BEAT_SECONDS, Registry, Worker
from ipvm_queue.store.runs import Answer, Ask, Grant, Header, Opening, Progress, RedisRuns, Settlement

__all__ = [
    "BEAT_SECONDS",
    "Answer",
    "Ask",
    "Blocks",
    "DirectoryBlocks",
    "Entry",
    "Grant",
    "Header",
    "Keys",
    "MemoryBlocks",
    "Opening",
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
