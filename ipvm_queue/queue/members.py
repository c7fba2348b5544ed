"""The members of a bundle: tokens and blocks by the CIDs that they hash to, and what to say of one that is not there.

A changed member hashes to another CID, so that what names it does not find it. Whether it was changed, replaced or left
out is told by what else is in the bundle that nobody names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import MAX_ITEMS, Link, count_items, decode
from ipvm_queue.queue.verdict import Flaw, Verdict, verdict_of
from ipvm_queue.ucan import Container, Delegation, Invocation, MalformedError, Token, UcanError, Validator
from ipvm_queue.ucan.meter import Meter
from ipvm_queue.ucan.proof import check_chain, check_policies, is_same
from ipvm_queue.ucan.token import INVOCATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan import Authority

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_MEMBERS: Final = 100_000
MAX_VALUES: Final = MAX_ITEMS  # in all members together: it is their number that takes memory


class Members:
    """What a bundle holds. Raises `MalformedError` for bytes that are no container.

    `meter` counts what judging all the policies in it costs.
    """

    def __init__(self, data: bytes) -> None:
        self.tokens = dict(Container.read(data, max_bytes=MAX_BYTES, max_tokens=MAX_MEMBERS).tokens)
        self.invocations: dict[Link, Invocation] = {}
        self.delegations: dict[Link, Delegation] = {}
        self.blocks: dict[Link, Value] = {}
        self.used: set[Link] = set()
        self._unfit: dict[Link, UcanError] = {}
        self._garbage: set[Link] = set()
        self._named: set[Link] = set()
        self.meter = Meter.of(len(data))
        self._validator = Validator(meter=self.meter)
        left = MAX_VALUES
        for link, member in self.tokens.items():
            try:
                left -= count_items(member, left)
            except LimitError:
                raise MalformedError(f"a bundle has at most {MAX_VALUES} values, this one has more") from None
            self._take(link, member)

    def _take(self, link: Link, data: bytes) -> None:
        try:
            value = decode(data)
        except CodecError:
            self._garbage.add(link)
            return
        self._named.update(_links(value))
        if not _is_envelope(value):
            self.blocks[link] = value
            return
        try:
            token = Token.open(data)
            if token.kind == INVOCATION:
                self.invocations[link] = Invocation.of(token)
            else:
                self.delegations[link] = Delegation.of(token)
        except UcanError as error:
            self._unfit[link] = error

    def add(self, data: bytes) -> Invocation:
        """Take one more invocation in, that the reader of the bundle has; raises `UcanError`."""
        found = Invocation.parse(data)
        self.tokens[found.link] = data
        self.invocations[found.link] = found
        return found

    @property
    def unused(self) -> tuple[Link, ...]:
        """The members that no step has used."""
        return tuple(link for link in self.tokens if link not in self.used)

    def invocation(self, link: Link, command: str, name: str) -> Invocation:
        """Return the invocation of a CID; raises a `Flaw` where it is not there. `name` is what to call it."""
        found = self.invocations.get(link)
        if found is not None:
            self.used.add(link)
            return found
        raise self.absent(link, name, lambda each: str(each.cmd) == command)

    def block(self, link: Link, name: str) -> Value:
        """Return the block of a CID; raises a `Flaw` where it is not there."""
        if link in self.blocks:
            self.used.add(link)
            return self.blocks[link]
        strays = self._garbage or {each for each in self.blocks if each not in self._named}
        if strays:
            raise Flaw(Verdict.ALTERED, f"{name} {link} was changed: what is here in its place is {next(iter(strays))}")
        raise Flaw(Verdict.MISSING, f"{name} {link} is not in the bundle")

    def data(self, link: Link, name: str) -> bytes:
        """Return the bytes of a block; raises a `Flaw` where it is not there."""
        self.block(link, name)
        return self.tokens[link]

    def authority(self, invocation: Invocation, name: str, *, now: int, audience: str) -> Authority:
        """Return the authority of an invocation, validated as at the time `now`; raises a `Flaw`."""
        try:
            found = self._validator.invocation(invocation, self.tokens, now=now, audience=audience)
        except UcanError as error:
            raise self._flaw(error, invocation, name) from error
        self.used.update(invocation.prf)
        return found

    @property
    def validator(self) -> Validator:
        """What remembers the tokens that were good."""
        return self._validator

    def about(self, subject: str) -> dict[Link, bytes]:
        """Return the delegations about a subject, and those about none, which are for whatever their issuer may."""
        found = {
            link: each.data for link, each in self.delegations.items() if each.sub is None or is_same(each.sub, subject)
        }
        self.used.update(found)
        return found

    def verify(self, invocation: Invocation, name: str) -> None:
        """Raise a `Flaw` unless a token is signed by its issuer."""
        try:
            invocation.token.verify(invocation.iss)
        except UcanError as error:
            raise Flaw(verdict_of(error), f"{name}: {error.message}") from error

    def absent(self, link: Link, name: str, like: Callable[[Invocation], bool]) -> Flaw:
        """Return what is to be said of an invocation that is named and not there."""
        return self._absent(link, name, (each for each in self.invocations.values() if like(each)))

    def _absent(self, link: Link, name: str, like: Iterator[Invocation | Delegation]) -> Flaw:
        if link in self._unfit:
            return Flaw(verdict_of(self._unfit[link]), f"{name} {link}: {self._unfit[link].message}")
        strays = [each for each in like if each.link not in self._named and each.link not in self.used]
        changed = [each.link for each in strays if not _is_signed(each)]
        changed += [each for each in (*self._garbage, *self._unfit) if each not in self._named]
        if changed:
            return Flaw(Verdict.ALTERED, f"{name} {link} was changed: what is here in its place is {changed[0]}")
        if strays:
            return Flaw(Verdict.SWAPPED, f"{name} {link} is not in the bundle, in its place is {strays[0].link}")
        return Flaw(Verdict.MISSING, f"{name} {link} is not in the bundle")

    def _flaw(self, error: UcanError, invocation: Invocation, name: str) -> Flaw:
        verdict = verdict_of(error)
        if verdict is Verdict.MISSING:
            proof = next((link for link in invocation.prf if link not in self.delegations), None)
            if proof is not None:
                return self._absent(proof, f"a proof of {name},", iter(self.delegations.values()))
        elif verdict is Verdict.DELEGATED and self._in_order(invocation):
            return Flaw(Verdict.REORDERED, f"the proofs of {name} are in a wrong order: the subject's comes first")
        return Flaw(verdict, f"{name}: {error.message} ({error.name})")

    def _in_order(self, invocation: Invocation) -> bool:
        """Whether the proofs of an invocation would be a good chain in another order."""
        left = [self.delegations[link] for link in invocation.prf]
        chain: list[Delegation] = []
        holder = invocation.sub
        while left:
            following = next((each for each in left if is_same(each.iss, holder)), None)
            if following is None:
                return False
            left.remove(following)
            chain.append(following)
            holder = following.aud
        try:
            check_chain(invocation, chain)
            check_policies(invocation.args, chain, promises=True, meter=self.meter)
        except UcanError:
            return False
        return tuple(each.link for each in chain) != invocation.prf


def _is_envelope(value: Value) -> bool:
    match value:
        case [bytes(), dict() as body]:
            return len(body) == 2 and all(isinstance(key, str) for key in body)  # noqa: PLR2004 - "h" and the payload
    return False


def _is_signed(token: Invocation | Delegation) -> bool:
    try:
        token.token.verify(token.iss)
    except UcanError:
        return False
    return True


def _links(value: Value) -> Iterator[Link]:
    ahead: list[Any] = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, Link):
            yield item
        elif isinstance(item, list):
            ahead.extend(item)
        elif isinstance(item, dict):
            ahead.extend(item.values())
