"""Policies: what the args of an invocation have to be like (UCAN Delegation 1.0 "Policy")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ipvm_queue.ipld.value import MAX_DEPTH
from ipvm_queue.ucan.errors import MalformedError
from ipvm_queue.ucan.glob import Glob
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.selector import Selector
from ipvm_queue.ucan.statement import ORDERS, And, Equality, Inequality, Like, Not, Or, Quantifier, every

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.statement import Statement

MAX_STATEMENTS: Final = 1000
_PAIR: Final = 2
_TRIPLE: Final = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """Statements that all have to be true of args; `source` is their IPLD form."""

    statements: tuple[Statement, ...]
    source: list[Any]

    @classmethod
    def parse(cls, source: Value) -> Policy:
        """Return the policy that a list of statements says.

        Raises `MalformedError` for a wrong statement anywhere, also where it would never be looked at.
        """
        if type(source) is not list:
            raise MalformedError("a policy is a list of statements")
        reader = _Reader()
        return cls(reader.statements(source, "pol", 0), source)

    def judge(self, args: Value, meter: Meter | None = None) -> bool | None:
        """Whether all statements are true of `args`; None where that hangs on promises that `meter` minds.

        Raises `MatchError` where judging costs more than `meter` has, and where args are more than 64 deep.
        """
        if not self.statements:
            return True
        meter = meter or Meter()
        meter.check_depth(args)
        return every(statement.judge(args, meter) for statement in self.statements)

    def first_false(self, args: Value, meter: Meter) -> int | None:
        """Return the place of the first statement that is false of `args`."""
        for place, statement in enumerate(self.statements):
            if statement.judge(args, meter) is False:
                return place
        return None


class _Reader:
    """Reads statements, and counts them."""

    def __init__(self) -> None:
        self._left = MAX_STATEMENTS

    def statements(self, source: Value, path: str, depth: int) -> tuple[Statement, ...]:
        if type(source) is not list:
            _refuse(path, "is not a list of statements")
        return tuple(self.statement(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(source))

    def statement(self, source: Value, path: str, depth: int) -> Statement:
        self._left -= 1
        if self._left < 0:
            raise MalformedError(f"a policy has at most {MAX_STATEMENTS} statements")
        if depth > MAX_DEPTH:
            raise MalformedError(f"a policy is at most {MAX_DEPTH} statements deep")
        if type(source) is not list or not source or type(source[0]) is not str:
            _refuse(path, "is not a statement: [operator, …] is expected")
        operator, rest = source[0], source[1:]
        if operator in ("and", "or", "not"):
            return self._connective(operator, rest, path, depth)
        if operator not in ("==", "!=", "like", "all", "any") and operator not in ORDERS:
            _refuse(path, f"has the operator {operator[:40]!r}, which there is not")
        if len(source) != _TRIPLE or type(source[1]) is not str:
            _refuse(path, f"is not [{operator!r}, selector, argument]")
        return self._comparison(operator, Selector.parse(source[1]), source[2], path, depth)

    def _connective(self, operator: str, rest: list[Value], path: str, depth: int) -> Statement:
        if len(rest) != _PAIR - 1:
            _refuse(path, f"is not [{operator!r}, argument]")
        if operator == "not":
            return Not(self.statement(rest[0], f"{path}[1]", depth + 1))
        inner = self.statements(rest[0], f"{path}[1]", depth)
        return And(inner) if operator == "and" else Or(inner)

    def _comparison(self, operator: str, selector: Selector, operand: Value, path: str, depth: int) -> Statement:
        if operator in ("==", "!="):
            return Equality(selector, operand, operator == "==")
        if operator in ("all", "any"):
            return Quantifier(selector, self.statement(operand, f"{path}[2]", depth + 1), operator == "all")
        if operator == "like":
            if type(operand) is not str:
                _refuse(path, "compares with a glob that is no text")
            return Like(selector, Glob.parse(operand))
        if type(operand) is not int and type(operand) is not float:
            _refuse(path, f"compares with {type(operand).__name__}, a number is expected")
        return Inequality(selector, operator, operand)


def _refuse(path: str, reason: str) -> NoReturn:
    raise MalformedError(f"the statement {path} {reason}")
