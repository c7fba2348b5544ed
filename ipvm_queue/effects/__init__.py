"""The world: what workers can do beside Wasm, by (URI scheme, ability), one family of handlers a file."""

from ipvm_queue.effects.contract import (
    Call,
    Context,
    Effect,
    EffectError,
    Fault,
    NotDoneError,
    Outcome,
    Safety,
    WaitingError,
)
from ipvm_queue.effects.registry import UnknownEffectError, check, effects, find, is_private, safety_of, uses

__all__ = [
    "Call",
    "Context",
    "Effect",
    "EffectError",
    "Fault",
    "NotDoneError",
    "Outcome",
    "Safety",
    "UnknownEffectError",
    "WaitingError",
    "check",
    "effects",
    "find",
    "is_private",
    "safety_of",
    "uses",
]
