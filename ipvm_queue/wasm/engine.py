"""One engine a process, with the thread that makes its time limits come true."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ipvm_queue.wasm.compile import CONFIG, new_engine

if TYPE_CHECKING:
    import wasmtime

VERSION: Final = version("wasmtime")
ENGINE: Final = f"wasmtime/{VERSION}"
FAMILY: Final = "wasmtime-"
"""What every `engine_key` begins with, of whichever version."""
TICK: Final = 0.01
_MAX_TICKS: Final = 1 << 40

_engines: dict[int, wasmtime.Engine] = {}


def engine_key() -> str:
    """Return the name of everything that an artefact depends on: engine, machine and configuration."""
    text = json.dumps([VERSION, platform.system(), platform.machine(), CONFIG], sort_keys=True)
    return f"{FAMILY}{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def current_engine() -> wasmtime.Engine:
    """Return this process's engine; a forked child makes its own, since the parent's threads are not in it."""
    pid = os.getpid()
    if pid not in _engines:
        engine = new_engine()
        _engines[pid] = engine
        threading.Thread(target=_tick, args=(engine,), name="wasm-epoch", daemon=True).start()
    return _engines[pid]


def ticks(seconds: float) -> int:
    """Return the epoch deadline for a time limit: at least that long, at most one tick longer."""
    return int(max(0.0, min(seconds / TICK, _MAX_TICKS))) + 1


def _tick(engine: wasmtime.Engine) -> None:
    while True:
        time.sleep(TICK)
        engine.increment_epoch()
