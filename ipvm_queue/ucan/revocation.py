"""Revocation: taking a delegation back, for good (UCAN Revocation 1.0 draft).

An invocation of `/ucan/revoke` on the revoker, `args: {revoke: &Delegation, path?: [&Delegation]}`. Revoke may who
issued the delegation, and who issued one further up a chain that leads to it; `path` is that chain, and has to be
sent along as a witness. A powerline follows from nothing, so that its issuer alone may. A stranger's revocation is
none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipvm_queue.ipld import Link
from ipvm_queue.ucan.errors import InvalidClaimError, MalformedArgumentsError, UnavailableProofError
from ipvm_queue.ucan.fields import MAX_PROOFS
from ipvm_queue.ucan.invocation import Invocation
from ipvm_queue.ucan.proof import check_path, is_same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ucan.delegation import Delegation
    from ipvm_queue.ucan.validator import Authority, Validator

REVOKE: Final = "/ucan/revoke"


@dataclass(frozen=True, slots=True)
class Revocation:
    """`revoker` (a DID) takes back the delegation that `path` ends with, for as long as `expires` says.

    That is when it would have lapsed anyway. `path` are the delegations that lead to it, as the revoker has shown them.
    """

    revoker: str
    path: tuple[Delegation, ...]
    expires: int | None

    @property
    def revoked(self) -> Link:
        """The CID of what is taken back."""
        return self.path[-1].link

    @property
    def links(self) -> frozenset[Link]:
        """All CIDs that it goes by: of a P-256 signature there is another form."""
        return self.path[-1].token.links


def revoke(signer: Signer, delegation: Link, path: Sequence[Link] = ()) -> Invocation:
    """Return a new revocation. You can read it as "(signer) takes (delegation) back".

    `path` is needed where the signer did not issue it: the chain from the subject to the delegation, that included.
    """
    args = {"revoke": delegation, "path": list(path)} if path else {"revoke": delegation}
    return Invocation.issue(signer, signer.did, REVOKE, args, expiration=None, nonce=b"")


def read_revocation(authority: Authority, tokens: Mapping[Link, bytes], validator: Validator) -> Revocation:
    """Return what a valid invocation of `/ucan/revoke` revokes, after a look at the witness in `tokens`.

    Signatures and chain of the witness are verified; its times and whether any of it was revoked before are not: what
    has lapsed can be revoked. Raises `MalformedArgumentsError`, `UnavailableProofError` or `InvalidClaimError`, or what
    is wrong with the path.
    """
    invocation = authority.invocation
    path: list[Delegation] = []
    for link in _arguments(invocation):
        if link not in tokens:
            raise UnavailableProofError(f"{link} of the revocation's path is not there", token=invocation.link)
        path.append(validator.form(tokens[link]))
        if path[-1].link != link:
            raise UnavailableProofError(f"{link} of the revocation's path is not there", token=invocation.link)
    revoker = invocation.sub
    if not is_same(path[-1].iss, revoker):
        _check_upstream(revoker, path, invocation.link)
    return Revocation(revoker, tuple(path), path[-1].exp)


def _check_upstream(revoker: str, path: Sequence[Delegation], token: Link) -> None:
    """Raise unless `revoker` issued a delegation of a whole chain that ends with the revoked one."""
    subject = path[-1].sub
    if subject is None or not any(is_same(delegation.iss, revoker) for delegation in path):
        raise InvalidClaimError(
            f"{revoker} issued neither the delegation nor one that it follows from",
            hint="revoke with the key of its issuer, or send 'path' from the subject on",
            token=token,
        )
    check_path(subject, path)
    for before in path:
        if not (before.cmd.proves(path[-1].cmd) or path[-1].cmd.proves(before.cmd)):
            raise InvalidClaimError(
                f"{path[-1].cmd} does not follow from {before.cmd}: this path grants nothing", token=token
            )


def _arguments(invocation: Invocation) -> list[Link]:
    """Return the path to what is revoked, that alone where none is given."""
    if str(invocation.cmd) != REVOKE:
        raise MalformedArgumentsError(f"{invocation.cmd} is not {REVOKE}", token=invocation.link)
    match invocation.args:
        case {"revoke": Link() as revoked, **rest} if not rest:
            return [revoked]
        case {"revoke": Link() as revoked, "path": [*path], **rest} if not rest:
            if all(type(link) is Link for link in path) and 0 < len(path) <= MAX_PROOFS and path[-1] == revoked:
                return path
    raise MalformedArgumentsError(
        f"{REVOKE} takes {{revoke: link, path?: [link, …]}}, where path ends with what is revoked",
        token=invocation.link,
    )
