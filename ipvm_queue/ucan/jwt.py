"""`Jwt`: one UCAN 0.8.1 token, read strictly and verified by us.

A JWT of three base64url parts: the header `{"alg": "EdDSA", "typ": "JWT", "ucv": "0.8.1"}`, the payload `{iss, aud,
exp, att: [{with, can}], prf: [JWT], nbf?, nnc?, fct?}`, and an Ed25519 signature over the two as they are written.
Proofs are whole tokens inside the payload. What may be left out may be null too, as py-ucan writes it.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn

from ipvm_queue.ipld import RAW, Link
from ipvm_queue.ucan.errors import (
    ExpiredError,
    InvalidSignatureError,
    MalformedError,
    TooEarlyError,
    UcanError,
    UnsupportedAlgorithmError,
    UnsupportedDIDError,
    UnsupportedVersionError,
)
from ipvm_queue.ucan.token import principal_of

MAX_BYTES: Final = 64 * 1024
MAX_CAPABILITIES: Final = 16
MAX_PROOFS: Final = 16
HEADER: Final = {"alg": "EdDSA", "typ": "JWT", "ucv": "0.8.1"}
_SHAPE: Final = re.compile(r"([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII)
_REQUIRED: Final = frozenset({"iss", "aud", "exp", "att", "prf"})
_OPTIONAL: Final = frozenset({"nbf", "nnc", "fct"})
_SAFE_INTEGER: Final = 2**53 - 1
_MAX_WORD: Final = 1024
_ED25519: Final = "Ed25519"


class Capability(NamedTuple):
    """What a token is about: `resource` (its `with`) and `ability` (its `can`)."""

    resource: str
    ability: str


@dataclass(frozen=True, slots=True)
class Jwt:
    """You can read it as "(iss) lets (aud) do (att) until (exp)"; parsing verifies no signature.

    `exp` and `nbf` are Unix seconds. `prf` holds the proofs as they came, nobody has read them yet. `link` is the CID
    (raw, sha2-256) of the token's text.
    """

    text: str
    iss: str
    aud: str
    exp: int
    nbf: int | None
    att: tuple[Capability, ...]
    prf: tuple[str, ...]
    signature: bytes

    @classmethod
    def parse(cls, text: str) -> Jwt:
        """Return the token in `text`; raises the `UcanError` of the first rule that its form breaks."""
        if len(text) > MAX_BYTES:
            raise MalformedError(f"a JWT has at most {MAX_BYTES} bytes, this one has {len(text)}")
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            raise MalformedError("a JWT is three base64url parts with dots between", hint=_hint(text))
        try:
            header, payload, signature = (_bytes(part) for part in shape.groups())
            _check_header(_object(header, "header"))
            return _read(text, _object(payload, "payload"), signature)
        except UcanError as error:
            raise error.on(_link(text)) from error.__cause__

    @property
    def link(self) -> Link:
        """The CID of the token's text."""
        return _link(self.text)

    def verify(self) -> None:
        """Raise `InvalidSignatureError` unless `iss` signed this token."""
        suite, key = principal_of(self.iss)
        if not suite.verifies(key, self.signature, self.text.rpartition(".")[0].encode()):
            raise InvalidSignatureError(f"the signature is not {self.iss}'s over this JWT", token=self.link)

    def check_time(self, now: int) -> None:
        """Raise `ExpiredError` from `exp` on and `TooEarlyError` before `nbf`: UCAN 0.8 leaves clocks no room."""
        if now >= self.exp:
            raise ExpiredError(f"expired at {self.exp}, now it is {now}", token=self.link)
        if self.nbf is not None and now < self.nbf:
            raise TooEarlyError(f"not valid before {self.nbf}, now it is {now}", token=self.link)

    def is_within(self, proof: Jwt) -> bool:
        """Whether this token's time lies within that of `proof`."""
        starts = proof.nbf is None or (self.nbf is not None and self.nbf >= proof.nbf)
        return starts and self.exp <= proof.exp


