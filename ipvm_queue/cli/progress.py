"""What is seen of a run while it goes on: a live table on a terminal, plain lines elsewhere, both on standard error."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from ipvm_queue.cli.words import one_line, plural, say, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from ipvm_queue.run import Run, RunEvent, Tick

FOLD: Final = 20
_PATIENT_TICKS: Final = 3
_LONG_TICKS: Final = 20
_SHOWN_FAILURES: Final = 10
_ENDED: Final = {"error": "failed"}


class Progress(Protocol):
    """Somebody who is told how a run goes."""

    def event(self, event: RunEvent) -> None:
        """Take note that a task has ended."""

    def tick(self, tick: Tick) -> None:
        """Take note that nothing has happened for a second."""

    def close(self) -> None:
        """Take note that the run, or the wait, has ended."""


def follow(run: Run, timeout: float | None, logs: Path | None = None) -> None:
    """Show a run until it ends; raises `WaitTimeoutError` after `timeout` seconds.

    `logs` is where workers of our own write, for when none comes up.
    """
    from ipvm_queue.run import Tick

    progress = show(run)
    idle = 0
    try:
        for event in run.events(timeout=timeout):
            if not isinstance(event, Tick):
                progress.event(event)
                continue
            progress.tick(event)
            idle = idle + 1 if event.idle else 0
            if idle == _LONG_TICKS and logs is not None:
                say(f"  no worker has come up yet; see {logs}")
    finally:
        progress.close()


def show(run: Run) -> Progress:
    """Return what fits standard error."""
    say(f"run {run.id}: {plural(run.plan.count, 'task')}, workflow {run.workflow}")
    return Live(run) if sys.stderr.isatty() else Lines(run)


class Tally:
    """How many tasks of a run ended how, and since when it is watched."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.total = run.plan.count
        self.counts: dict[str, int] = {}
        self.cached = 0
        self._start = monotonic()

    def add(self, event: RunEvent) -> None:
        """Count a task."""
        self.counts[event.state] = self.counts.get(event.state, 0) + 1
        self.cached += event.cached

    @property
    def elapsed(self) -> float:
        """Seconds since the watching began."""
        return monotonic() - self._start

    def __str__(self) -> str:
        done = sum(self.counts.values())
        words = [f"{done:,} of {plural(self.total, 'task')}"]
        words += [f"{count:,} {_ENDED.get(state, state)}" for state, count in self.counts.items() if state != "ok"]
        words += [f"{self.cached:,} cached"] if self.cached else []
        return f"{', '.join(words)}, {seconds(self.elapsed)}"


def from_where(run: Run, event: RunEvent) -> str:
    """Return which worker a task ran on, or that its receipt was found."""
    if event.cached:
        return "cached"
    worker = run[event.label].worker
    return f"worker …{worker[-6:]}" if worker else ""


def waiting(tick: Tick) -> str:
    """Return why nothing happens, if it is known."""
    if tick.away:
        return "waiting: the broker does not answer"
    return f"waiting: no worker is consuming {', '.join(tick.idle)}" if tick.idle else ""


class Lines:
    """A line for each task of a small run; for a large one its failures, and a count every second."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tally = Tally(run)
        self._few = run.plan.count <= FOLD
        self._said = monotonic()
        self._ticks = 0
        self._reason = ""

    def event(self, event: RunEvent) -> None:
        """Say how a task ended."""
        self._tally.add(event)
        self._ticks = 0
        failure = event.state == "error" and self._tally.counts["error"] <= _SHOWN_FAILURES
        if self._few or failure:
            origin = from_where(self._run, event)
            say(f"  {event.state:8} {one_line(event.label)}  {seconds(self._tally.elapsed)}  {origin}".rstrip())
        elif monotonic() - self._said > 1:
            self._said = monotonic()
            say(f"  {self._tally}")

    def tick(self, tick: Tick) -> None:
        """Say why nothing happens, when it has lasted and each time that the reason changes."""
        self._ticks += 1
        reason = waiting(tick)
        if reason and self._ticks >= _PATIENT_TICKS and reason != self._reason:
            self._reason = reason
            say(f"  {reason}")

    def close(self) -> None:
        """Say how many tasks ended how."""
        say(f"  {self._tally}")


class Live:
    """A table that is redrawn in place: a row a task, or for a large run the failures and a count."""

    def __init__(self, run: Run) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._tally = Tally(run)
        self._rows: dict[str, tuple[str, str, str]] = {}
        if run.plan.count <= FOLD:
            self._rows = {node.label: ("waiting", "", "") for node in list(run.plan)[: run.plan.count]}
        self._few = bool(self._rows)
        self._reason = ""
        self._live = RichLive(console=Console(stderr=True), get_renderable=self._draw, refresh_per_second=8)
        self._live.start()

    def event(self, event: RunEvent) -> None:
        """Fill in a row."""
        self._tally.add(event)
        self._reason = ""
        failures = sum(state == "error" for state, _, _ in self._rows.values())
        if self._few or (event.state == "error" and failures < _SHOWN_FAILURES):
            elapsed = seconds(self._tally.elapsed)
            self._rows[event.label] = (event.state, elapsed, from_where(self._tally.run, event))

    def tick(self, tick: Tick) -> None:
        """Note why nothing happens."""
        self._reason = waiting(tick)

    def close(self) -> None:
        """Leave the last state standing."""
        self._live.stop()

    def _draw(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False)
        styles = {"ok": "green", "error": "bold red", "skipped": "dim", "waiting": "dim"}
        for label, (state, elapsed, origin) in list(self._rows.items()):
            cells = (
                Text(" " + state, styles.get(state, "")),
                Text(one_line(label)),
                Text(elapsed),
                Text(origin, "dim"),
            )
            table.add_row(*cells)
        table.add_row(Text(""), Text(str(self._tally), "bold"))
        if self._reason:
            table.add_row(Text(""), Text(self._reason, "yellow"))
        return table
