"""Blocks: the same promises in memory, in Redis, and with a directory in front."""

from __future__ import annotations

import os

import pytest

from ipvm_queue.errors import BlockError, LostBlockError, MissingBlockError
from ipvm_queue.ipld import Link
from ipvm_queue.store import DirectoryBlocks, Keys, MemoryBlocks, PinQuotaError, RedisBlocks, connect

DATA = bytes(range(256)) * 32
CID = Link.of(DATA)


@pytest.fixture(params=["memory", "redis", "directory"])
def blocks(request, tmp_path):
    """Return an empty store of each kind."""
    if request.param == "memory":
        return MemoryBlocks()
    if request.param == "directory":
        return DirectoryBlocks(tmp_path / "blocks", MemoryBlocks())
    stack = request.getfixturevalue("stack")
    return RedisBlocks(connect(stack.url), Keys(f"blocks-{tmp_path.name}"))


def test_what_was_put_can_be_got(blocks):
    """A block comes back by its CID, and its size is known."""
    blocks.put_many({CID: DATA})

    assert blocks.get(CID) == DATA
    assert blocks.size(CID) == len(DATA)


def test_an_empty_block_is_a_block(blocks):
    """No bytes are not no block."""
    empty = Link.of(b"")

    assert blocks.size(empty) is None
    blocks.put_many({empty: b""})

    assert blocks.get(empty) == b""
    assert blocks.size(empty) == 0


def test_a_missing_block_is_an_error(blocks):
    """What is not stored is said to be missing, by its CID."""
    with pytest.raises(MissingBlockError, match=str(CID)):
        blocks.get(CID)


def test_bytes_that_are_not_the_cids_are_not_stored(blocks):
    """Nobody can put other bytes under a CID."""
    with pytest.raises(BlockError):
        blocks.put_many({CID: b"other"})

    assert blocks.size(CID) is None


def test_bytes_that_changed_in_redis_are_refused(stack):
    """A block is verified when it is read, not when it is believed."""
    keys = Keys("changed")
    stack.redis.set(keys.block(CID), b"changed")

    with pytest.raises(BlockError, match="do not hash"):
        RedisBlocks(connect(stack.url), keys).get(CID)


def test_a_lifetime_is_kept(stack):
    """A block with a lifetime lapses."""
    blocks = RedisBlocks(connect(stack.url), Keys("lifetime"), 60.0)
    blocks.put_many({CID: DATA})

    assert 59_000 < stack.redis.pttl(Keys("lifetime").block(CID)) <= 60_000


def test_a_pinned_block_outlives_the_others(stack):
    """What is pinned stays when its copy with a lifetime has gone; lost for all that, it is the store's fault."""
    keys = Keys("pinned")
    blocks = RedisBlocks(connect(stack.url), keys, 60.0)
    blocks.pin({CID: DATA})
    blocks.put_many({CID: DATA})
    stack.redis.delete(keys.block(CID))

    assert blocks.get(CID) == DATA
    assert blocks.size(CID) == len(DATA)
    assert stack.redis.pttl(keys.pin(CID)) == -1

    stack.redis.delete(keys.pin(CID))
    with pytest.raises(LostBlockError, match="not in the store any more"):
        blocks.get(CID)
    with pytest.raises(MissingBlockError):
        blocks.get(Link.of(b"never pinned"))


def test_a_pin_can_be_taken_back(stack):
    """What is unpinned is promised no more: it is missing like any other once its copy has lapsed."""
    blocks = RedisBlocks(connect(stack.url), Keys("unpinned"), 60.0)
    blocks.pin({CID: DATA})

    assert blocks.unpin([CID, Link.of(b"other")]) == [CID]
    with pytest.raises(MissingBlockError):
        blocks.get(CID)
    assert stack.redis.keys("{ipvm:unpinned}:*") == []


def pinned(stack, queue):
    """Return how many bytes are pinned for whom."""
    return {owner.decode(): int(size) for owner, size in stack.redis.hgetall(Keys(queue).pins).items()}


