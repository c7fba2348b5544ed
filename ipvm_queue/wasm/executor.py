"""`Executor`: runs one call at a time, each in a store and an instance of its own, with modules kept warm between."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import wasmtime
from wasmtime import _func
from wasmtime.component import Component

from ipvm_queue.errors import ModuleError
from ipvm_queue.wasm.artefacts import Artefacts, CompileLimits
from ipvm_queue.wasm.component import ComponentGuest
from ipvm_queue.wasm.core import CoreGuest
from ipvm_queue.wasm.engine import ENGINE, current_engine
from ipvm_queue.wasm.host import Host
from ipvm_queue.wasm.module import inspect
from ipvm_queue.wasm.outcome import CallError, Limits, Outcome
from ipvm_queue.wasm.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.wasm.module import ModuleInfo

_log: Final = logging.getLogger(__name__)

WARM_MODULES: Final = 32


class Executor:
    """Runs Wasm by CID, deterministically and contained.

    `get_block` brings a module's bytes, or a block that a guest reads, and raises `MissingBlockError`; `cache_dir`
    is where compiled modules are kept. Use it from one thread; a forked child that inherits one starts afresh.
    Raises `UsageError` if the cache directory cannot be used or belongs to someone else.
    """

    def __init__(
        self,
        get_block: Callable[[Link], bytes],
        cache_dir: Path,
        *,
        compile_limits: CompileLimits = CompileLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._artefacts = Artefacts(cache_dir, compile_limits)
        self._host = Host(get_block)
        self._guests: OrderedDict[bytes, CoreGuest | ComponentGuest] = OrderedDict()
        self._start()

    def _start(self) -> None:
        self._engine = current_engine()
        self._process = os.getpid()
        self._guests.clear()

    def run(self, module: Link, func: str, params: list[Value], limits: Limits) -> Outcome:
        """Call an export of a module; whatever it does, what comes back is an outcome."""
        if os.getpid() != self._process:  # a fork has left the thread behind that makes time limits come true
            self._start()
        self._host.begin()
        _func.LAST_EXCEPTION = None  # a module global of wasmtime-py: what one call raised would surface in the next
        try:
            guest = self._guests.get(module.bytes)
            if guest is None:
                guest = self._load(module)
            else:
                self._guests.move_to_end(module.bytes)
        except Exception as error:  # noqa: BLE001 - as below
            return _failed(error, 0)
        with Store(self._engine, limits, component=guest.component) as store:
            try:
                return Outcome(guest.call(store, func, params), store.gas_used(), True, ENGINE)  # noqa: FBT003
            except CallError as error:
                cause = self._host.explain(error)
                return _failed(cause, store.gas_used() if cause.metered else None)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not take the worker's loop down
                return _failed(error, None)

    def close(self) -> None:
        """Let go of the warm modules."""
        self._guests.clear()

    def _load(self, module: Link) -> CoreGuest | ComponentGuest:
        data = self._host.read(module)
        if not module.matches(data):
            raise CallError("host", f"the block of {module} does not hash to its CID", "runner")
        try:
            info = inspect(data)
        except ModuleError as error:
            raise CallError("invalid-module", error.message, "guest") from error
        try:
            guest = self._link(self._compiled(module, data, info), info)
        except wasmtime.WasmtimeError as error:
            raise CallError("invalid-module", f"the module cannot be linked: {error}", "guest") from error
        self._guests[module.bytes] = guest
        if len(self._guests) > WARM_MODULES:
            self._guests.popitem(last=False)
        return guest

    def _compiled(self, module: Link, data: bytes, info: ModuleInfo) -> wasmtime.Module | Component:
        load = wasmtime.Module.deserialize if info.kind == "core" else Component.deserialize
        try:
            return load(self._engine, self._artefacts.load(module, info.kind, data))
        except wasmtime.WasmtimeError:  # of another machine, whose processor had what ours has not
            self._artefacts.discard(module)
            return load(self._engine, self._artefacts.load(module, info.kind, data))

    def _link(self, compiled: wasmtime.Module | Component, info: ModuleInfo) -> CoreGuest | ComponentGuest:
        if isinstance(compiled, Component):
            return ComponentGuest(self._engine, compiled, self._host)
        return CoreGuest(self._engine, compiled, info, self._host)


def _failed(error: Exception, gas: int | None) -> Outcome:
    if not isinstance(error, CallError):
        _log.error("the executor failed", exc_info=error)
        error = CallError("host", f"the executor failed: {type(error).__name__}, see this machine's log", "runner")
    return Outcome({"error": error.as_dict()}, gas, error.cacheable, ENGINE)
