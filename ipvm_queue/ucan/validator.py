"""`Validator`: whether a token may be acted upon (UCAN Invocation 1.0 "Validation").

Rules are looked at in one order, cheap ones first, and the first that is broken is the answer: form, version,
algorithm, fields; audience; signature; time; proofs (there, each valid in itself, not revoked); chain; policies;
replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ipvm_queue.ipld import DAG_CBOR, Link
from ipvm_queue.ucan.delegation import Delegation
from ipvm_queue.ucan.errors import (
    InvalidAudienceError,
    PromisePendingError,
    ReplayError,
    RevokedError,
    UnavailableProofError,
)
from ipvm_queue.ucan.invocation import Invocation
from ipvm_queue.ucan.memo import MAX_BYTES, Memo
from ipvm_queue.ucan.proof import check_chain, check_path, check_policies, is_same
from ipvm_queue.ucan.window import LEEWAY, check_time

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Mapping, Sequence

    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.meter import Meter
    from ipvm_queue.ucan.replay import Replays

AnyToken = TypeVar("AnyToken", Delegation, Invocation)


@dataclass(frozen=True, slots=True)
class Authority:
    """A valid invocation and the delegations that allow it, that of the subject first.

    `settled` says that every policy holds; where it is False, one hangs on promises that the args still have.
    """

    invocation: Invocation
    proofs: tuple[Delegation, ...]
    settled: bool

    def authorise(self, args: Value = None) -> None:
        """Raise `MatchError` unless the policies hold for resolved `args`: the last look before execution.

        Without `args` those of the invocation are taken; raises `PromisePendingError` if they await other Tasks. In
        resolved args a map that looks like a promise is data.
        """
        if args is None and self.invocation.awaits:
            waiting = ", ".join(sorted(map(str, self.invocation.awaits)))
            raise PromisePendingError(f"the args await {waiting}", token=self.invocation.link)
        check_policies(self.invocation.args if args is None else args, self.proofs, promises=False)


class Validator:
    """Validates invocations and delegations; remembers what never changes about those that were good.

    `leeway` is how far clocks may differ, in seconds; `max_bytes` bounds what is remembered; `meter` what judging all
    the policies costs, where that is not bounded for each invocation by itself.
    """

    def __init__(self, *, leeway: int = LEEWAY, max_bytes: int = MAX_BYTES, meter: Meter | None = None) -> None:
        self._leeway = leeway
        self._meter = meter
        self._delegations: Memo[Delegation] = Memo(max_bytes // 3)
        self._invocations: Memo[Invocation] = Memo(max_bytes // 3)
        self._authorities: Memo[Authority] = Memo(max_bytes // 3)

    def invocation(
        self,
        data: bytes | Invocation,
        proofs: Mapping[Link, bytes],
        *,
        now: int,
        audience: str | Collection[str] | None = None,
        revoked: Container[Link] = frozenset(),
        replays: Replays | None = None,
        leeway: int | None = None,
    ) -> Authority:
        """Return the authority of an invocation, which may be parsed; raises the `UcanError` of the first broken rule.

        `proofs` has delegations under their CIDs, `now` is in Unix seconds, `audience` the DIDs that the executor may
        act for (None: whoever is named), `revoked` the CIDs of revoked delegations, and `replays` what came before.
        """
        leeway = self._leeway if leeway is None else leeway
        link = data.link if isinstance(data, Invocation) else Link.of(data, DAG_CBOR)
        known = self._invocations.get(link)
        invocation = known or (data if isinstance(data, Invocation) else Invocation.parse(data))
        _check_executor(invocation.executor, audience, link)
        if known is None:
            _verify(invocation, self._invocations)
        _check_now(invocation, now, leeway, revoked)
        found = self._resolve(invocation, proofs)
        chain = tuple(self._proof(proof, now, leeway, revoked) for proof in found)
        authority = self._authorities.get(link) or self._decide(invocation, chain)
        if replays is not None and invocation.nonce:
            until = None if invocation.exp is None else invocation.exp + leeway + 1
            if not replays.is_first(invocation.replay_key, until):
                raise ReplayError("this invocation has come before", token=link)
        return authority

    def delegation(
        self,
        data: bytes,
        proofs: Sequence[bytes] = (),
        *,
        now: int,
        audience: str | Collection[str] | None = None,
        revoked: Container[Link] = frozenset(),
        leeway: int | None = None,
    ) -> Delegation:
        """Return a valid delegation; raises the `UcanError` of the first rule that is broken.

        With `proofs`, those before it, that of the subject first, they have to be a chain that ends with it.
        """
        leeway = self._leeway if leeway is None else leeway
        link = Link.of(data, DAG_CBOR)
        known = self._delegations.get(link)
        delegation = known or Delegation.parse(data)
        _check_executor(delegation.aud, audience, link)
        if known is None:
            _verify(delegation, self._delegations)
        _check_now(delegation, now, leeway, revoked)
        chain = [self._proof(proof, now, leeway, revoked) for proof in proofs]
        if chain:
            subject = delegation.sub or chain[0].sub or chain[0].iss
            check_path(subject, [*chain, delegation])
        return delegation

    def form(self, data: bytes) -> Delegation:
        """Return a delegation whose form and signature are good, whatever its time and whoever's it is."""
        return self._delegations.get(Link.of(data, DAG_CBOR)) or _verified(data, self._delegations)

    def _resolve(self, invocation: Invocation, proofs: Mapping[Link, bytes]) -> list[Delegation | bytes]:
        found: list[Delegation | bytes] = []
        for link in invocation.prf:
            data = proofs.get(link)
            known = self._delegations.get(link)
            if data is None or (known is None and Link.of(data, DAG_CBOR) != link):
                raise UnavailableProofError(
                    f"the proof {link} is not there", hint="send it along in the container", token=invocation.link
                )
            found.append(known or data)
        return found

    def _proof(self, proof: Delegation | bytes, now: int, leeway: int, revoked: Container[Link]) -> Delegation:
        if isinstance(proof, bytes):
            proof = self.form(proof)
        _check_now(proof, now, leeway, revoked)
        return proof

    def _decide(self, invocation: Invocation, proofs: tuple[Delegation, ...]) -> Authority:
        check_chain(invocation, proofs)
        settled = check_policies(invocation.args, proofs, promises=True, meter=self._meter)
        authority = Authority(invocation, proofs, settled)
        size = len(invocation.data) + sum(len(proof.data) for proof in proofs)
        self._authorities.put(invocation.link, authority, size)
        return authority


def _verified(data: bytes, memo: Memo[Delegation]) -> Delegation:
    delegation = Delegation.parse(data)
    _verify(delegation, memo)
    return delegation


def _verify(token: AnyToken, memo: Memo[AnyToken]) -> None:
    token.token.verify(token.iss)
    memo.put(token.link, token, len(token.data))


def _check_executor(named: str, audience: str | Collection[str] | None, token: Link) -> None:
    if audience is None:
        return
    own = (audience,) if isinstance(audience, str) else audience
    if not any(is_same(named, did) for did in own):
        raise InvalidAudienceError(f"addressed to {named}, not to {', '.join(own)}", token=token)


def _check_now(token: Delegation | Invocation, now: int, leeway: int, revoked: Container[Link]) -> None:
    check_time(token, now, leeway)
    if token.link in revoked:
        raise RevokedError(f"{token.link} has been revoked", token=token.link)
