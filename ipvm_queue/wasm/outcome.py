"""What a call may use, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

Fault: TypeAlias = Literal["requestor", "runner", "guest"]

MAX_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes that a result may have, counted on its IPLD form."""
MAX_VALUES: Final = 1024 * 1024
"""Values that a result of the bytes ABI may have: each takes up to a hundred bytes once it is decoded."""
MAX_MESSAGE: Final = 2000
"""Characters that an error's message has; names and types in it are the guest's to choose."""
MAX_TABLE_ELEMENTS: Final = 100_000
CORE_MEMORIES: Final = 1
CORE_TABLES: Final = 16
COMPONENT_MEMORIES: Final = 4
COMPONENT_TABLES: Final = 32
COMPONENT_INSTANCES: Final = 64


class Limits(NamedTuple):
    """What one call may use: gas (Wasmtime fuel), bytes of each linear memory, seconds of wall clock."""

    gas: int
    memory: int
    time: float


class Outcome(NamedTuple):
    """What came of one call.

    `out` is `{"ok": value}` or `{"error": …}`: the executor's own errors are maps with `code`, `message` and `fault`, a
    guest's own `result<_, E>` error is E as it is. `gas` is what was used, None where that cannot be known;
    `cacheable` whether every runner would come to this same outcome; `engine` what ran it.
    """

    out: dict[str, Value]
    gas: int | None
    cacheable: bool
    engine: str


class CallError(Exception):
    """Raised inside the executor for whatever ends a call; becomes the error of its outcome.

    `fault` says who can do something about it: the requestor (arguments, limits), the guest (its author), the runner.
    `metered` is False where the engine has not said how much gas was used up to the end.
    """

    metered = True

    def __init__(self, code: str, message: str, fault: Fault, *, cacheable: bool = False, **fields: Any) -> None:
        super().__init__(message)
        self.code = f"wasm/{code}"
        self.message = message[:MAX_MESSAGE]
        self.fault: Fault = fault
        self.cacheable = cacheable
        self.fields = fields

    def as_dict(self) -> dict[str, Value]:
        """Return the error map of the outcome."""
        return {"code": self.code, "message": self.message, "fault": self.fault, **self.fields}
