"""Amounts with their units, as Workflow v0.1's appendix writes them: `[45, "minutes"]`, `[500, "kilo", "bytes"]`.

Times are read as float seconds, sizes as int bytes. A plain number is seconds, or bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.workflow.faults import Path, kind_of
from ipvm_queue.workflow.shapes import Reading, Shape, either

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value

_POWERS: Final = {
    "pico": -12,
    "nano": -9,
    "micro": -6,
    "milli": -3,
    "centi": -2,
    "deci": -1,
    "deca": 1,
    "hecto": 2,
    "kilo": 3,
    "mega": 6,
    "giga": 9,
    "tera": 12,
    "peta": 15,
    "exa": 18,
}
_SI: Final = {name: Fraction(10) ** power for name, power in _POWERS.items()}
_BINARY: Final = {
    name: Fraction(1024) ** power
    for power, name in enumerate(("kibi", "mebi", "gibi", "tebi", "pebi", "exbi"), start=1)
}
PREFIXES: Final = {**_SI, **_BINARY}
TIME_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "year": 31_536_000}
SIZE_UNITS: Final = {"bit": Fraction(1, 8), "nibble": Fraction(1, 2), "byte": Fraction(1)}
MAX_SECONDS: Final = 366 * 86_400
MAX_BYTES: Final = 1 << 50
_PLAIN_LENGTH, _PREFIXED_LENGTH = 2, 3


@dataclass(frozen=True, slots=True)
class Quantity:
    """One dimension: its units in terms of the base unit, and the largest amount that makes sense."""

    base: str
    units: Mapping[str, Fraction | int]
    most: int
    example: str

    def read(self, value: Value, path: Path, reading: Reading) -> Fraction | None:
        """Return the amount in base units; a fault (`bad-unit`, `bad-limit`) unless it is above 0 and sane."""
        amount, factor = value, Fraction(1)
        if type(value) is list:
            if not _PLAIN_LENGTH <= len(value) <= _PREFIXED_LENGTH or any(type(word) is not str for word in value[1:]):
                reading.faults.add("bad-unit", f"{path[-1]!r} is written like {self.example}", path)
                return None
            amount = value[0]
            found = self._factor(value[1:], path, reading)
            if found is None:
                return None
            factor = found
        if type(amount) not in (int, float) or not isfinite(amount):
            message = f"{path[-1]!r} is written like {self.example}, this is {kind_of(value)}"
            reading.faults.add("bad-unit", message, path)
            return None
        total = Fraction(amount) * factor
        if total <= 0:
            reading.faults.add("bad-limit", f"{path[-1]!r} is more than 0, this is {amount}", path)
            return None
        if total > self.most:
            reading.faults.add("bad-limit", f"{path[-1]!r} is at most {self.most} {self.base}", path)
            return None
        return total

    def _factor(self, words: list[str], path: Path, reading: Reading) -> Fraction | None:
        prefix, unit = words if len(words) > 1 else (None, words[0])
        size = self.units.get(unit) or self.units.get(unit.removesuffix("s"))
        if size is None:
            plurals = [f"{name}s" for name in self.units]
            hint = reading.faults.suggest(unit, plurals) or f"known are: {', '.join(plurals)}"
            reading.faults.add("bad-unit", f"{unit[:80]!r} is no unit of {path[-1]!r}", (*path, len(words)), hint=hint)
            return None
        if prefix is None:
            return Fraction(size)
        if prefix not in PREFIXES:
            hint = reading.faults.suggest(prefix, PREFIXES) or f"known are: {', '.join(PREFIXES)}"
            reading.faults.add("bad-unit", f"{prefix[:80]!r} is no prefix", (*path, 1), hint=hint)
            return None
        return PREFIXES[prefix] * size


_DURATION: Final = Quantity("seconds", TIME_UNITS, MAX_SECONDS, '[45, "minutes"] or [500, "milli", "seconds"]')
_SIZE: Final = Quantity("bytes", SIZE_UNITS, MAX_BYTES, '[500, "kilo", "bytes"] or [64, "mebi", "bytes"]')


def _schema(quantity: Quantity) -> dict[str, Value]:
    units = [form for name in quantity.units for form in (name, name + "s")]
    amount = {"type": "number", "exclusiveMinimum": 0}
    unit, prefix = {"enum": units}, {"enum": list(PREFIXES)}
    return either(
        amount,
        {"type": "array", "prefixItems": [amount, unit], "minItems": 2, "maxItems": 2},
        {"type": "array", "prefixItems": [amount, prefix, unit], "minItems": 3, "maxItems": 3},
    )


def _read_seconds(value: Value, path: Path, reading: Reading) -> Any:
    seconds = _DURATION.read(value, path, reading)
    return None if seconds is None else float(seconds)


def _read_bytes(value: Value, path: Path, reading: Reading) -> Any:
    size = _SIZE.read(value, path, reading)
    if size is not None and size.denominator != 1:
        reading.faults.add("bad-limit", f"{path[-1]!r} is not a whole number of bytes", path)
        return None
    return None if size is None else int(size)


SECONDS: Final = Shape(_read_seconds, _schema(_DURATION), "time")
BYTES: Final = Shape(_read_bytes, _schema(_SIZE), "size")
