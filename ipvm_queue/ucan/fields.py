"""The fields of payloads, read strictly: none missing, none unknown, none of another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipvm_queue.ipld import Link
from ipvm_queue.ucan.command import Command
from ipvm_queue.ucan.errors import MalformedError, UcanError
from ipvm_queue.ucan.token import principal_of

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value
    from ipvm_queue.ucan.token import Token

Kind = TypeVar("Kind")
MAX_NONCE: Final = 64
MAX_PROOFS: Final = 16
_SAFE_INTEGER: Final = 2**53 - 1
_WORDS: Final = {str: "text", bytes: "bytes", int: "an integer", list: "a list", dict: "a map", Link: "a link"}


@dataclass(frozen=True, slots=True)
class Fields:
    """A payload; each method reads one field, and raises `MalformedError` where it is not as it says."""

    payload: dict[str, Any]

    @classmethod
    def of(cls, token: Token, kind: str, required: frozenset[str], optional: frozenset[str]) -> Fields:
        """Return the fields of a token, after a look at which ones there are."""
        if token.kind != kind:
            raise MalformedError(f"a payload {token.tag} stands where {kind} is expected")
        names = token.payload.keys()
        for name in sorted(required - names):
            raise MalformedError(f"the field {name!r} is missing")
        for name in sorted(names - required - optional):
            raise MalformedError(f"there is no field {name[:80]!r} in {token.tag}")
        return cls(token.payload)

    def did(self, name: str) -> str:
        """Read a DID that can be verified; raises `UnsupportedDIDError` for another."""
        text = self._typed(name, str)
        if not text.startswith("did:"):
            raise MalformedError(f"the field {name!r} is no DID: {text[:80]!r}")
        try:
            principal_of(text)
        except UcanError as error:
            raise type(error)(f"{name}: {error.message}", hint=error.hint) from error
        return text

    def command(self) -> Command:
        """Read `cmd`."""
        return Command.parse(self._typed("cmd", str))

    def nonce(self) -> bytes:
        """Read `nonce`, of any length up to 64 bytes."""
        nonce = self._typed("nonce", bytes)
        if len(nonce) > MAX_NONCE:
            raise MalformedError(f"a nonce has at most {MAX_NONCE} bytes, this one has {len(nonce)}")
        return nonce

    def expiration(self) -> int | None:
        """Read `exp`, seconds or null."""
        return None if self.payload["exp"] is None else self._integer("exp")

    def seconds(self, name: str) -> int | None:
        """Read a time that may be left out."""
        return self._integer(name) if name in self.payload else None

    def meta(self) -> dict[str, Value]:
        """Read `meta`, which grants nothing."""
        return self._typed("meta", dict) if "meta" in self.payload else {}

    def args(self) -> dict[str, Value]:
        """Read `args`."""
        return self._typed("args", dict)

    def proofs(self) -> tuple[Link, ...]:
        """Read `prf`."""
        links = self._typed("prf", list)
        if len(links) > MAX_PROOFS:
            raise MalformedError(f"an invocation has at most {MAX_PROOFS} proofs, this one has {len(links)}")
        if not all(type(link) is Link for link in links):
            raise MalformedError("the field 'prf' is not a list of links")
        return tuple(links)

    def cause(self) -> Link | None:
        """Read `cause`, the receipt that this follows from."""
        return self._typed("cause", Link) if "cause" in self.payload else None

    def _integer(self, name: str) -> int:
        number = self._typed(name, int)
        if not -_SAFE_INTEGER <= number <= _SAFE_INTEGER:
            raise MalformedError(f"the field {name!r} is beyond 2^53 - 1, where not everybody counts the same")
        return number

    def _typed(self, name: str, kind: type[Kind]) -> Kind:
        value = self.payload[name]
        if type(value) is not kind:  # also where it is a subtype: True is no integer
            raise MalformedError(f"the field {name!r} is not {_WORDS[kind]}")
        return value
