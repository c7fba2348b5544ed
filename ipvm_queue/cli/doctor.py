"""`ipvm doctor`: is everything there that work needs, and if not, what is to be done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.errors import IpvmError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipvm_queue.client import Client
    from ipvm_queue.settings import Settings

_MARKS: Final = {"ok": "ok     ", "warn": "warning", "fail": "FAILED "}


class Finding(NamedTuple):
    """What one check found: `ok`, `warn` or `fail`, in words, and what to do."""

    level: str
    check: str
    message: str
    hint: str | None = None


@click.command()
@options.connecting
def doctor(broker: str | None, key: Path | None, *, as_json: bool) -> int:
    """Check that all is there that work needs.

    Looks at settings, keys, broker and workers, and says what to do.

    The exit code is 0 where nothing failed, 6 where the broker is away, else 1.

    \b
    Example:
      ipvm doctor --broker redis://queue.example:6379/0
    """  # noqa: D301 - \b keeps click from filling the lines
    settings = options.settings(broker_url=broker, key=key)
    names = type(settings).model_fields
    effective = [{"name": name, "value": settings.shown(name), "source": settings.source(name)} for name in names]
    findings = list(_examine(settings, broker, key))
    if as_json:
        answer({"settings": effective, "checks": [_plain(each) for each in findings]})
    else:
        for row in effective:
            line(f"{row['name']:20} {row['value']}  ({row['source']})")
        line("")
        for each in findings:
            line(f"{_MARKS[each.level]} {each.check}: {each.message}" + (f"; {each.hint}" if each.hint else ""))
    failed = {each.check for each in findings if each.level == "fail"}
    return UnavailableError.exit_code if "broker" in failed else IpvmError.exit_code if failed else 0


def _plain(finding: Finding) -> dict[str, str | None]:
    return {"level": finding.level, "check": finding.check, "message": finding.message, "hint": finding.hint}


def _examine(settings: Settings, broker: str | None, key: Path | None) -> Iterator[Finding]:
    from ipvm_queue.settings import unknown_variables

    for name, meant in unknown_variables().items():
        yield Finding("warn", "environment", f"{name} means nothing here", f"did you mean {meant}?" if meant else None)
    mine = _key(settings)
    yield mine
    yield _directory("data_dir", settings.data_dir)
    yield _directory("cache_dir", settings.cache_dir)
    if settings.effects_config is not None:
        yield _effects(settings.effects_config)
    if mine.level == "fail":
        return  # nobody is asked without a key
    try:
        with options.connected(broker, key) as client:
            yield from _broker(client)
            yield from _gate(client, settings)
            yield from _workers(client, settings)
    except IpvmError as error:
        yield Finding("fail", "broker", error.message, error.hint)


def _key(settings: Settings) -> Finding:
    from ipvm_queue.crypto import load_signer

    try:
        return Finding("ok", "key", load_signer(settings.key).did)
    except IpvmError as error:
        if settings.key.exists() or settings.source("key") != "default":
            return Finding("fail", "key", error.message, error.hint)
        return Finding("warn", "key", error.message, "it is made at first use")


def _directory(name: str, path: Path) -> Finding:
    existing = next(each for each in (path, *path.parents) if each.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Finding("ok", name, str(path))
    return Finding("fail", name, f"{path} cannot be written", f"set {name} to a directory of your own")


def _effects(path: Path) -> Finding:
    from ipvm_queue.effects.config import EffectsConfig

    try:
        EffectsConfig(path)
    except IpvmError as error:
        return Finding("fail", "effects_config", f"{error.message}: no effect that reads it can be done", error.hint)
    return Finding("ok", "effects_config", str(path))


def _broker(client: Client) -> Iterator[Finding]:
    from ipvm_queue.cli.health import examine

    health = examine(client.broker_url)
    yield Finding("ok", "broker", f"{health.server}, answers in {health.seconds * 1000:.1f} ms")
    if health.durable and not health.writes:
        hint = "look for a full disk in its log; until then it takes nothing new"
        yield Finding("fail", "persistence", "the broker cannot write its append-only file", hint)
    elif health.durable:
        yield Finding("ok", "persistence", "an append-only file")
    else:
        hint = "set appendonly yes, or a restart of the broker loses runs and receipts"
        yield Finding("warn", "persistence", "no append-only file", hint)
    if abs(health.skew) > 1:
        yield Finding("warn", "clock", f"the broker's differs by {health.skew:.1f} s", "synchronise the clocks")
    else:
        yield Finding("ok", "clock", f"differs by {abs(health.skew) * 1000:.0f} ms")
    if health.evicts:
        yield Finding("fail", "memory", f"the broker evicts keys ({health.evicts})", "set maxmemory-policy noeviction")
    if health.full:
        yield Finding("fail", "memory", "the broker has used up its maxmemory, and takes nothing new", "raise it")
    yield _commands(client, health.syncs)


def _commands(client: Client, syncs: str) -> Finding:
    """Say whether destructive effects may be done on this broker: what they intend has to be on its disk first."""
    from ipvm_queue.store import NotDurableError

    try:
        client.acts.check_durable()
    except NotDurableError as error:
        return Finding("warn", "commands", f"destructive effects would be refused: {error.message}", error.hint)
    except UnavailableError as error:
        if not error.fields.get("refused", False):
            raise
        return Finding("ok", "commands", "not tried: this user of the broker may not ask (WAITAOF); the operator may")
    if syncs == "no":  # nothing was written before the question, so it says yes to it all the same
        hint = "set appendfsync everysec, or always"
        return Finding("warn", "commands", "destructive effects would be refused: appendfsync is `no`", hint)
    return Finding("ok", "commands", "the broker confirms what is on its disk (WAITAOF)")


def _gate(client: Client, settings: Settings) -> Iterator[Finding]:
    for each in client.gates():
        yield Finding("ok", "gate", f"{each.name}, for the queue {each.did}")
    if not client.gates() and settings.broker_url is not None:
        yield Finding(
            "warn", "gate", "none serves: no job is let in", "start it: celery -A workers.gate worker -P solo"
        )
    if client.is_let_in:
        yield Finding("ok", "proofs", f"you may push to {client.counter.queue}, for {client.counter.service}")
    else:
        hint = f"ask the queue's operator: ipvm delegate {client.signer.did}; then --proof FILE or IPVM_PROOFS"
        yield Finding("warn", "proofs", "none lets you push to this queue", hint)
    if settings.broker_url is not None and client.is_all_powerful:
        hint = "config/users.acl has a user for each role"
        yield Finding("warn", "access", "you are the broker's default user: it keeps nobody from anything", hint)


def _workers(client: Client, settings: Settings) -> Iterator[Finding]:
    workers = client.workers()
    for each in workers:
        yield Finding("ok", "worker", f"{each.name}: {each.slots} processes on {', '.join(each.queues)}, {each.did}")
    if not workers and settings.broker_url is not None:
        yield Finding("warn", "worker", "none is there", "start one: celery -A ipvm_queue.worker worker")
