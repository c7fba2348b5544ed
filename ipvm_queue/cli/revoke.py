"""`ipvm revoke`: taking a delegation back, for good."""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import click

from ipvm_queue.cli import options
from ipvm_queue.cli.answer import answer, line
from ipvm_queue.cli.words import plural
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.queue import Proofs, Request
    from ipvm_queue.ucan import Delegation


@click.command()
@click.argument("cid", type=options.Cid(), help="Which delegation.")
@click.option(
    "--proof",
    "files",
    metavar="FILE",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A container that it stands in, with those that it follows from. Repeatable.",
)
@options.connecting
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the revocation here, and send it nowhere; whoever gets it may pass it on.",
)
def revoke(
    cid: Link,
    files: tuple[Path, ...],
    broker: str | None,
    key: Path | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Take a delegation back, and have the queue act on it.

    Whoever issued it may, and whoever issued one that it follows from. Leases and broker users that hang on it end,
    and so do runs; it cannot be undone.

    \b
    Example:
      ipvm revoke bafyrei... --proof worker.ucan --key queue.pem
    """  # noqa: D301 - \b keeps click from filling the lines
    from ipvm_queue.crypto import load_signer
    from ipvm_queue.queue import Proofs

    proofs = Proofs.load(files)
    signer = load_signer(key or options.settings().key)
    asked = request(signer, cid, proofs)
    if output is not None:
        from ipvm_queue.queue.agents import write

        write(output, asked.container.write())
        _tell({"revocation": asked.invocation.link, "revoked": cid, "file": str(output)}, as_json=as_json)
        return
    known = {signer.did, *(did for each in proofs.delegations for did in (each.iss, each.aud, each.sub) if did)}
    with options.connected(broker, key, workers=True) as client:  # the gate judges it
        client.counter.meet(known)
        done = client.request(asked)
    _tell({"revocation": asked.invocation.link, **done}, as_json=as_json)


def request(signer: Signer, cid: Link, proofs: Proofs) -> Request:
    """Return the revocation of a delegation, its path with it; raises `UsageError` where it would revoke nothing.

    Also its issuer sends the path where there is one: it says that the delegation hangs on something of the queue.
    """
    from ipvm_queue.queue import Request
    from ipvm_queue.ucan import Container, revoke
    from ipvm_queue.ucan.proof import is_same

    target = next((each for each in proofs.delegations if each.link == cid), None)
    if target is None:
        raise UsageError(f"the delegation {cid} is in none of the files", hint="ipvm ucan inspect FILE lists them")
    path = _path(target, signer, proofs)
    if not path and not is_same(target.iss, signer.did):
        raise UsageError(
            f"{signer.did} issued neither {target.link} nor one that it follows from",
            hint=f"revoke with the key of {target.iss} (--key FILE), or give the delegations before it (--proof FILE)",
        )
    asked = revoke(signer, cid, [each.link for each in path])
    return Request(asked, Container.of([asked.data, target.data, *(each.data for each in path)]))


def _path(target: Delegation, signer: Signer, proofs: Proofs) -> Sequence[Delegation]:
    """Return a chain that ends with a delegation and has one of the signer's in it, rather one that holds now.

    Of a powerline, which may be about anything, the signer has to be the issuer. Empty where there is none.
    """
    from ipvm_queue.ucan.proof import is_same

    powerline = target.sub is None and is_same(target.iss, signer.did)
    subjects = dict.fromkeys(each.sub for each in proofs.delegations) if powerline else [target.sub]
    for now in (int(time()), None):
        for subject in filter(None, subjects):
            for chain in proofs.chains(subject, target.aud, target.cmd, now=now):
                if chain[-1].link == target.link and any(is_same(each.iss, signer.did) for each in chain):
                    return chain
    return ()


def _tell(found: dict[str, Value], *, as_json: bool) -> None:
    if as_json:
        answer(found)
        return
    line(str(found["revocation"]))
    if "file" not in found:
        runs = found.get("runs")
        ended = plural(len(runs) if isinstance(runs, list) else 0, "run")
        line(f"ended: {plural(found.get('leases', 0), 'lease')}, {ended}")
