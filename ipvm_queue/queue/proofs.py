"""`Proofs`: delegations at hand, and the chains that they make."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import UsageError
from ipvm_queue.ucan import Command, Container, Delegation, InvalidClaimError, RevokedError, UcanError, Validator
from ipvm_queue.ucan.fields import MAX_PROOFS
from ipvm_queue.ucan.proof import is_same
from ipvm_queue.ucan.token import without_fragment
from ipvm_queue.ucan.window import check_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from ipvm_queue.ipld import Link

    Chain = tuple[Delegation, ...]

_MAX_FILE: Final = 2 * 1024 * 1024
_TAG: Final = b"ucan/dlg@"
_MAX_CHAINS: Final = 4096  # that are begun: a container of others must not make a search long


class Proofs:
    """Delegations by CID; `chains` finds those that lead from a subject to a principal.

    A delegation whose form or signature is wrong is in no chain; where nothing else is there, it is complained of.
    """

    def __init__(self, tokens: Mapping[Link, bytes], validator: Validator | None = None) -> None:
        validator = validator or Validator()
        self.tokens = dict(tokens)
        self.delegations: list[Delegation] = []
        self._broken: UcanError | None = None
        for data in tokens.values():
            if _TAG not in data:  # an invocation that travels along
                continue
            try:
                self.delegations.append(validator.form(data))
            except UcanError as error:
                self._broken = self._broken or error

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Proofs:
        """Return what stands in container files; raises `UsageError` for one that cannot be read."""
        tokens: dict[Link, bytes] = {}
        for path in paths:
            try:
                with path.open("rb") as file:
                    data = file.read(_MAX_FILE + 1)
                tokens |= Container.read(data).tokens
            except OSError as error:
                raise UsageError(f"cannot read the proofs {path}: {error.strerror}") from error
            except UcanError as error:
                raise UsageError(f"{path} is no container of proofs: {error.message}") from error
        return cls(tokens)

    def chains(
        self, subject: str, audience: str, command: Command, *, now: int | None = None, revoked: Collection[Link] = ()
    ) -> Iterator[Chain]:
        """Yield the chains, shortest first, that let `audience` perform `command` on `subject`, root first.

        With `now` (Unix seconds) those alone that hold then; what is in `revoked` is in none.
        """
        following: dict[str, list[Delegation]] = defaultdict(list)
        for each in self.delegations:
            about = each.sub is None or is_same(each.sub, subject)
            if about and each.cmd.proves(command) and self._holds(each, now, revoked):
                following[without_fragment(each.iss)].append(each)
        ahead: deque[Chain] = deque((each,) for each in following[without_fragment(subject)] if each.sub is not None)
        left = _MAX_CHAINS
        while ahead:
            chain = ahead.popleft()
            end = without_fragment(chain[-1].aud)
            if is_same(end, audience):
                yield chain
            if len(chain) == MAX_PROOFS:
                continue
            for each in following[end][:left]:
                if not any(each is other for other in chain):
                    ahead.append((*chain, each))
                    left -= 1

    def chain(
        self, subject: str, audience: str, command: str, *, now: int | None = None, revoked: Collection[Link] = ()
    ) -> Chain:
        """Return the shortest chain; raises the `UcanError` that says why there is none."""
        parsed = Command.parse(command)
        for found in self.chains(subject, audience, parsed, now=now, revoked=revoked):
            return found
        raise self.lacking(subject, audience, parsed, now=now, revoked=revoked)

    def lacking(
        self, subject: str, audience: str, command: Command, *, now: int | None = None, revoked: Collection[Link] = ()
    ) -> UcanError:
        """Return the error that says why there is no such chain: the rule that the nearest one breaks."""
        for found in self.chains(subject, audience, command):
            for each in found:
                try:
                    _check(each, now, revoked)
                except UcanError as error:
                    return error
        hint = "ask for a delegation (ipvm delegate), and send it along (--proof FILE)"
        return self._broken or InvalidClaimError(f"no proof lets {audience} perform {command} on {subject}", hint=hint)

    def subjects(self, audience: str, command: str, *, now: int | None = None) -> list[str]:
        """Return the subjects on which `audience` may perform `command`.

        Those come first whose delegations say that command and not just one above it.
        """
        parsed = Command.parse(command)
        named = dict.fromkeys(each.sub for each in self.delegations if each.sub is not None)
        found: dict[str, int] = {}
        for subject in named:
            chain = next(self.chains(subject, audience, parsed, now=now), None)
            if chain is not None:
                found[subject] = min(len(each.cmd.segments) for each in chain)
        return sorted(found, key=lambda subject: -found[subject])

    @staticmethod
    def _holds(delegation: Delegation, now: int | None, revoked: Collection[Link]) -> bool:
        try:
            _check(delegation, now, revoked)
        except UcanError:
            return False
        return True


def _check(delegation: Delegation, now: int | None, revoked: Collection[Link]) -> None:
    if now is not None:
        check_time(delegation, now)
    if delegation.link in revoked:
        raise RevokedError(f"{delegation.link} has been revoked", token=delegation.link)
