"""Content-addressed blocks: bytes by CID, verified on every read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ipvm_queue.cache import MAX_BYTES, Cache
from ipvm_queue.errors import BlockError, LimitError, LostBlockError, MissingBlockError
from ipvm_queue.ipld import RAW, Link
from ipvm_queue.store import scripts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

MAX_BLOCK_BYTES: Final = 64 * 1024 * 1024
_BATCH: Final = 256


class PinQuotaError(LimitError):
    """Raised when more bytes would be pinned for somebody than may be."""

    code = "pin-quota"


class Put(NamedTuple):
    """A block about to be stored: its key, its bytes, and how long it stays (ms; None: for ever)."""

    key: str
    data: bytes
    lifetime: int | None


class Blocks(Protocol):
    """Where blocks live."""

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes; raises `MissingBlockError`, or `BlockError` when they do not hash to the CID."""

    def put_many(self, blocks: Mapping[Link, bytes]) -> None:
        """Store blocks under the CIDs given, which must be theirs."""

    def size(self, cid: Link) -> int | None:
        """Return a block's length in bytes, None where it is not stored."""


class MemoryBlocks:
    """Blocks in a dict."""

    def __init__(self) -> None:
        self._blocks: dict[Link, bytes] = {}

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes."""
        return verified(cid, self._blocks.get(cid))

    def put_many(self, blocks: Mapping[Link, bytes]) -> None:
        """Store blocks."""
        self._blocks.update((cid, verified(cid, data)) for cid, data in blocks.items())

    def pin(self, blocks: Mapping[Link, bytes], owner: str = "") -> None:
        """Store blocks: here none lapse, and nobody counts."""
        del owner
        self.put_many(blocks)

    def put(self, data: bytes, codec: int = RAW) -> Link:
        """Store a block and return its CID."""
        cid = Link.of(data, codec)
        self.put_many({cid: data})
        return cid

    def size(self, cid: Link) -> int | None:
        """Return a block's length."""
        data = self._blocks.get(cid)
        return None if data is None else len(data)


