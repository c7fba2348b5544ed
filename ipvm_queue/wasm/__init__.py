"""The deterministic executor: modules are looked at here, compiled in a child process, and run with every limit on.

`inspect` is pure Python and cheap to import; `Executor` brings wasmtime with it and is imported when it is first named.
"""

from __future__ import annotations

import typing

from ipvm_queue.wasm.module import PENDING, ModuleInfo, inspect
from ipvm_queue.wasm.outcome import Limits, Outcome

if typing.TYPE_CHECKING:
    from ipvm_queue.wasm.executor import Executor

__all__ = ["PENDING", "Executor", "Limits", "ModuleInfo", "Outcome", "inspect"]


def __getattr__(name: str) -> typing.Any:
    if name == "Executor":
        from ipvm_queue.wasm.executor import Executor  # noqa: PLC0415 - a submitter never pays for wasmtime

        return Executor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
