"""What a task may use: `ipvm/config`, `maxGas`, and the job-wide values beneath them.

(effects 4.3, Workflow v0.1 section 3)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.workflow.faults import Path, kind_of
from ipvm_queue.workflow.shapes import FLAG, TEXT, Field, Reading, Record, Shape, either, nullable
from ipvm_queue.workflow.units import BYTES, SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value
    from ipvm_queue.workflow.model import Config

MAX_GAS: Final = (1 << 63) - 1
_CHECKS: Final = ("attestation", "oracle", "optimistic", "consensus")


def _read_gas(value: Value, path: Path, reading: Reading) -> int | None:
    if type(value) is not int:
        reading.faults.add("wrong-type", f"{path[-1]!r} is a whole number, this is {kind_of(value)}", path)
    elif value <= 0:
        hint = "gas is what a call may burn: one for each Wasm instruction, more or less"
        reading.faults.add("bad-limit", f"{path[-1]!r} is more than 0, this is {value}", path, hint=hint)
    elif value > MAX_GAS:
        reading.faults.add("bad-limit", f"{path[-1]!r} is at most {MAX_GAS}", path)
    else:
        return value
    return None


def _read_check(value: Value, path: Path, reading: Reading) -> Value:
    names = value if type(value) is dict else [value]
    if any(type(name) is str and name in _CHECKS for name in names):
        return value
    hint = 'write "attestation" or {"optimistic": 2}'
    reading.faults.add("bad-check", f"{path[-1]!r} names no way to verify that is known", path, hint=hint)
    return None


GAS: Final = Shape(_read_gas, {"type": "integer", "minimum": 1, "maximum": MAX_GAS})
CHECK: Final = Shape(
    _read_check,
    either({"enum": list(_CHECKS)}, {"type": "object", "minProperties": 1}),
)
CONFIG: Final = Record(
    "a configuration",
    {
        "v": Field(TEXT, "version of this schema"),
        "secret": Field(
            nullable(FLAG),
            "whether the result is unsafe to publish; null: as its inputs are",
        ),
        "check": Field(CHECK, "how the result is verified"),
        "time": Field(SECONDS, "longest time to run"),
        "memory": Field(BYTES, "most memory"),
        "disk": Field(BYTES, "most disk"),
        "gas": Field(GAS, "most gas; one gas is one unit of Wasmtime fuel"),
    },
)


def merge(base: Config, given: Mapping[str, Any]) -> Config:
    """Return `base` with what a document states; what is absent or has a fault stays as it was."""
    stated = {name: value for name, value in given.items() if name != "v" and value is not None}
    return replace(base, **stated) if stated else base
