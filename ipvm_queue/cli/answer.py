"""Results, on standard output: DAG-JSON for programs, one line a value for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from ipvm_queue.cli.words import printable

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

MAX_SHOWN: Final = 2000
_MAX_DEPTH: Final = 80  # a value of the full depth stands a few maps deep in an answer


def answer(value: Value) -> None:
    """Print one DAG-JSON object, in UTF-8 whatever the locale says."""
    click.echo(_json(value).encode())


def line(text: str) -> None:
    """Print one line for people."""
    click.echo(printable(text))


def brief(value: Value) -> str:
    """Return a value on one line for people; a long one is cut, with its length."""
    text = _json(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text):,} characters; --json has them all)"


def _json(value: Value) -> str:
    from ipvm_queue.ipld.dagjson import to_json

    return to_json(value, max_depth=_MAX_DEPTH)
