"""What handlers get from a worker, for tests that call them without one."""

from __future__ import annotations

import time
from types import MappingProxyType

from principals import principal

from ipvm_queue.effects import Call
from ipvm_queue.effects.schema import faults
from ipvm_queue.errors import MissingBlockError
from ipvm_queue.ipld import RAW, Link, cid_of
from ipvm_queue.settings import Settings


class Blocks:
    """Blocks in memory."""

    def __init__(self) -> None:
        self.held: dict[Link, bytes] = {}

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes."""
        try:
            return self.held[cid]
        except KeyError:
            raise MissingBlockError(f"the block {cid} is not in the store") from None

    def put(self, data: bytes, codec: int = RAW) -> Link:
        """Keep a block."""
        link = Link.of(data, codec)
        self.held[link] = data
        return link


class EffectContext:
    """A worker's settings, key and blocks, and the tables that an operator wrote."""

    def __init__(self, cache_dir, **tables) -> None:
        self.settings = Settings(cache_dir=cache_dir)
        self.blocks = Blocks()
        self.signer = principal("worker")
        self.tables = tables

    def config(self, table: str):
        """Return a table."""
        return MappingProxyType(self.tables.get(table, {}))

    def do(self, effect, uri, *, seconds=20.0, max_bytes=65536, attempt=1, task=None, call=None, **args):
        """Run an effect whose args are first checked as a worker does it; `call` are more fields of its `Call`."""
        assert list(faults(args, effect.schema)) == []
        task = task or cid_of([uri, "a task of its own"])
        deadline = time.monotonic() + seconds
        made = Call(uri, effect.ability, args, task, deadline, max_bytes, attempt)
        return effect.run(self, made._replace(**(call or {})))
