"""`Delegation`: one principal lets another do something (UCAN Delegation 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from os import urandom
from typing import TYPE_CHECKING, Final

from ipvm_queue.ucan.envelope import seal
from ipvm_queue.ucan.errors import UcanError
from ipvm_queue.ucan.fields import Fields
from ipvm_queue.ucan.policy import Policy
from ipvm_queue.ucan.token import DELEGATION, VERSIONS, Token

if TYPE_CHECKING:
    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan.command import Command

NONCE_BYTES: Final = 12
_REQUIRED: Final = frozenset({"iss", "aud", "sub", "cmd", "pol", "nonce", "exp"})
_OPTIONAL: Final = frozenset({"nbf", "meta"})


@dataclass(frozen=True, slots=True)
class Delegation:
    """You can read it as "(iss) allows (aud) to perform (cmd, where pol) on (sub)".

    `iss`, `aud` and `sub` are DIDs; a `sub` of None is a powerline: on whatever subject `iss` may perform it. `exp` and
    `nbf` are Unix seconds, None for no bound. Parsing verifies no signature: `Validator` does.
    """

    token: Token
    iss: str
    aud: str
    sub: str | None
    cmd: Command
    pol: Policy
    nonce: bytes
    exp: int | None
    nbf: int | None
    meta: dict[str, Value]

    @classmethod
    def parse(cls, data: bytes) -> Delegation:
        """Return the delegation in `data`; raises the `UcanError` of the first rule that its form breaks."""
        return cls.of(Token.open(data))

    @classmethod
    def of(cls, token: Token) -> Delegation:
        """Return the delegation in an opened token."""
        try:
            fields = Fields.of(token, DELEGATION, _REQUIRED, _OPTIONAL)
            return cls(
                token=token,
                iss=fields.did("iss"),
                aud=fields.did("aud"),
                sub=None if token.payload["sub"] is None else fields.did("sub"),
                cmd=fields.command(),
                pol=Policy.parse(token.payload["pol"]),
                nonce=fields.nonce(),
                exp=fields.expiration(),
                nbf=fields.seconds("nbf"),
                meta=fields.meta(),
            )
        except UcanError as error:
            raise error.on(token.link) from error.__cause__

    @classmethod
    def issue(
        cls,
        signer: Signer,
        audience: str,
        subject: str | None,
        command: str,
        policy: list[Value] | None = None,
        *,
        expiration: int | None,
        not_before: int | None = None,
        nonce: bytes | None = None,
        meta: dict[str, Value] | None = None,
        version: str = VERSIONS[0],
    ) -> Delegation:
        """Return a new delegation. You can read it as "(signer) allows (audience) to perform (command) on (subject)".

        The nonce is random where none is given. Raises `UcanError` for what would not be valid.
        """
        payload: dict[str, Value] = {
            "iss": signer.did,
            "aud": audience,
            "sub": subject,
            "cmd": command,
            "pol": policy or [],
            "nonce": urandom(NONCE_BYTES) if nonce is None else nonce,
            "exp": expiration,
        }
        if not_before is not None:
            payload["nbf"] = not_before
        if meta is not None:
            payload["meta"] = meta
        return cls.parse(seal(payload, f"ucan/{DELEGATION}@{version}", signer))

    @property
    def link(self) -> Link:
        """The CID of the token."""
        return self.token.link

    @property
    def data(self) -> bytes:
        """The bytes of the token."""
        return self.token.data

    def __str__(self) -> str:
        return f"{self.iss} allows {self.aud} {self.cmd} on {self.sub or 'whatever it may itself'}"
