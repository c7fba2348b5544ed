"""Statements of the policy language, and what they say of args (UCAN Delegation 1.0 "Policy").

`judge` answers True, False, or None where that hangs on a promise. A selector that finds nothing makes its statement
false, `!=` too; only an explicit `not` turns that round.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final, Protocol

from ipvm_queue.ucan.selector import PENDING, UNRESOLVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.glob import Glob
    from ipvm_queue.ucan.meter import Meter
    from ipvm_queue.ucan.selector import Selector

ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_NUMBERS: Final = frozenset((int, float))  # not bool, which Python takes for one
_BOXES: Final = frozenset((dict, list))
_CHARACTERS: Final = 64  # of a text, and
_PIECES: Final = 8  # of a glob: as many are looked for in the time of a step


class Statement(Protocol):
    """What can be said of args."""

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Whether it is true of `value`; None where that hangs on a promise."""


@dataclass(frozen=True, slots=True)
class Equality:
    """`==`, and `!=` where `equal` is False: a deep comparison."""

    selector: Selector
    operand: Value
    equal: bool

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Compare what is selected with the operand."""
        found = self.selector.select(value, meter)
        if found is PENDING or meter.holds_promise(found):
            return None
        return found is not UNRESOLVED and is_equal(found, self.operand, meter) is self.equal


@dataclass(frozen=True, slots=True)
class Inequality:
    """`<`, `<=`, `>`, `>=`: numbers of any kind; false of anything else."""

    selector: Selector
    operator: str
    operand: float

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Compare the selected number with the operand."""
        found = self.selector.select(value, meter)
        if found is PENDING:
            return None
        return type(found) in _NUMBERS and ORDERS[self.operator](found, self.operand)


@dataclass(frozen=True, slots=True)
class Like:
    """`like`: text that matches a glob."""

    selector: Selector
    glob: Glob

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Match the selected text."""
        found = self.selector.select(value, meter)
        if found is PENDING:
            return None
        if type(found) is not str:
            return False
        meter.spend(len(found) // _CHARACTERS + len(self.glob.pieces) // _PIECES)
        return self.glob.matches(found)


@dataclass(frozen=True, slots=True)
class And:
    """`and`: all of the statements; true of none."""

    statements: tuple[Statement, ...]

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Judge until one is false."""
        meter.spend(1)
        return every(statement.judge(value, meter) for statement in self.statements)


@dataclass(frozen=True, slots=True)
class Or:
    """`or`: one of the statements; true of none, by the letter."""

    statements: tuple[Statement, ...]

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Judge until one is true."""
        meter.spend(1)
        return not self.statements or some(statement.judge(value, meter) for statement in self.statements)


@dataclass(frozen=True, slots=True)
class Not:
    """`not`: the opposite."""

    statement: Statement

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Judge the statement and turn it round."""
        meter.spend(1)
        found = self.statement.judge(value, meter)
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class Quantifier:
    """`all` and `any` (`every` is False): a statement about each value of a list or map; false of anything else."""

    selector: Selector
    statement: Statement
    every: bool

    def judge(self, value: Value, meter: Meter) -> bool | None:
        """Judge the statement of each value; `any` is `or`, and so true of an empty collection."""
        found = self.selector.select(value, meter)
        if found is PENDING:
            return None
        if type(found) not in _BOXES:
            return False
        items = found.values() if type(found) is dict else found
        answers = (self.statement.judge(item, meter) for item in items)
        return every(answers) if self.every else not items or some(answers)


def every(answers: Iterable[bool | None]) -> bool | None:
    """Return False if one is False, else None if one is None, else True."""
    verdict: bool | None = True
    for answer in answers:
        if answer is False:
            return False
        verdict = verdict and answer
    return verdict


def some(answers: Iterable[bool | None]) -> bool | None:
    """Return True if one is True, else None if one is None, else False."""
    verdict: bool | None = False
    for answer in answers:
        if answer:
            return True
        verdict = None if answer is None else verdict
    return verdict


def is_equal(one: Value, other: Value, meter: Meter) -> bool:
    """Whether two values are the same: 1 is 1.0 and not true, a link is not its text, bytes are not theirs."""
    kind = type(one)
    if kind in _BOXES:
        if type(other) is not kind or len(one) != len(other):
            return False
        meter.spend(len(one))
        if kind is list:
            return all(is_equal(item, other[place], meter) for place, item in enumerate(one))
        return one.keys() == other.keys() and all(is_equal(item, other[key], meter) for key, item in one.items())
    if kind in _NUMBERS:
        return type(other) in _NUMBERS and bool(one == other)
    return kind is type(other) and bool(one == other)
