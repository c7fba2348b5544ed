"""A drand chain and its beacons: what is signed, by whom, and how a chain's hash pins both.

The hash of a chain is the SHA-256 of its period, genesis time, public key, group hash and name; a relay that tells of
another key is found out by it. Three schemes: two sign on G2 (with or without the signature before), one on G1.
"""

from __future__ import annotations

from hashlib import sha256
from json import loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.crypto.bls import G1_BYTES, G2_BYTES, verify_on_g1, verify_on_g2
from ipvm_queue.effects.contract import EffectError
from ipvm_queue.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

CHAINED: Final = "pedersen-bls-chained"
UNCHAINED: Final = "pedersen-bls-unchained"
ON_G1: Final = "bls-unchained-g1-rfc9380"
_DEFAULT_NAME: Final = "default"
_DST_G1: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_DST_G2: Final = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
_HASH_BYTES: Final = 32
_MOST: Final = 1 << 62


class _Scheme(NamedTuple):
    key_bytes: int
    signature_bytes: int
    verify: Callable[[bytes, bytes, bytes, bytes], bool]
    domain: bytes


_SCHEMES: Final = {
    CHAINED: _Scheme(G1_BYTES, G2_BYTES, verify_on_g2, _DST_G2),
    UNCHAINED: _Scheme(G1_BYTES, G2_BYTES, verify_on_g2, _DST_G2),
    ON_G1: _Scheme(G2_BYTES, G1_BYTES, verify_on_g1, _DST_G1),
}


class Beacon(NamedTuple):
    """One round: its signature, and the signature before it where the chain's scheme signs that too."""

    round: int
    signature: bytes
    previous: bytes

    @property
    def randomness(self) -> bytes:
        """32 random bytes."""
        return sha256(self.signature).digest()


class Chain(NamedTuple):
    """What a chain is known by; `period` and `genesis` are seconds (Unix), `seed` is the group's hash."""

    public_key: bytes
    period: int
    genesis: int
    seed: bytes
    scheme: str
    name: str

    @property
    def hash(self) -> str:
        """The chain's hash, in base16."""
        name = b"" if self.name in ("", _DEFAULT_NAME) else self.name.encode()
        head = self.period.to_bytes(4, "big") + self.genesis.to_bytes(8, "big")
        return sha256(head + self.public_key + self.seed + name).hexdigest()

    def time_of(self, number: int) -> int:
        """Return the Unix time at which a round is due."""
        return self.genesis + (number - 1) * self.period

    def verifies(self, beacon: Beacon) -> bool:
        """Whether a beacon is this chain's."""
        scheme = _SCHEMES[self.scheme]
        if len(beacon.signature) != scheme.signature_bytes:
            return False
        message = beacon.round.to_bytes(8, "big")
        if self.scheme == CHAINED:
            # One message for each pair only because the length of the first part is fixed.
            before = self.seed if beacon.round == 1 else beacon.previous
            if len(before) != (len(self.seed) if beacon.round == 1 else scheme.signature_bytes):
                return False
            message = before + message
        return scheme.verify(self.public_key, beacon.signature, sha256(message).digest(), scheme.domain)


def read_chain(data: bytes, pinned: str) -> Chain:
    """Return the chain that a relay's `info` (JSON) tells of.

    Raises `EffectError`: `drand/format`, `drand/scheme`, and `drand/chain` where it is not the one that is pinned.
    """
    given = _object(data)
    metadata = given.get("metadata")
    name = metadata.get("beaconID", "") if isinstance(metadata, dict) else given.get("beaconID", "")
    scheme = given.get("schemeID", CHAINED)
    if scheme not in _SCHEMES:
        known = ", ".join(_SCHEMES)
        raise EffectError("drand/scheme", f"a chain of scheme {str(scheme)[:80]!r}; known are {known}", "requestor")
    chain = Chain(
        public_key=_bytes(given, "public_key"),
        period=_number(given, "period", (1 << 32) - 1),
        genesis=_number(given, "genesis_time"),
        seed=_bytes(given, "groupHash"),
        scheme=scheme,
        name=name if isinstance(name, str) else "",
    )
    if chain.hash != pinned:
        raise EffectError("drand/chain", f"a relay told of chain {chain.hash}, asked for was {pinned}", "network")
    if len(chain.public_key) != _SCHEMES[scheme].key_bytes or len(chain.seed) != _HASH_BYTES:
        raise EffectError("drand/chain", f"the key of chain {pinned} does not fit its scheme {scheme}", "network")
    return chain


def read_beacon(data: bytes) -> Beacon:
    """Return the beacon that a relay's round (JSON) tells of, not yet verified; raises `EffectError` `drand/format`."""
    given = _object(data)
    before = _bytes(given, "previous_signature") if given.get("previous_signature") else b""
    return Beacon(_number(given, "round"), _bytes(given, "signature"), before)


def check(chain: Chain, beacon: Beacon) -> Beacon:
    """Return the beacon; raises `EffectError` `drand/signature` unless it is the chain's."""
    try:
        verified = chain.verifies(beacon)
    except CodecError as error:
        raise EffectError("drand/chain", f"chain {chain.hash}: {error.message}", "network") from error
    if not verified:
        raise EffectError("drand/signature", f"round {beacon.round} is not signed by chain {chain.hash}", "network")
    return beacon


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise EffectError("drand/format", "a relay answered with something that is no JSON object", "network")
    return value


def _bytes(given: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(given[name])
    except (KeyError, TypeError, ValueError) as error:
        raise EffectError("drand/format", f"a relay's {name!r} is no base16", "network") from error


def _number(given: dict[str, Any], name: str, most: int = _MOST) -> int:
    number = given.get(name)
    if type(number) is not int or not 0 < number <= most:
        raise EffectError("drand/format", f"a relay's {name!r} is no number that can be", "network")
    return number
