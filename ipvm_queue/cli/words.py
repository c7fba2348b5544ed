"""Words for people, on standard error; standard output has results only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from ipvm_queue.errors import DocumentError

if TYPE_CHECKING:
    from ipvm_queue.errors import Fault, IpvmError

MAX_FAULTS: Final = 20
_MAX_EXCERPT: Final = 80
_BEFORE: Final = 20


def say(text: str) -> None:
    """Print a line to standard error."""
    click.echo(printable(text), err=True)


def error(fault: IpvmError) -> None:
    """Print an error: what is wrong, where, and what to do."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    for line in render(fault):
        click.echo(line, err=True, color=False if plain else None)


def render(fault: IpvmError) -> list[str]:
    """Return the lines of an error; colours are dropped by whoever prints them where they are not wanted."""
    if not isinstance(fault, DocumentError):
        return _block(fault.code, fault.message, None, None, fault.hint)
    lines: list[str] = []
    for each in fault.faults[:MAX_FAULTS]:
        lines += _block(each.code, each.message, _place(fault.name, each), _excerpt(each), each.hint)
    if len(fault.faults) > MAX_FAULTS:
        lines.append(f"… and {len(fault.faults) - MAX_FAULTS} more; --json lists them all")
    return lines


def _block(code: str, message: str, place: str | None, excerpt: str | None, hint: str | None) -> list[str]:
    first, *rest = printable(message).splitlines() or [""]
    lines = [click.style(f"error[{code}]", fg="red", bold=True) + f": {first}"]
    lines += [f"  {line}" for line in rest]
    if place is not None:
        lines.append(f"  at {place}   {excerpt or ''}".rstrip())
    if hint is not None:
        lines.append(click.style("hint", fg="green", bold=True) + f": {printable(hint)}")
    return lines


def _excerpt(fault: Fault) -> str:
    """Return the source line of a fault, or what of a long one stands around it."""
    line = printable(fault.excerpt or "")
    if len(line.strip()) <= _MAX_EXCERPT:
        return line.strip()
    at = (fault.column or 1) - 1
    start = max(
        0, (at if at < len(line) else len(line) // 2) - _BEFORE
    )  # of a very long line the excerpt is its middle
    shown = line[start : start + _MAX_EXCERPT].strip()
    return f"{'…' if start else ''}{shown}{'…' if start + _MAX_EXCERPT < len(line) else ''}"


def _place(name: str, fault: Fault) -> str | None:
    if fault.line is not None:
        column = "" if fault.column is None else f":{fault.column}"
        return printable(f"{name}:{fault.line}{column}")
    return printable(f"{name}, {fault.path}") if fault.path else None


def printable(text: str) -> str:
    """Return text from outside without what could steer a terminal; line ends stay."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """Return text from outside, such as a label, without what could steer a terminal or begin a line of its own."""
    return printable(text).replace("\n", "\\n")


def plural(count: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def seconds(duration: float) -> str:
    """Return a duration for people: `8 ms`, `3.1 s`, `2 min 5 s`."""
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:  # noqa: PLR2004 - a minute
        return f"{duration:.1f} s"
    return f"{int(duration) // 60} min {int(duration) % 60} s"
