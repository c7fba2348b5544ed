"""Results, on standard output: DAG-JSON for programs, one line a value for people."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import click

from ipvm_queue.cli.words import printable

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

MAX_SHOWN: Final = 2000
_MAX_DEPTH: Final = 80  # a value of the full depth stands a few maps deep in an answer


_given: Final = ContextVar("given", default=False)


def begin() -> None:
    """Take note that a command begins, which has one answer to give."""
    _given.set(False)


def is_given() -> bool:
    """Whether the command has answered: what goes wrong after that is told in words only."""
    return _given.get()


def answer(value: Value) -> None:
    """Print the one DAG-JSON object, in UTF-8 whatever the locale says; what of a file's name is not is escaped."""
    click.echo(_json(_utf8(value)).encode())
    _given.set(True)


def _utf8(value: Value) -> Value:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, list):
        return [_utf8(each) for each in value]
    return {_utf8(key): _utf8(each) for key, each in value.items()} if isinstance(value, dict) else value


def line(text: str) -> None:
    """Print one line for people."""
    click.echo(printable(text))


def brief(value: Value) -> str:
    """Return a value on one line for people; a long one is cut, with its length."""
    text = _json(value) if is_json(value) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text):,} characters; --json has them all)"


def is_json(value: Value) -> bool:
    """Whether a value has a DAG-JSON form; a map that would read back as a link or bytes has none."""
    from ipvm_queue.errors import CodecError
    from ipvm_queue.ipld import to_plain

    try:
        to_plain(value)
    except CodecError:
        return False
    return True


def _json(value: Value) -> str:
    from ipvm_queue.ipld.dagjson import to_json

    return to_json(value, max_depth=_MAX_DEPTH)
