"""What a WASI guest may have of the network: HTTP with the hosts that its job names, done by the worker for it.

The guest asks with the DAG-CBOR of `{"with": URL, "do": ability, "inputs": {…}}`, as a job would, and hears the
DAG-CBOR of a Result. `wasi/query` may read; `wasi/run` may also write. All rules of HTTP effects hold: addresses,
limits, time; each write has an idempotency key of its own. What a redirect to a host that is not named has brought is
kept from the guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, EffectError
from ipvm_queue.effects.schema import faults
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import cid_of, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipvm_queue.ipld import Value

_READS: Final = frozenset({"crud/read", "http/get", "http/head"})
_WRITES: Final = frozenset(
    {"crud/create", "crud/update", "crud/destroy", "http/post", "http/put", "http/patch", "http/delete"}
)
_MOST: Final = 64
_SCHEMES: Final = ("http", "https")


class Network:
    """Answers one guest; `evidence` is what its receipt says of each request."""

    def __init__(self, context: Context, call: Call, hosts: Sequence[str]) -> None:
        self._context = context
        self._call = call
        self._hosts = frozenset(host.lower() for host in hosts)
        self._abilities = _READS if call.ability.endswith("/query") else _READS | _WRITES
        self.evidence: list[Value] = []

    @property
    def answer(self) -> Callable[[bytes], bytes] | None:
        """What answers the guest, None where no host is named."""
        return self._answer if self._hosts else None

    def _answer(self, asked: bytes) -> bytes:
        try:
            return encode(self._do(asked))
        except EffectError as error:
            return encode({"error": error.error})
        except Exception as error:  # noqa: BLE001 - a handler's; the guest hears of it
            return encode({"error": {"code": "wasi/effect", "message": repr(error)[:300], "fault": "runner"}})

    def _do(self, asked: bytes) -> dict[str, Value]:
        from ipvm_queue.effects.registry import find  # noqa: PLC0415 - it imports every family, this one too

        uri, ability, args = _read(asked)
        if len(self.evidence) >= _MOST:
            raise EffectError("wasi/too-many", f"a guest asks at most {_MOST} times", "requestor", sent=False)
        self._check(uri, ability)
        effect = find(uri, ability)
        wrong = next(faults(args, effect.schema), None)
        if wrong is None and effect.check is not None:
            wrong = effect.check(uri, args)
        if wrong is not None:
            raise EffectError("wasi/argument", f"{ability}: {wrong}", "requestor", sent=False)
        task = cid_of([self._call.task, len(self.evidence)])
        given = self._call._replace(uri=uri, ability=ability, args=args, task=task)
        kept: dict[str, Value] = {"do": ability, "with": uri.partition("?")[0]}
        self.evidence.append(kept)
        done = effect.run(self._context, given)
        kept["evidence"] = done.evidence
        redirects = done.evidence.get("redirects", [])
        for ahead in redirects if isinstance(redirects, list) else []:
            self._check(str(ahead), ability)
        return done.out

    def _check(self, uri: str, ability: str) -> None:
        """Raise `EffectError` for a request that the job does not grant."""
        from ipvm_queue.effects.http_request import read_url  # noqa: PLC0415 - only who asks pays

        if ability not in self._abilities or uri.partition(":")[0].lower() not in _SCHEMES:
            message = f"{self._call.ability} may not do {ability[:80]} of {uri[:80]}"
            raise EffectError("wasi/not-granted", message, "requestor", sent=False)
        url = read_url(uri)
        host = url.host.lower()
        if host not in self._hosts and f"{host}:{url.port}" not in self._hosts:
            named = ", ".join(sorted(self._hosts))
            raise EffectError("wasi/not-granted", f"{host[:80]} is not among {named}", "requestor", sent=False)


def _read(asked: bytes) -> tuple[str, str, dict[str, Any]]:
    try:
        value = decode(asked)
    except CodecError as error:
        raise EffectError("wasi/argument", f"the guest asked with {error.message}", "requestor", sent=False) from error
    match value:
        case {"with": str() as uri, "do": str() as ability, **rest} if not rest.keys() - {"inputs"}:
            args = rest.get("inputs", {})
            if isinstance(args, dict):
                return uri, ability, args
    raise EffectError("wasi/argument", "a guest asks with {with, do, inputs?}", "requestor", sent=False)
