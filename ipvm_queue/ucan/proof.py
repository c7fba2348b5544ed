"""Proof chains: from the subject, delegation by delegation, to the invoker.

The rules look at one chain alone, whose tokens have been verified and are within their time. What a chain grants is
the intersection of what its delegations do, so that a powerline wider than the delegation before it widens nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ipvm_queue.ucan.errors import (
    ImpossibleAttenuationError,
    InvalidAudienceError,
    InvalidClaimError,
    InvalidSubjectError,
    MatchError,
    UcanError,
)
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.token import without_fragment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan.command import Command
    from ipvm_queue.ucan.delegation import Delegation
    from ipvm_queue.ucan.invocation import Invocation


def check_chain(invocation: Invocation, proofs: Sequence[Delegation]) -> None:
    """Raise unless `proofs`, root first, lead from the invocation's subject to its issuer and cover its command.

    Raises `InvalidClaimError`, `InvalidSubjectError`, `InvalidAudienceError` or `ImpossibleAttenuationError`.
    """
    if not proofs:
        if is_same(invocation.iss, invocation.sub):
            return
        raise InvalidClaimError(
            f"{invocation.iss} is not the subject, and no proof says that it may act for it",
            hint="name the delegations from the subject to the issuer in 'prf'",
            token=invocation.link,
        )
    check_path(invocation.sub, proofs)
    _check_audience(proofs[-1], invocation.iss, invocation.link)
    check_commands(invocation.cmd, proofs)


def check_path(subject: str, proofs: Sequence[Delegation]) -> None:
    """Raise unless `proofs` are a chain of delegations about `subject` that starts with it; there is one at least."""
    root = proofs[0]
    if root.sub is None:
        raise InvalidClaimError("the first proof is a powerline; nobody's authority passes it on", token=root.link)
    for proof in proofs:
        if proof.sub is not None and not is_same(proof.sub, subject):
            raise InvalidSubjectError(f"the proof is about {proof.sub}, not {subject}", token=proof.link)
    if not is_same(root.iss, subject):
        raise InvalidAudienceError(
            f"the first proof is by {root.iss}, not by the subject {subject}",
            hint="proofs go from the subject to the invoker",
            token=root.link,
        )
    for before, after in pairwise(proofs):
        _check_audience(before, after.iss, after.link)


def check_commands(command: Command, proofs: Sequence[Delegation]) -> None:
    """Raise `ImpossibleAttenuationError` unless every proof covers `command`."""
    for proof in proofs:
        if not proof.cmd.proves(command):
            raise ImpossibleAttenuationError(f"the proof is for {proof.cmd}, not {command}", token=proof.link)


def check_policies(args: Value, proofs: Sequence[Delegation], *, promises: bool, meter: Meter | None = None) -> bool:
    """Raise `MatchError` where a policy is false of `args`; return whether all of them are true.

    With `promises`, statements that reach a promise are left open, and the answer is False if one decides. Without,
    `args` are taken as they are. `meter` counts what it costs together with other judgements.
    """
    meter = meter or Meter()
    meter.promises = promises
    settled = True
    for place, proof in enumerate(proofs):
        try:
            verdict = proof.pol.judge(args, meter)
        except UcanError as error:
            raise error.on(proof.link) from None
        if verdict is False:
            statement = proof.pol.first_false(args, meter)
            raise MatchError(f"pol[{statement}] of proof {place} does not hold for the args", token=proof.link)
        settled = settled and verdict is True
    return settled


def is_same(one: str, other: str) -> bool:
    """Whether two DIDs are the same principal."""
    return one == other or without_fragment(one) == without_fragment(other)


def _check_audience(before: Delegation, issuer: str, token: Link) -> None:
    if not is_same(before.aud, issuer):
        raise InvalidAudienceError(f"the proof before it is for {before.aud}, not for {issuer}", token=token)
