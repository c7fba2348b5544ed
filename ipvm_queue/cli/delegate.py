"""`ipvm delegate`: one principal lets another do something."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.words import say
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue import Proofs
    from ipvm_queue.ucan import Delegation

_DAY: Final = 24 * 60 * 60
_DAYS: Final = 90
_LAST: Final = 2**53 - 1  # beyond it not everybody counts the same
_POLICY: Final = '[["==", ".fun", "resize"]]'  # of the arguments: what is asked for, --command says
_PRESETS: Final = {"push": "/queue/push", "pop": "/queue/pop", "sign": "/ucan/proxy/sign", "run": "/"}


class _Terms(NamedTuple):
    """What a delegation lets do: on whom (None: whatever the issuer may), under which policy, until when (Unix s)."""

    subject: str | None
    policy: list[Value]
    until: int | None


@click.command()
@click.argument("audience", metavar="DID", type=options.Did(), help="Who may.")
@click.option("--command", "commands", metavar="/PATH", multiple=True, help="What, with all below it. Repeatable.")
@click.option("--push", "presets", flag_value="push", multiple=True, help="/queue/push: bring jobs to the queue.")
@click.option("--pop", "presets", flag_value="pop", multiple=True, help="/queue/pop: take work from the queue.")
@click.option("--sign", "presets", flag_value="sign", multiple=True, help="/ucan/proxy/sign: sign in a service's name.")
@click.option("--run", "presets", flag_value="run", multiple=True, help="/: have jobs run, whatever tasks they have.")
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path), help="Who lets them: the issuer's key; default: yours."
)
@click.option(
    "--subject",
    metavar="DID",
    type=options.Did(),
    help="On whom; default: what the proofs are about, else the issuer.",
)
@click.option("--powerline", is_flag=True, help="On whatever the issuer may itself, now and later.")
@click.option("--policy", metavar="JSON", default="[]", help='Only where this holds: [["<", ".size", 9]] for instance.')
@click.option("--days", type=options.DAYS, help=f"How long; default: {_DAYS}.")
@click.option("--until", type=click.IntRange(max=_LAST), metavar="SECONDS", help="Until this Unix time, instead.")
@click.option("--forever", is_flag=True, help="Without end.")
@click.option(
    "--proof",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Why the issuer may: a container with the delegations before it. Repeatable.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A container; one that is there already keeps what it holds. Default: standard output, in base64.",
)
@options.as_json
def delegate(
    audience: str,
    *,
    commands: tuple[str, ...],
    presets: tuple[str, ...],
    key: Path | None,
    subject: str | None,
    policy: str,
    days: float | None,
    until: int | None,
    files: tuple[Path, ...],
    output: Path | None,
    powerline: bool,
    forever: bool,
    as_json: bool,
) -> None:
    """Let DID do something, and write the delegations with those that they follow from.

    The issuer has to be the subject, or to have it from the proofs.

    \b
    Example:
      ipvm delegate did:key:z6Mk... --pop --sign --key queue.pem \\
        --proof queue.ucan -o worker.ucan
    """  # noqa: D301 - \b keeps click from filling the lines
    from ipvm_queue.crypto import load_signer
    from ipvm_queue.queue import Proofs

    wanted = [*commands, *(_PRESETS[preset] for preset in presets)]
    if not wanted:
        raise UsageError("what may they do?", hint="--push, --pop, --sign, --run or --command /PATH")
    if powerline and subject is not None:
        raise UsageError("a powerline is about no subject", hint="leave --subject or --powerline out")
    now = int(clock.time())
    ends = _end(now, days, until, forever=forever)
    signer = load_signer(key or options.settings().key)
    proofs = Proofs.load(files)
    rules = _policy(policy)
    for command in commands:
        _check_command(command)
    made: list[Delegation] = []
    before: dict[str, bytes] = {}
    for command in wanted:
        for about in [None] if powerline else _subjects(signer, proofs, command, subject):
            chain = [] if about in (None, signer.did) else _chain(signer, proofs, command, about, now)
            before |= {str(each.link): each.data for each in chain}
            made.append(_issue(signer, audience, command, _Terms(about, rules, ends)))
    _put([*before.values(), *(each.data for each in made)], made, output, as_json=as_json)


def _end(now: int, days: float | None, until: int | None, *, forever: bool) -> int | None:
    """Return when a delegation ends, in Unix seconds; raises `UsageError` unless that is one time, and to come."""
    if [days is not None, until is not None, forever].count(True) > 1:
        raise UsageError("--days, --until, --forever: two answers to one question", hint="give one of them")
    if forever:
        return None
    ends = now + int((_DAYS if days is None else days) * _DAY) if until is None else until
    if ends <= now:
        raise UsageError("this would be over before it begins", hint=f"in an hour it is {now + 3600}: --until SECONDS")
    return ends


def _check_command(text: str) -> None:
    from ipvm_queue.ucan import Command, MalformedError

    try:
        Command.parse(text)
    except MalformedError as error:
        raise UsageError(error.message, hint="such as /wasm/run") from error


def _subjects(signer: Signer, proofs: Proofs, command: str, subject: str | None) -> list[str]:
    if subject is not None:
        return [subject]
    return proofs.subjects(signer.did, command) or [signer.did]


def _chain(signer: Signer, proofs: Proofs, command: str, subject: str | None, now: int) -> Sequence[Delegation]:
    from ipvm_queue.ucan import UcanError

    assert subject is not None  # noqa: S101 - a powerline has no chain of its own
    try:
        return proofs.chain(subject, signer.did, command, now=now)
    except UcanError as error:
        hint = "give the delegations that it has this from: --proof FILE"
        raise UsageError(f"{signer.did} may not pass {command} on {subject} on: {error.message}", hint=hint) from error


def _issue(signer: Signer, audience: str, command: str, terms: _Terms) -> Delegation:
    from ipvm_queue.ucan import Delegation, UcanError

    try:
        return Delegation.issue(signer, audience, terms.subject, command, terms.policy, expiration=terms.until)
    except UcanError as error:
        raise UsageError(f"this cannot be delegated: {error.message}", hint=error.hint, rule=error.name) from error


def _policy(text: str) -> list[Value]:
    from ipvm_queue.errors import CodecError
    from ipvm_queue.ipld import from_json

    try:
        found = from_json(text)
    except CodecError as error:
        raise UsageError(f"--policy is no JSON: {error.message}", hint=_POLICY) from error
    if not isinstance(found, list):
        raise UsageError("--policy is a list of statements", hint=_POLICY)
    return found


def _put(tokens: list[bytes], made: Sequence[Delegation], output: Path | None, *, as_json: bool) -> None:
    from ipvm_queue.queue import Proofs
    from ipvm_queue.queue.agents import write
    from ipvm_queue.ucan import Container, Encoding

    if output is not None:
        held = Proofs.load([output]).tokens if output.exists() else {}
        write(output, Container.of([*held.values(), *tokens]).write())
    container = Container.of(tokens).write(Encoding.BASE64)
    if as_json:
        fields = [_fields(each) for each in made]
        where: dict[str, Value] = {"container": container.decode()} if output is None else {"file": str(output)}
        answer({"delegations": fields, **where})
    elif output is None:
        line(container.decode())
    for each in made:
        say(f"{each.link}: {each}")


def _fields(each: Delegation) -> Value:
    return {
        "cid": each.link,
        "iss": each.iss,
        "aud": each.aud,
        "sub": each.sub,
        "cmd": str(each.cmd),
        "exp": each.exp,
    }