class RedisBlocks:
    """Blocks in Redis, with a lifetime in seconds (None: for ever)."""

    def __init__(self, redis: Broker, keys: Keys, lifetime: float | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._lifetime = None if lifetime is None else int(lifetime * 1000)
        self._pin = redis.register_script(scripts.source("pin"))

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes; a pinned one that is not there raises `LostBlockError`."""
        data = self._redis.get(self._keys.block(cid))
        return verified(cid, self._pinned(cid) if data is None else data)

    def _pinned(self, cid: Link) -> bytes | None:
        data: bytes | None = self._redis.get(self._keys.pin(cid))
        if data is None and self._redis.exists(self._keys.pinned(cid)):
            raise LostBlockError(
                f"block {cid} was pinned and is not in the store any more",
                hint="the broker has lost it: resolve it again, and look at its maxmemory-policy",
                cid=str(cid),
            )
        return data

    def pin(self, blocks: Mapping[Link, bytes], owner: str = "", most: int | None = None) -> None:
        """Store blocks for ever, beside any that lapse, and remember that they were promised, and to whom.

        They count for `owner`, a DID, unless they are pinned already; `most` bytes may. Raises `PinQuotaError` where it
        would be more: then none is pinned.
        """
        pending = [(cid.key, verified(cid, data)) for cid, data in blocks.items()]
        pinned: list[bytes] = []
        for start in range(0, len(pending), _BATCH):
            words = [word for pair in pending[start : start + _BATCH] for word in pair]
            done, *rest = self._pins("pin", owner, -1 if most is None else most, *words)
            if not done:
                used, more = rest
                if pinned:
                    self._pins("unpin", *pinned)
                raise PinQuotaError(
                    f"{used} bytes are pinned here for {owner}, and with {more} more it would be above {most}",
                    hint="the operator lets go of blocks with: ipvm block unpin CID",
                )
            pinned += rest[0]

    def unpin(self, cids: Iterable[Link]) -> list[Link]:
        """Take promises back; return the blocks that were pinned. Their copies that lapse stay as long as they do."""
        wanted = {cid.key: cid for cid in cids}
        _, found = self._pins("unpin", *wanted)
        return [wanted[key.decode()] for key in found]

    def _pins(self, *words: Any) -> list[Any]:
        answer: list[Any] = self._pin(keys=[self._keys.pins], args=[self._keys.prefix, "", *words])
        return answer

    def get_many(self, cids: list[Link]) -> list[bytes]:
        """Return several blocks' bytes in one round trip a few hundred."""
        return [verified(cid, data) for cid, data in zip(cids, self.find_many(cids), strict=True)]

    def find_many(self, cids: list[Link]) -> list[bytes | None]:
        """Return several blocks' bytes, not yet verified, and None for those that are not stored."""
        found: list[bytes | None] = []
        for start in range(0, len(cids), _BATCH):
            found += self._redis.mget([self._keys.block(cid) for cid in cids[start : start + _BATCH]])
        return found

    def put(self, data: bytes, codec: int = RAW) -> Link:
        """Store a block and return its CID."""
        cid = Link.of(data, codec)
        self.put_many({cid: data})
        return cid

    def put_many(self, blocks: Mapping[Link, bytes]) -> None:
        """Store blocks."""
        pending = self.puts(blocks)
        for start in range(0, len(pending), _BATCH):
            pipeline = self._redis.pipeline(transaction=False)
            for key, data, lifetime in pending[start : start + _BATCH]:
                pipeline.set(key, data, px=lifetime)
            pipeline.execute()

    def puts(self, blocks: Mapping[Link, bytes]) -> list[Put]:
        """Return what storing blocks sets."""
        return [Put(self._keys.block(cid), verified(cid, data), self._lifetime) for cid, data in blocks.items()]

    def size(self, cid: Link) -> int | None:
        """Return a block's length."""
        for key in (self._keys.block(cid), self._keys.pin(cid)):
            length = int(self._redis.strlen(key))
            if length or self._redis.exists(key):
                return length
        return None


class DirectoryBlocks:
    """A directory in front of other blocks: what was read or written once is not fetched again.

    Only blocks of `smallest` bytes or more are kept (modules, images), and at most `most` bytes of them: what was read
    longest ago goes. A file that is damaged is read anew from behind.
    """

    def __init__(self, path: Path, behind: Blocks, smallest: int = 4096, most: int = MAX_BYTES) -> None:
        self._path = path
        self._behind = behind
        self._smallest = smallest
        self._cache = Cache(path, most=most)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes."""
        file = self._path / cid.key
        try:
            data = file.read_bytes()
            if cid.matches(data):
                self._cache.used(file)
                return data
            file.unlink(missing_ok=True)
        except OSError:
            pass  # not there, or unreadable: the store behind has it
        data = self._behind.get(cid)
        self._keep(cid, data)
        return data

    def put_many(self, blocks: Mapping[Link, bytes]) -> None:
        """Store blocks behind and keep the large ones."""
        self._behind.put_many(blocks)
        for cid, data in blocks.items():
            self._keep(cid, data)

    def size(self, cid: Link) -> int | None:
        """Return a block's length as the store behind knows it."""
        return self._behind.size(cid)

    def _keep(self, cid: Link, data: bytes) -> None:
        if len(data) < self._smallest:
            return
        file, partial = self._path / cid.key, self._path / f".{cid.key}.{os.getpid()}"
        try:
            partial.write_bytes(data)
            partial.replace(file)
            self._cache.added(file, len(data))
        except OSError:
            partial.unlink(missing_ok=True)  # a full disk costs speed, never the block


def verified(cid: Link, data: bytes | None) -> bytes:
    """Return `data` if it is there and hashes to `cid`."""
    if data is None:
        raise MissingBlockError(
            f"block {cid} is not in the store", hint="add it with: ipvm block put FILE", cid=str(cid)
        )
    if len(data) > MAX_BLOCK_BYTES:
        raise LimitError(f"block {cid} has {len(data)} bytes, at most {MAX_BLOCK_BYTES} are kept")
    if not cid.matches(data):
        raise BlockError(f"the bytes stored as {cid} do not hash to it", hint="put the block again", cid=str(cid))
    return data
