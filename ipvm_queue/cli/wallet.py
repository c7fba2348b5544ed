"""`ipvm ucan mint` and `ipvm ucan exchange`: JWTs of UCAN 0.8.1, for older wallets and from them."""

from __future__ import annotations

import time as clock
from pathlib import Path

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.errors import UsageError

_DAY = 86_400
_MAX_BYTES = 64 * 1024
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("audience", type=options.Did(), help="The DID of whom the JWT is for.")
@click.option("--key", type=_FILE, metavar="FILE", help="Whose right it is; default: the queue's own key.")
@click.option(
    "--queue", metavar="DID", type=options.Did(), help="The queue that may be pushed to; default: the key's own DID."
)
@click.option("--days", type=options.DAYS, default=30.0, show_default=True, help="How long.")
@click.option("--proof", "proofs", multiple=True, metavar="JWT", help="What lets the key's holder do so. Repeatable.")
@options.as_json
def mint(
    audience: str, key: Path | None, queue: str | None, days: float, proofs: tuple[str, ...], *, as_json: bool
) -> None:
    """Print a JWT by which an older wallet may push to a queue.

    Its holder has it exchanged at the gate: ipvm ucan exchange. Needs py-ucan (the extra jwt).

    Example: ipvm ucan mint did:key:z6Mk… --days 7 > wallet.jwt
    """
    from ipvm_queue.crypto import load_signer
    from ipvm_queue.ucan import UcanError
    from ipvm_queue.ucan.classic import mint as make

    signer = load_signer(key or options.settings().queue_key)
    given = [_read(proof) for proof in proofs]
    until = int(clock.time() + days * _DAY)
    try:
        text = make(signer, audience, f"queue:{queue or signer.did}", expiration=until, proofs=given)
    except UcanError as error:
        raise UsageError(f"this cannot be minted: {error.message}", hint=error.hint) from error
    if as_json:
        answer({"jwt": text, "iss": signer.did, "aud": audience})
    else:
        line(text)


@click.command()
@click.argument("jwt", help="A JWT: a file, - for standard input, or its text.")
@options.connecting
def exchange(jwt: str, broker: str | None, key: Path | None, *, as_json: bool) -> None:
    """Exchange a JWT of an older wallet for a delegation to push, and keep that among your proofs.

    The key has to be the one that the JWT is for. What the gate gives is good for an hour at most.

    Example: ipvm ucan exchange wallet.jwt
    """
    from ipvm_queue.ucan import UcanError
    from ipvm_queue.ucan.classic import queue_of

    text = _read(jwt)
    try:
        queue_of(text)
    except UcanError as error:
        raise UsageError(f"{jwt[:80]} cannot be exchanged: {error.message}", hint=error.hint) from error
    with options.connected(broker, key, workers=True) as client:  # the gate judges it
        given = client.exchange(text)
        path = client.settings.proofs
    if as_json:
        answer({"delegation": given.link, "aud": given.aud, "sub": given.sub, "exp": given.exp, "file": str(path)})
    else:
        line(str(given))
        line(f"until {clock.strftime('%Y-%m-%d %H:%M:%S %Z', clock.localtime(given.exp))}, kept in {path}")


def _read(source: str) -> str:
    """Return the text of a JWT: what is given, or what the file of that name holds."""
    if source.startswith("eyJ"):
        return source
    try:
        with click.open_file(source, encoding="ascii", errors="replace") as file:
            return str(file.read(_MAX_BYTES + 1)).strip()
    except OSError as error:
        raise UsageError(f"cannot read the JWT {source[:80]}: {error.strerror}") from error
