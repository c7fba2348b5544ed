"""`Invocation`: a principal has something done (UCAN Invocation 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from os import urandom
from typing import TYPE_CHECKING, Final

from ipvm_queue.ucan.delegation import NONCE_BYTES
from ipvm_queue.ucan.envelope import seal
from ipvm_queue.ucan.errors import UcanError
from ipvm_queue.ucan.fields import Fields
from ipvm_queue.ucan.promise import awaited
from ipvm_queue.ucan.task import task_link
from ipvm_queue.ucan.token import INVOCATION, VERSIONS, Token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.ucan.command import Command

_REQUIRED: Final = frozenset({"iss", "sub", "cmd", "args", "prf", "nonce", "exp"})
_OPTIONAL: Final = frozenset({"aud", "meta", "iat", "cause", "nbf"})


@dataclass(frozen=True, slots=True)
class Invocation:
    """You can read it as "(iss) has (aud) perform (cmd, with args) on (sub), as (prf) allow".

    `iss`, `sub` and `aud` are DIDs; without `aud` the subject is to perform it. `prf` are the CIDs of delegations, that
    of the subject first. `exp` and `nbf` are Unix seconds, None for no bound; `iat` is a claim that decides nothing.
    Parsing verifies no signature: `Validator` does.
    """

    token: Token
    iss: str
    aud: str | None
    sub: str
    cmd: Command
    args: dict[str, Value]
    prf: tuple[Link, ...]
    nonce: bytes
    exp: int | None
    nbf: int | None
    iat: int | None
    cause: Link | None
    meta: dict[str, Value]

    @classmethod
    def parse(cls, data: bytes) -> Invocation:
        """Return the invocation in `data`; raises the `UcanError` of the first rule that its form breaks."""
        return cls.of(Token.open(data))

    @classmethod
    def of(cls, token: Token) -> Invocation:
        """Return the invocation in an opened token."""
        try:
            fields = Fields.of(token, INVOCATION, _REQUIRED, _OPTIONAL)
            return cls(
                token=token,
                iss=fields.did("iss"),
                aud=fields.did("aud") if "aud" in token.payload else None,
                sub=fields.did("sub"),
                cmd=fields.command(),
                args=fields.args(),
                prf=fields.proofs(),
                nonce=fields.nonce(),
                exp=fields.expiration(),
                nbf=fields.seconds("nbf"),
                iat=fields.seconds("iat"),
                cause=fields.cause(),
                meta=fields.meta(),
            )
        except UcanError as error:
            raise error.on(token.link) from error.__cause__

    @classmethod
    def issue(
        cls,
        signer: Signer,
        subject: str,
        command: str,
        args: dict[str, Value],
        proofs: Iterable[Link] = (),
        *,
        expiration: int | None,
        audience: str | None = None,
        nonce: bytes | None = None,
        issued_at: int | None = None,
        cause: Link | None = None,
        meta: dict[str, Value] | None = None,
        version: str = VERSIONS[0],
    ) -> Invocation:
        """Return a new invocation. You can read it as "(signer) has (command) performed on (subject) with (args)".

        The nonce is random where none is given; give an empty one for what may be done once for all who ask (a pure
        Task). `proofs` go from the subject to the signer. Raises `UcanError` for what would not be valid.
        """
        payload: dict[str, Value] = {
            "iss": signer.did,
            "sub": subject,
            "cmd": command,
            "args": args,
            "prf": list(proofs),
            "nonce": urandom(NONCE_BYTES) if nonce is None else nonce,
            "exp": expiration,
        }
        optional = {"aud": audience, "iat": issued_at, "cause": cause, "meta": meta}
        payload |= {name: value for name, value in optional.items() if value is not None}
        return cls.parse(seal(payload, f"ucan/{INVOCATION}@{version}", signer))

    @property
    def link(self) -> Link:
        """The CID of the token."""
        return self.token.link

    @property
    def data(self) -> bytes:
        """The bytes of the token."""
        return self.token.data

    @property
    def executor(self) -> str:
        """Who is to perform it: the audience if there is one, else the subject."""
        return self.aud or self.sub

    @property
    def task(self) -> Link:
        """The CID of the Task: `{sub, cmd, args, nonce}`, whoever asks for it."""
        return task_link(self.sub, str(self.cmd), self.args, self.nonce)

    @property
    def awaits(self) -> frozenset[Link]:
        """The Tasks that promises in `args` await."""
        return awaited(self.args)

    @property
    def replay_key(self) -> bytes:
        """Return what is the same in every copy of this invocation: the hash of what was signed.

        The token's CID is not: a P-256 signature has a twin, and with it the token another CID.
        """
        return sha256(self.token.body).digest()

    def __str__(self) -> str:
        return f"{self.iss} has {self.executor} perform {self.cmd} on {self.sub}"
