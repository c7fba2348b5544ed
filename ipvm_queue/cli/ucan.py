"""`ipvm ucan`: read and validate UCAN tokens."""

from __future__ import annotations

import json
import sys
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.wallet import exchange, mint
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from ipvm_queue.ucan import Validator

_NEEDED = {"token": str, "time": int}
_OPTIONAL = {"proofs": list, "audience": str, "revoked": list, "leeway": int, "kind": str}
_MAX_BYTES = 4 * 1024 * 1024
_MAX_PATH = 128
_KINDS = ("invocation", "delegation")


@click.group()
def ucan() -> None:
    """Read and validate UCAN tokens; JWTs of older wallets."""


ucan.add_command(mint)
ucan.add_command(exchange)


@ucan.command()
def validate() -> int:
    """Validate the tokens that standard input names, as JSON: one object, or a list of them.

    Each is {"token": base64, "proofs": [base64], "time": seconds, "audience": did, "revoked": [cid], "leeway":
    seconds, "kind": "invocation" or "delegation"}. Only token and time have to be there; leeway is 0 and kind is
    invocation if they are not. The answer to each is {"valid": true} or {"valid": false, "error": {"name",
    "message"}}, to a list the list of them. A delegation's proofs are those before it, that of the subject first.

    Example: ipvm ucan validate < requests.json
    """
    from ipvm_queue.ucan import Validator

    try:
        asked = json.loads(sys.stdin.buffer.read())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"standard input is no JSON: {error}", hint="ipvm ucan validate --help shows it") from error
    validator = Validator()
    if isinstance(asked, list):
        answer([_verdict(validator, item, f"item {place}") for place, item in enumerate(asked)])
    else:
        answer(_verdict(validator, asked, "the request"))
    return 0


@ucan.command()
@click.argument("token", help="A token, container or JWT: a file, - for standard input, or its text.")
@click.option("--time", type=int, metavar="SECONDS", help="Validate at this Unix time; default: now.")
@options.as_json
def inspect(token: str, time: int | None, *, as_json: bool) -> int:
    """Print what a token, container or JWT says, with its chain of proofs.

    The first rule that is broken is marked where it is. Nobody's audience is asked for and no revocation is known.

    Example: ipvm ucan inspect delegation.ucan
    """
    from ipvm_queue.cli.tokens import describe, lines

    found = describe(_read(token), int(clock.time()) if time is None else time)
    if as_json:
        answer(found)
        return 0
    for text in lines(found):
        line(text)
    return 0


def _read(source: str) -> bytes:
    """Return the bytes of a file or of standard input, else the text itself."""
    if source == "-":
        return sys.stdin.buffer.read(_MAX_BYTES)
    try:
        with Path(source).open("rb") as file:
            return file.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        if len(source) <= _MAX_PATH and isinstance(error, OSError):
            raise UsageError(f"cannot read {source}: {error.strerror}") from error
        return source.encode()  # no file has such a name, and no token is as short as one


def _verdict(validator: Validator, item: object, where: str) -> dict[str, Any]:
    from ipvm_queue.ipld import DAG_CBOR, Link
    from ipvm_queue.ucan import UcanError

    request = _request(item, where)
    now, audience, leeway = request["time"], request.get("audience"), request.get("leeway", 0)
    revoked = _links(request.get("revoked", []), where)
    try:
        token = _bytes(request["token"])
        proofs = [_bytes(proof) for proof in request.get("proofs", [])]
        if request.get("kind", _KINDS[0]) == _KINDS[0]:
            by_link = {Link.of(proof, DAG_CBOR): proof for proof in proofs}
            validator.invocation(token, by_link, now=now, audience=audience, revoked=revoked, leeway=leeway)
        else:
            validator.delegation(token, proofs, now=now, audience=audience, revoked=revoked, leeway=leeway)
    except UcanError as error:
        return {"valid": False, "error": {"name": error.name, "message": error.message}}
    return {"valid": True}


def _request(item: object, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UsageError(f"{where} is no object")
    kinds = _NEEDED | _OPTIONAL
    request = {name: value for name, value in item.items() if value is not None}
    for name in sorted(_NEEDED.keys() - request.keys()):
        raise UsageError(f"{where} has no {name!r}")
    for name, value in request.items():
        if name not in kinds:
            raise UsageError(f"{where} has {name!r}, which there is not", hint=f"known are {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise UsageError(f"{name!r} of {where} is not {kinds[name].__name__}")
    if request.get("kind", _KINDS[0]) not in _KINDS:
        raise UsageError(f"'kind' of {where} is neither {' nor '.join(_KINDS)}")
    return request


def _links(texts: list[object], where: str) -> frozenset[Any]:
    from ipvm_queue.errors import CodecError
    from ipvm_queue.ipld import Link

    try:
        return frozenset(Link.parse(str(text)) for text in texts)
    except CodecError as error:
        raise UsageError(f"'revoked' of {where}: {error.message}", hint=error.hint) from error


def _bytes(text: object) -> bytes:
    from ipvm_queue.cli.tokens import from_base64
    from ipvm_queue.ucan import MalformedError

    found = from_base64(text) if isinstance(text, str) else None
    if found is None:
        raise MalformedError("the token is not base64")
    return found
