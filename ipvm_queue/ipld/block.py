"""`Block`: bytes and the CID that they hash to."""

from __future__ import annotations

from dataclasses import dataclass

from ipvm_queue.errors import BlockError
from ipvm_queue.ipld.link import RAW, Link


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes under their CID. Whether they match is known after `verify`, or because `of` made the block."""

    cid: Link
    data: bytes

    @classmethod
    def of(cls, data: bytes, codec: int = RAW) -> Block:
        """Return the block of `data` under its CIDv1 (sha2-256)."""
        return cls(Link.of(data, codec), data)

    def verify(self) -> Block:
        """Return the block itself; raises `BlockError` unless its bytes hash to its CID."""
        if not self.cid.matches(self.data):
            raise BlockError(
                f"{len(self.data)} bytes do not hash to {self.cid}",
                hint="they were changed on the way, or the CID names a hash that is not verified here",
                cid=str(self.cid),
            )
        return self