def test_somebody_s_pins_are_bounded(stack):
    """So many bytes for each, counted once for whoever was first, given back when they are unpinned; all or none."""
    blocks = RedisBlocks(connect(stack.url), Keys("quota"))
    data = [bytes([number]) * 100 for number in range(4)]
    cids = [Link.of(each) for each in data]
    blocks.pin({cids[0]: data[0], cids[1]: data[1]}, "did:a", 250)
    blocks.pin({cids[0]: data[0]}, "did:a", 250)
    blocks.pin({cids[0]: data[0], cids[2]: data[2]}, "did:b", 250)

    assert pinned(stack, "quota") == {"did:a": 200, "did:b": 100}
    with pytest.raises(PinQuotaError, match="200 bytes are pinned here for did:a, and with 100 more"):
        blocks.pin({cids[0]: data[0], cids[3]: data[3]}, "did:a", 250)
    assert blocks.size(cids[3]) is None

    assert blocks.unpin([cids[1], cids[1]]) == [cids[1]]
    blocks.pin({cids[3]: data[3]}, "did:a", 250)
    assert pinned(stack, "quota")["did:a"] == 200

    stack.redis.delete(Keys("quota").pin(cids[3]))
    blocks.pin({cids[3]: data[3]}, "did:b", 250)
    assert pinned(stack, "quota") == {"did:a": 100, "did:b": 200}

    blocks.unpin(cids)
    assert stack.redis.keys("{ipvm:quota}:*") == []


def test_many_pins_are_one_to_the_quota(stack):
    """More blocks than are sent at once: where the last ones are too much, the first are let go of."""
    blocks = RedisBlocks(connect(stack.url), Keys("quota-2"))
    many = {Link.of(data): data for data in (number.to_bytes(2, "big") * 10 for number in range(600))}
    with pytest.raises(PinQuotaError):
        blocks.pin(many, "did:a", 20 * 600 - 1)

    assert stack.redis.keys("{ipvm:quota-2}:*") == []
    blocks.pin(many, "did:a", 20 * 600)
    assert pinned(stack, "quota-2") == {"did:a": 20 * 600}


def test_other_bytes_are_not_pinned(stack):
    """A pin is of the block, not of what somebody calls so."""
    with pytest.raises(BlockError):
        RedisBlocks(connect(stack.url), Keys("pinned-2")).pin({CID: b"other"})


def test_the_directory_serves_what_the_store_behind_has_lost(tmp_path):
    """A large block that was read once is there without the store behind; a damaged file is read anew."""
    behind = MemoryBlocks()
    behind.put_many({CID: DATA})
    blocks = DirectoryBlocks(tmp_path, behind)
    blocks.get(CID)
    alone = DirectoryBlocks(tmp_path, MemoryBlocks())

    assert alone.get(CID) == DATA

    (tmp_path / CID.key).write_bytes(b"damaged")

    assert blocks.get(CID) == DATA
    assert alone.get(CID) == DATA


def test_the_directory_keeps_what_was_read_last(tmp_path):
    """It has an end, however much is read or written; what was read longest ago is fetched from behind again."""
    blocks = DirectoryBlocks(tmp_path, MemoryBlocks(), most=16 * 8192)
    written = {Link.of(data): data for data in (bytes([number]) * 8192 for number in range(100))}
    first = next(iter(written))
    for age, (cid, data) in enumerate(written.items()):
        blocks.put_many({cid: data})
        os.utime(tmp_path / cid.key, (age, age))
        blocks.get(first)

    kept = [path.name for path in tmp_path.iterdir()]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 16 * 8192
    assert set(kept) == {first.key, *(cid.key for cid in [*written][-len(kept) + 1 :])}
    assert len(kept) > 8
    assert [blocks.get(cid) for cid in written] == [*written.values()]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 16 * 8192


def test_what_a_killed_process_has_left_goes_too(tmp_path):
    """A file that was never finished counts, and is the first to go."""
    (tmp_path / ".unfinished.1").write_bytes(bytes(8192))
    os.utime(tmp_path / ".unfinished.1", (1, 1))

    DirectoryBlocks(tmp_path, MemoryBlocks(), most=8192).put_many({CID: DATA})

    assert [path.name for path in tmp_path.iterdir()] == [CID.key]
