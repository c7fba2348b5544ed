"""`crud/read` of `drand://CHAIN[/ROUND]`: public randomness, verified (effects 5.4).

CHAIN is the hash of a drand chain, which pins its key; without ROUND the newest round is read. The answer is 32 bytes,
the SHA-256 of the round's signature. Relays are asked in the operator's order and need not be trusted.
"""

from __future__ import annotations

import re
from time import time
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.drand_chain import Beacon, Chain, check, read_beacon, read_chain
from ipvm_queue.effects.fetch import Request, fetch, first, host_of, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value

_URI: Final = re.compile(r"drand:(?://)?([0-9a-f]{64})(?:/(latest|[1-9][0-9]{0,17}))?", re.IGNORECASE)
_MAX_ANSWER: Final = 64 * 1024
_LATE_SECONDS: Final = 60  # how far behind the clock the newest round may be
_EARLY_SECONDS: Final = 10  # how far clocks may be apart

CONFIG: Final = {
    "drand": {
        "relays": {
            "type": "array",
            "items": {"type": "string", "pattern": "^https?://[^/?#]+"},
            "description": "HTTP relays, asked in this order",
        },
        "late": {"type": "integer", "minimum": 1, "description": "seconds that the newest round may be behind: 60"},
    }
}
_KNOWN: Final = 64
_known: dict[str, Chain] = {}  # by hash: what hashes to it is the chain, whoever told of it


def _read(context: Context, call: Call) -> Outcome:
    chain_hash, number = _parse(call.uri)
    config = context.config("drand")
    late = config.get("late", _LATE_SECONDS)
    relays = list(config.get("relays", ()))
    ahead = _known.get(chain_hash)
    if ahead is not None and number is not None:
        _check_due(ahead, number)

    def ask(relay: str) -> Outcome:
        deadline = share(call.deadline, len(relays))
        most = min(call.max_bytes, _MAX_ANSWER)
        chain = _chain(relay, chain_hash, deadline, most)
        if number is not None:
            _check_due(chain, number)
        url = f"{relay}/{chain_hash}/public/{'latest' if number is None else number}"
        beacon = check(chain, read_beacon(fetch(Request("drand", url, deadline, most, "application/json"))))
        _check_round(chain, beacon, number, late)
        return Outcome({"ok": beacon.randomness}, _evidence(chain, beacon, relay))

    return first("drand", "drand", relays, ask)


def _parse(uri: str) -> tuple[str, int | None]:
    match = _URI.fullmatch(uri)
    if match is None:
        message = f"{uri[:120]!r} is not drand://CHAIN or drand://CHAIN/ROUND"
        raise EffectError("drand/uri", message, "requestor")
    given = match[2]
    return match[1].lower(), None if given is None or given.lower() == "latest" else int(given)


def _wrong(uri: str, args: Mapping[str, Any]) -> str | None:
    del args
    try:
        _parse(uri)
    except EffectError as error:
        return error.message
    return None


def _chain(relay: str, chain_hash: str, deadline: float, most: int) -> Chain:
    if chain_hash not in _known:
        data = fetch(Request("drand", f"{relay}/{chain_hash}/info", deadline, most, "application/json"))
        if len(_known) == _KNOWN:
            _known.clear()
        _known[chain_hash] = read_chain(data, chain_hash)
    return _known[chain_hash]


def _check_due(chain: Chain, number: int) -> None:
    """Raise `drand/early` for a round that is still to come: whoever has it already has it from nowhere good."""
    due = chain.time_of(number)
    if due > time() + _EARLY_SECONDS:
        raise EffectError(
            "drand/early", f"round {number} is due at {due} (Unix time): it is still to come", "requestor"
        )


def _check_round(chain: Chain, beacon: Beacon, number: int | None, late: int) -> None:
    if number is not None:
        if beacon.round != number:
            raise EffectError("drand/round", f"a relay gave round {beacon.round} for {number}", "network")
        return
    _check_due(chain, beacon.round)
    behind = time() - chain.time_of(beacon.round + 1)
    if behind > late:
        message = f"a relay's newest round {beacon.round} is {behind:.0f} seconds behind, at most {late} are taken"
        raise EffectError("drand/stale", message, "network", transient=True)


def _evidence(chain: Chain, beacon: Beacon, relay: str) -> dict[str, Value]:
    before = {"previous": beacon.previous} if beacon.previous else {}
    return {
        "chain": chain.hash,
        "scheme": chain.scheme,
        "round": beacon.round,
        "signature": beacon.signature,
        "from": host_of(relay),
        **before,
    }


EFFECTS: Final = (
    Effect(
        "drand",
        "crud/read",
        Safety.QUERY,
        _read,
        {"type": "object", "properties": {}},
        "32 bytes of public randomness from a drand chain, its BLS signature verified",
        check=_wrong,
    ),
)
