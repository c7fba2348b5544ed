"""py-ucan 1.0.0, the library of older wallets, as a second opinion and a maker of their tokens; never as the judge.

By itself it verifies nothing: `validate` and `verify` drop the Boolean that its signature plugin returns, so that any
64 bytes pass for a signature, and a proof addressed to somebody else is reported and then used. With a plugin that
raises, the first is mended. The second is not, so `classic` walks the chain before anything is asked here.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, NamedTuple

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # its dataclass says `frozen` twice
    import ucan
    from ucan.core.attenuation import DelegationSemantics
    from ucan.core.plugins import DidKeyPlugin

from ucan.constants import PREFIX_DID_ALG_ED25519

from ipvm_queue.crypto import verify as verifies

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ucan.jwt import Capability


class Covers(NamedTuple):
    """Whether what a parent has holds what its child has: for resources, and for abilities."""

    resource: Callable[[str, str], bool]
    ability: Callable[[str, str], bool]


def refuses(token: str, audience: str, capability: Capability, root: str, covers: Covers) -> str | None:
    """Return why py-ucan, with a plugin that verifies, refuses a token at this moment; None where it does not.

    It is asked whether `token`, addressed to `audience`, grants `capability` from `root` on; `covers` says whether
    a parent's resource, and a parent's ability, have a child's in them.
    """

    async def resource(parent_resource: ucan.ResourcePointer, child_resource: ucan.ResourcePointer) -> bool:
        return covers.resource(parent_resource.encode(), child_resource.encode())

    async def ability(parent_ability: ucan.Ability, child_ability: ucan.Ability) -> bool:
        return covers.ability(parent_ability.encode(), child_ability.encode())

    semantics = DelegationSemantics(can_delegate_resource=resource, can_delegate_ability=ability)
    needed = ucan.Capability.model_validate({"with": capability.resource, "can": capability.ability})
    required = ucan.RequiredCapability(capability=needed, root_issuer=root)
    result = asyncio.run(_API.verify(token, audience, [required], semantics))
    if isinstance(result, ucan.VerifyResultOk):
        return None
    return "; ".join(str(error) for error in result.errors)[:500] or "it finds no chain"


def sign(signer: Signer, data: bytes) -> bytes:
    """Return the signature that py-ucan's key pair makes of an Ed25519 signer's key."""
    return ucan.EdKeypair(signer.private_key).sign(data)  # type: ignore[arg-type]  # its caller has looked


def is_readable(token: str) -> bool:
    """Whether py-ucan can read a token."""
    try:
        return bool(ucan.parse(token))
    except ValueError:
        return False


async def _verify(did: str, data: bytes, signature: bytes) -> bool:
    if not verifies(did, signature, data):
        raise ValueError(f"the signature is not {did}'s")  # a Boolean would be dropped
    return True


_API = ucan.PluginInjectedAPI.from_plugins(
    ucan.Plugins([DidKeyPlugin(prefix=b"".join(PREFIX_DID_ALG_ED25519), jwt_alg="EdDSA", verify_signature=_verify)])
)
