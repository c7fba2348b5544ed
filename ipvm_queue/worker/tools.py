"""What a worker process works with, made once in each process and never shared over a fork."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipvm_queue.crypto import load_signer
from ipvm_queue.errors import BlockError
from ipvm_queue.plan import Plan, load
from ipvm_queue.store import (
    DirectoryBlocks,
    Keys,
    Marks,
    RedisActs,
    RedisBlocks,
    RedisFurther,
    RedisRuns,
    Registry,
    RunKeys,
)
from ipvm_queue.store.blocks import verified
from ipvm_queue.wasm import Executor
from ipvm_queue.worker.effect import Blocks, Effects, World
from ipvm_queue.worker.further import Agent
from ipvm_queue.worker.guard import Guard
from ipvm_queue.worker.pace import Paces
from ipvm_queue.worker.sealing import Vault, readers
from ipvm_queue.worker.standing import authorities

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link
    from ipvm_queue.settings import Settings
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.worker.announce import Announcer
    from ipvm_queue.worker.authority import Authorities

_PLANS: Final = 32


class LostPlanError(Exception):
    """Raised where a page of a plan is not in the store, or is not what its CID says: its run cannot go on."""


@dataclass
class Tools:
    """A process's collaborators. `owner` names it in leases; `paces` say how much it takes at a time."""

    owner: str
    runs: RedisRuns
    blocks: DirectoryBlocks
    stored: RedisBlocks
    signer: Signer
    wasm: Executor
    budget: float
    max_memory: int
    announcer: Announcer
    effects: Effects
    vault: Vault
    authorities: Authorities
    plans: OrderedDict[Link, Plan] = field(default_factory=OrderedDict)
    paces: Paces = field(default_factory=Paces)

    @classmethod
    def make(cls, settings: Settings, redis: Broker, hostname: str, announcer: Announcer, *, waiting: Broker) -> Tools:
        """Return the tools of a process, over connections of its own to the store: `waiting` for whoever waits there.

        Leases are renewed over `redis` meanwhile.
        """
        keys = Keys(settings.queue)
        signer = load_signer(settings.worker_key, create=True)
        stored = RedisBlocks(redis, keys, settings.block_ttl)
        blocks = DirectoryBlocks(settings.cache_dir / "blocks", stored)
        owner = owner_of(hostname, os.getpid())
        acts = RedisActs(redis, keys, lease=settings.lease, receipt_lifetime=settings.receipt_ttl)
        agent = Agent(settings, signer, waiting, stored, RedisFurther(redis, keys, owner))
        world = World(settings, Blocks(blocks, stored, settings.pin_quota), signer, agent, Marks(redis, keys))
        return cls(
            owner=owner,
            runs=RedisRuns(redis, keys, lease=settings.lease, receipt_lifetime=settings.receipt_ttl),
            blocks=blocks,
            stored=stored,
            signer=signer,
            wasm=Executor(blocks.get, settings.cache_dir / "modules"),
            budget=settings.budget,
            max_memory=settings.max_memory,
            announcer=announcer,
            effects=Effects(world, Guard(acts, owner, settings.lease)),
            authorities=authorities(signer, waiting, keys, settings.max_request_bytes),
            vault=Vault(signer, RunKeys(redis, keys), lambda: readers(Registry(redis, keys).workers())),
        )

    def keep(self, link: Link, data: bytes) -> Plan:
        """Return the plan whose root block is `data`, or in the store where that is empty.

        Raises `BlockError` where it is not to be had, `CodecError` for what is no plan.
        """
        plan = self.plans[link] = load(verified(link, data) if data else self.stored.get(link), self._page)
        if len(self.plans) > _PLANS:
            self.plans.popitem(last=False)
        return plan

    def _page(self, link: Link) -> bytes:
        try:
            return self.stored.get(link)
        except BlockError as error:
            raise LostPlanError(error.message) from error


def owner_of(hostname: str, pid: int) -> str:
    """Return the name under which a process holds leases."""
    return f"{hostname}/{pid}"
