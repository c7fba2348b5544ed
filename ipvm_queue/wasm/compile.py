"""The deterministic configuration, and the child process that compiles under limits.

Run as a program it reads a module on stdin and writes the artefact to a file. A module can keep the compiler busy for
minutes or make it ask for gigabytes, and nothing in-process can stop it: here the kernel does. The child ends with its
parent: nobody would want what it makes. This file imports nothing of the package, so that the child starts fast.

    python compile.py (core|component) OUTPUT CPU_SECONDS ADDRESS_SPACE_BYTES
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Final

import wasmtime
from wasmtime import component

CONFIG: Final = {
    "parallel_compilation": False,  # its thread pool does not survive fork: a child that compiles would hang
    "consume_fuel": True,
    "epoch_interruption": True,
    "cranelift_nan_canonicalization": True,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_threads": False,
    "wasm_gc": False,
    "wasm_function_references": False,
    "wasm_exceptions": False,
    "memory_init_cow": False,  # else the fuel of data segments depends on the platform
    "max_wasm_stack": 512 * 1024,
}
INVALID: Final = 3
"""Exit code for a module that the engine refuses; its words are on stdout."""
TOO_LARGE: Final = 4
"""Exit code for a module that took more memory than the limit, where that did not end the process by a signal."""
_WATCH: Final = 0.25  # seconds between looks at the parent


def new_engine() -> wasmtime.Engine:
    """Return an engine with the one configuration that every runner has."""
    config = wasmtime.Config()
    for name, value in CONFIG.items():
        setattr(config, name, value)
    return wasmtime.Engine(config)


def main(kind: str, output: str, cpu: int, address_space: int) -> int:
    """Compile stdin to `output`; return the exit code."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    try:
        data = sys.stdin.buffer.read()
        compiled = (component.Component if kind == "component" else wasmtime.Module)(new_engine(), data)
        code = compiled.serialize()
    except wasmtime.WasmtimeError as error:
        sys.stdout.write(str(error))
        return INVALID
    except MemoryError:
        return TOO_LARGE
    Path(output).write_bytes(code)
    return 0


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
