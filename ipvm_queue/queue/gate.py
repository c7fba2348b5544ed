"""`Gate`: the WorkQueue's own process at its inbox. What does not pass here is not on the queue.

Each request is a container of tokens; the one invocation in it that is addressed to the queue says what is asked for.
Every answer is a receipt that the queue signs: `{ok: …}`, or `{error: {code, rule, message, …}}`. A gate that dies over
a request leaves it in a list of its own, where the next one finds it; doing it again changes nothing.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import CodecError, IpvmError, MissingBlockError, UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.observe import logger
from ipvm_queue.queue.accept import Moment, find_request, read_tokens
from ipvm_queue.queue.desk import Brought
from ipvm_queue.queue.pause import collector_paused
from ipvm_queue.store.inbox import CONTAINER, MAX_CONTAINER
from ipvm_queue.ucan import MalformedError, UcanError, Validator, issue
from ipvm_queue.ucan.revocation import REVOKE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Value
    from ipvm_queue.queue.desk import Desk
    from ipvm_queue.store import Inbox, Revocations
    from ipvm_queue.store.inbox import Parcel
    from ipvm_queue.ucan import Invocation

_log = logger(__name__)
_MOST: Final = 64  # requests taken at once
_TELL: Final = 0.05  # seconds that an answer may wait for those after it
_ALIVE: Final = 5.0  # seconds after which a silent gate counts as dead
_LOOK: Final = 1.0


class Gate:
    """Serves the inbox under a name of its own."""

    def __init__(
        self, name: str, signer: Signer, desk: Desk, inbox: Inbox, revocations: Revocations, *, max_bytes: int
    ) -> None:
        self._name = name
        self._signer = signer
        self._desk = desk
        self._inbox = inbox
        self._revocations = revocations
        self._max_bytes = max_bytes
        self._validator = Validator()
        self._looked = 0.0

    def serve(self, seconds: float) -> int:
        """Answer what comes within `seconds`; return how many requests that was. Raises `UnavailableError`."""
        self._look_around()
        requests = self._inbox.take(self._name, seconds, _MOST)
        self._answer(requests)
        return len(requests)

    def _answer(self, requests: list[str]) -> None:
        """Answer requests in their order, looked at together and told together, unless some of them take long."""
        done: dict[str, bytes | None] = {}
        parcels: dict[str, Parcel] = {}
        begun = monotonic()
        for number, request in enumerate(requests):
            if request not in parcels:
                some = requests[number : number + _MOST]
                parcels = dict(zip(some, self._inbox.look(some), strict=True))
            done[request] = self._handle(request, parcels)
            if monotonic() - begun > _TELL:
                self._inbox.reply(self._name, done)
                done, begun = {}, monotonic()
        if done:
            self._inbox.reply(self._name, done)

    def _look_around(self) -> None:
        if monotonic() - self._looked < _LOOK:
            return
        self._looked = monotonic()
        self._inbox.serve(self._name, _ALIVE)
        self._inbox.inherit(self._name)
        self._answer(self._inbox.left_over(self._name))  # taken before a stop, or by a call whose answer was lost
        for lease in self._desk.look_around(int(time())):
            _log.info("a lease is over", worker=lease.worker, name=lease.name)
        for receipt in self._desk.look_next_door():
            _log.info("a receipt was fetched next door", receipt=str(receipt))

    def _handle(self, request: str, parcels: dict[str, Parcel]) -> bytes | None:
        """Return the answer to a request, None for one that is none; a revocation outdates and empties `parcels`."""
        asked: Invocation | None = None
        parcel = parcels[request]
        if not parcel.sizes:
            return None
        try:
            container = self._container(request, parcel)
            tokens = read_tokens(container)
            queue = self._signer.did
            asked = find_request(tokens, queue)
            brought = Brought(request, container, tokens, lambda: self._blocks(request, parcel))
            moment = Moment(queue, int(time()), self._revocations.all(parcel.revoked), self._validator)
            with collector_paused():
                out: dict[str, Value] = {"ok": self._desk.answer(asked, brought, moment)}
            if str(asked.cmd) == REVOKE:
                parcels.clear()
            _log.info("accepted", cmd=str(asked.cmd), issuer=asked.iss, token=str(asked.link), **_named(out))
        except UnavailableError:
            raise
        except IpvmError as error:
            out = {"error": _refusal(error)}
            rule = getattr(error, "name", error.code)
            token = None if asked is None else str(asked.link)
            _log.warning("refused", rule=rule, reason=error.message, request=request, token=token)
        except Exception:  # noqa: BLE001 - whatever it is, the next request is served
            out = {"error": {"code": "internal", "rule": "internal", "message": "the gate failed; its log says why"}}
            _log.exception("a request could not be handled", request=request)
        ran = Link.of(b"") if asked is None else asked.task
        return issue(self._signer, ran, out, {}, int(time()))[1]

    def _container(self, request: str, parcel: Parcel) -> bytes:
        if not 0 < parcel.sizes.get(CONTAINER, 0) <= MAX_CONTAINER:
            raise MalformedError(f"a request has a container of at most {MAX_CONTAINER} bytes")
        (data,) = self._parts(request, [CONTAINER], parcel)
        if data is None:
            raise MalformedError("the request has lapsed")
        return data

    def _parts(self, request: str, names: list[str], parcel: Parcel) -> list[bytes | None]:
        return [*map(parcel.parts.get, names)] if parcel.parts else self._inbox.parts(request, names)

    def _blocks(self, request: str, parcel: Parcel) -> Mapping[Link, bytes]:
        """Return the blocks that a request brings; raises where one is not what its CID says."""
        names = [name for name in parcel.sizes if name != CONTAINER]
        if sum(parcel.sizes[name] for name in names) > self._max_bytes:
            raise MalformedError(f"a request brings at most {self._max_bytes} bytes of blocks")
        found: dict[Link, bytes] = {}
        for name, data in zip(names, self._parts(request, names, parcel), strict=True):
            try:
                cid = Link.parse(name)
            except CodecError as error:
                raise MalformedError(f"a block's name is no CID: {error.message}") from error
            if data is None or not cid.matches(data):
                raise MissingBlockError(f"a block that came as {cid} is something else", rule="block")
            found[cid] = data
        return found


def _refusal(error: IpvmError) -> dict[str, Value]:
    fields = {name: value for name, value in error.as_dict().items() if value is not None}
    rule = error.name if isinstance(error, UcanError) else fields.get("rule", error.code)
    return {**fields, "code": "refused", "rule": rule}


def _named(out: Mapping[str, Value]) -> dict[str, str]:
    ok = out["ok"]
    return {"run": ok["run"]} if isinstance(ok, dict) and isinstance(ok.get("run"), str) else {}