def encode_part(value: bytes) -> str:
    """Return a part of a JWT: base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _link(text: str) -> Link:
    return Link.of(text.encode(errors="replace"), RAW)


def _hint(text: str) -> str | None:
    return "it begins like a token of UCAN 1.0, which needs no exchange" if text[:1] in ("\x82", "g") else None


def _bytes(part: str) -> bytes:
    try:
        found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise MalformedError("a part of the JWT is no base64url") from error
    if encode_part(found) != part:  # several texts would else be one token
        raise MalformedError("a part of the JWT is not in the one form that base64url has")
    return found


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the JWT's {where} is no JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise MalformedError(f"the JWT's {where} is no map")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _check_header(header: dict[str, Any]) -> None:
    for name in sorted(HEADER.keys() ^ header.keys()):
        word = "is missing in" if name in HEADER else "is not known in"
        raise MalformedError(f"{name[:80]!r} {word} the JWT's header")
    if header["typ"] != HEADER["typ"]:
        raise MalformedError(f"the type of the JWT is {str(header['typ'])[:80]!r}, not 'JWT'")
    if header["ucv"] != HEADER["ucv"]:
        raise UnsupportedVersionError(f"a JWT of UCAN {str(header['ucv'])[:40]}; only 0.8.1 is taken")
    if header["alg"] != HEADER["alg"]:
        raise UnsupportedAlgorithmError(f"the JWT is signed with {str(header['alg'])[:40]}; only EdDSA is taken")


def _read(text: str, payload: dict[str, Any], signature: bytes) -> Jwt:
    for name in sorted(_REQUIRED - payload.keys()):
        raise MalformedError(f"the field {name!r} is missing")
    for name in sorted(payload.keys() - _REQUIRED - _OPTIONAL):
        raise MalformedError(f"there is no field {name[:80]!r} in UCAN 0.8.1")
    if not isinstance(payload.get("nnc"), str | None) or not isinstance(payload.get("fct"), list | None):
        raise MalformedError("'nnc' is text and 'fct' a list, where they are there")
    proofs = _listed(payload, "prf", MAX_PROOFS)
    if not all(isinstance(proof, str) for proof in proofs):
        raise MalformedError("the field 'prf' is not a list of JWTs")
    return Jwt(
        text=text,
        iss=_did(payload["iss"], "iss"),
        aud=_did(payload["aud"], "aud"),
        exp=_seconds(payload["exp"], "exp"),
        nbf=None if payload.get("nbf") is None else _seconds(payload["nbf"], "nbf"),
        att=tuple(_capability(item) for item in _listed(payload, "att", MAX_CAPABILITIES)),
        prf=tuple(proofs),
        signature=signature,
    )


def _listed(payload: dict[str, Any], name: str, most: int) -> list[Any]:
    value = payload[name]
    if not isinstance(value, list) or len(value) > most:
        raise MalformedError(f"the field {name!r} is not a list of at most {most}")
    return value


def _did(value: object, name: str) -> str:
    """Return an Ed25519 did:key: whoever signs UCAN 0.8 here is one."""
    if not isinstance(value, str) or not value.startswith("did:"):
        raise MalformedError(f"the field {name!r} is no DID: {str(value)[:80]!r}")
    suite, _ = principal_of(value)
    if suite.name != _ED25519 or "#" in value:
        raise UnsupportedDIDError(f"{name}: {value} is not the did:key of an Ed25519 key")
    return value


def _seconds(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= _SAFE_INTEGER:
        raise MalformedError(f"the field {name!r} is not a time in whole seconds")
    return value


def _capability(item: object) -> Capability:
    match item:
        case {"with": str() as resource, "can": str() as ability, **rest} if not rest:
            if max(len(resource), len(ability)) <= _MAX_WORD:
                return Capability(resource, ability)
    raise MalformedError("the field 'att' is not a list of {with, can}")
