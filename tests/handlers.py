"""What a handler of an effect is given when a test calls it directly: real settings, a configuration, the blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ipvm_queue.crypto import Signer
from ipvm_queue.effects import Call, EffectError, find
from ipvm_queue.effects.schema import faults
from ipvm_queue.errors import MissingBlockError
from ipvm_queue.ipld import RAW, Link
from ipvm_queue.settings import Settings

TASK = Link.of(b"an act")
MIB = 1024 * 1024


@dataclass
class Blocks:
    """Blocks in memory."""

    held: dict[Link, bytes] = field(default_factory=dict)

    def get(self, cid: Link) -> bytes:
        """Return a block."""
        try:
            return self.held[cid]
        except KeyError:
            raise MissingBlockError(f"there is no block {cid}") from None

    def put(self, data: bytes, codec: int = RAW) -> Link:
        """Keep a block."""
        cid = Link.of(data, codec)
        self.held[cid] = data
        return cid


@dataclass
class Given:
    """A handler's context, configured by `tables`."""

    tables: dict[str, dict[str, Any]]
    blocks: Blocks = field(default_factory=Blocks)
    settings: Settings = field(default_factory=Settings)
    signer: Signer = field(default_factory=Signer.generate)
    marks: dict[str, int] = field(default_factory=dict)

    def remember(self, what: str, number: int, _until: float) -> int:
        """Return the highest number of something."""
        self.marks[what] = max(number, self.marks.get(what, 0))
        return self.marks[what]

    def config(self, table: str) -> dict[str, Any]:
        """Return a table."""
        return self.tables.get(table, {})


def all_may(_command, _args):
    """Object to nothing."""


def call_of(uri, ability, *, task=TASK, seconds=20.0, max_bytes=MIB, objection=all_may, **args):
    """Return a call that has `seconds` from now, of one who may do all but what there is an objection to."""
    return Call(uri, ability, args, task, time.monotonic() + seconds, max_bytes, 1, objection=objection)


def run(context, uri, ability, **given):
    """Do an effect as the registry finds it, its arguments checked; return its Outcome."""
    call, effect = call_of(uri, ability, **given), find(uri, ability)
    assert list(faults(call.args, effect.schema)) == []
    return effect.run(context, call)


def error_of(context, uri, ability, **given):
    """Do an effect that must have no answer; return its error."""
    try:
        outcome = run(context, uri, ability, **given)
    except EffectError as error:
        return error
    raise AssertionError(f"it answered {outcome.out}")


def reconcile(context, uri, ability, **given):
    """Ask what became of an effect."""
    return find(uri, ability).reconcile(context, call_of(uri, ability, **given))
