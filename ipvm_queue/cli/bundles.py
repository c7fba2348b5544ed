"""Bundles on the command line: gathered from a store, and judged without one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ipvm_queue.cli.answer import answer, brief, is_json, line
from ipvm_queue.cli.receipt import find
from ipvm_queue.cli.results import HIDDEN, attach
from ipvm_queue.cli.words import one_line, plural, say
from ipvm_queue.effects import is_private, safety_of, uses
from ipvm_queue.errors import CodecError, IpvmError, UsageError
from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.members import MAX_BYTES, MAX_MEMBERS
from ipvm_queue.queue.recompute import Registry
from ipvm_queue.queue.verdict import Finding, Report, Step, Verdict
from ipvm_queue.ucan import Container, UcanError
from ipvm_queue.ucan.secret import veil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Value

_MAX_INVOCATION: Final = 1024 * 1024
_MARKS: Final = {Verdict.OK: "✓", Verdict.UNKNOWN: "?", Verdict.OPEN: "·"}


class BundleError(IpvmError):
    """Raised when a bundle does not prove what it is for."""

    code = "bundle"


def check(source: str, asked: str | None, *, as_json: bool) -> int:
    """Judge a bundle, print every step, and return the exit code; raises `BundleError` where one does not hold."""
    data = sys.stdin.buffer.read(2 * MAX_BYTES) if source == "-" else _read(source, 2 * MAX_BYTES)
    question = None if asked is None else _invocation(asked)
    try:
        report = verify(data, Registry(safety_of, is_private, uses), question)
    except UcanError as error:
        raise BundleError(f"{source} is no bundle: {error.message}", verdict=str(Verdict.MALFORMED)) from error
    if as_json:
        answer(_plain(report))
    else:
        for text in _lines(report):
            line(text)
    if report.flaw is None:
        return 0
    raise BundleError(f"{report.flaw.name}: {report.flaw.verdict}: {report.flaw.detail}")


def load(path: Path) -> bytes:
    """Return a bundle as it is in a file, for a queue to judge; raises `UsageError` for a file that is none."""
    data = _read(str(path), 2 * MAX_BYTES)
    try:
        Container.read(data, max_bytes=MAX_BYTES, max_tokens=MAX_MEMBERS)
    except UcanError as error:
        raise UsageError(f"{path} is no bundle: {error.message}", hint="ipvm receipt export writes them") from error
    return data


def collect(client: Client, cids: Sequence[Link], run: str | None) -> tuple[bytes, list[Link]]:
    """Return a bundle and the receipts that it is of; without `cids` those of a run that no other task takes in."""
    links = [find(client, cid).link for cid in cids]
    found = None if run is None else attach(client, run)
    if found is not None and not links:
        last = {node.label for node in found.plan.steps.values() if not node.targets}
        links = [
            result.receipt
            for label, result in found.results().items()
            if label in last and result.receipt is not None and result.state != "skipped"
        ]
        if not links:
            raise UsageError(f"run {found.id} has no results yet", hint=f"ipvm run watch {found.id}")
    return client.bundle(links, None if found is None else found.id), links


def put(data: bytes, links: Sequence[Link], output: Path | None, *, as_json: bool) -> None:
    """Write a bundle to a file, or to standard output."""
    if output is None:
        if as_json:
            answer({"receipts": [*links], "bundle": data})
            return
        if sys.stdout.isatty():
            raise UsageError("a bundle would steer the terminal", hint="write it to a file: -o FILE")
        click.echo(data, nl=False)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    if as_json:
        answer({"receipts": [*links], "file": str(output), "size": len(data)})
    else:
        say(f"{plural(len(links), 'receipt')}, {plural(len(data), 'byte')}: ipvm receipt verify {output}")


def _invocation(text: str) -> bytes | Link:
    from ipvm_queue.cli.tokens import from_base64

    if Path(text).is_file():
        return _read(text, _MAX_INVOCATION)
    try:
        return Link.parse(text)
    except CodecError as error:
        data = from_base64(text)
        if data is None:
            raise UsageError(f"{text[:80]!r} is no file, CID or base64 of an invocation") from error
        return data


def _read(source: str, limit: int) -> bytes:
    try:
        with Path(source).open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error


def _plain(report: Report) -> Value:
    return {
        "valid": report.holds,
        "receipts": [_finding(each) for each in report.findings],
        "steps": [_step(step) for step in report.asked],
        "unused": [*report.unused],
    }


def _finding(found: Finding) -> Value:
    plain = {
        "receipt": found.receipt,
        "ran": found.ran,
        "labels": [*found.labels],
        "valid": found.holds,
        "input": found.is_input,
        "worker": found.worker,
        "service": found.service,
        "queue": found.queue,
        "requestor": found.requestor,
        "invocation": found.job,
        "secret": found.is_secret,
        "steps": [_step(step) for step in found.steps],
    }
    out = veil(found.out) if found.is_secret else found.out
    return plain | {"out": out} if is_json(out) else plain


def _step(step: Step) -> Value:
    return {"name": step.name, "verdict": str(step.verdict), "detail": step.detail}


def _lines(report: Report) -> Iterator[str]:
    inputs = [each for each in report.findings if each.is_input]
    for found in report.findings:
        if found.is_input and found.holds:
            continue
        yield f"receipt {found.receipt}"
        if found.labels:
            yield f"task    {', '.join(map(one_line, found.labels))}"
        for branch, value in found.out.items():
            yield f"{branch:7} {HIDDEN if found.is_secret else brief(value)}"
        for step in found.steps:
            yield f"{_MARKS.get(step.verdict, '✗')} {step.name:10} {_said(step)}"
    good = sum(each.holds for each in inputs)
    if good:
        yield f"✓ {'inputs':10} {plural(good, 'receipt')} that it rests on hold in the same way"
    for step in report.asked:
        yield f"{_MARKS.get(step.verdict, '✗')} {step.name:10} {_said(step)}"
    if report.unused:
        yield f"? {'unused':10} {plural(len(report.unused), 'member')} of the bundle belong to nothing in it"


def _said(step: Step) -> str:
    if step.verdict is Verdict.OK:
        return step.detail
    return str(step.verdict) if step.verdict is Verdict.OPEN else f"{step.verdict}: {step.detail}"
