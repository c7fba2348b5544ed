"""What a broker says of itself."""

from __future__ import annotations

from time import perf_counter, time
from typing import NamedTuple

from ipvm_queue.errors import UnavailableError
from ipvm_queue.store import connect


class Health(NamedTuple):
    """A broker's state: who it is, seconds to answer, whether it writes an append-only file, how far its clock is off.

    `evicts` is the policy by which it throws keys away when memory is short, empty where it does not or does not tell;
    `syncs` is when its file is on the disk (`always`, `everysec`, `no`), empty where it does not tell. `writes` says
    whether its file could be written to last, `full` whether all the memory that it may have is in use.
    """

    server: str
    seconds: float
    durable: bool
    skew: float
    evicts: str
    syncs: str
    writes: bool
    full: bool


def examine(url: str) -> Health:
    """Ask a broker; raises `UnavailableError`."""
    broker = connect(url)
    try:
        info = broker.info()
        started = perf_counter()
        seconds, microseconds = broker.time()
        took = perf_counter() - started
        skew = seconds + microseconds / 1e6 - time()
        name = "Valkey" if "valkey_version" in info else "Redis"
        version = info.get("valkey_version") or info.get("redis_version")
        writes = all(info.get(f"aof_last_{what}_status", "ok") == "ok" for what in ("write", "bgrewrite"))
        full = 0 < info.get("maxmemory", 0) <= info.get("used_memory", 0)
        durable = bool(info.get("aof_enabled"))
        return Health(f"{name} {version}", took, durable, skew, *_policies(broker), writes, full)
    finally:
        broker.close()


def _policies(broker: object) -> tuple[str, str]:
    try:
        answer = broker.config_get("maxmemory-policy", "appendfsync")  # type: ignore[attr-defined]
    except UnavailableError:
        return "", ""  # a user of the broker need not be allowed to ask
    evicts = str(answer.get("maxmemory-policy", ""))
    return "" if evicts == "noeviction" else evicts, str(answer.get("appendfsync", ""))
