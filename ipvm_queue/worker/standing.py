"""A worker's standing on the queue: its pop, its lease, and the broker's user that it has for as long.

The parent pops before anything is consumed, and again, with a fresh nonce, at a third of each lease; its processes
read what it has from memory that they share. Nothing of it is on disk.
"""

from __future__ import annotations

import struct
from mmap import mmap
from threading import Event, Thread
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from ipvm_queue.crypto import load_signer, open_sealed
from ipvm_queue.errors import IpvmError, RefusedError, UnavailableError
from ipvm_queue.ipld import decode, encode
from ipvm_queue.observe import logger
from ipvm_queue.queue import Grants, Proofs, Stall, establish
from ipvm_queue.queue.counter import PATIENCE, Counter
from ipvm_queue.queue.requests import POP, hand_out, pop
from ipvm_queue.store import Credentials, Current, Inbox, Keys, Registry, Revocations, connect, without_user
from ipvm_queue.ucan import Container, Invocation
from ipvm_queue.worker.authority import Authorities
from ipvm_queue.worker.papers import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celery import Celery

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link
    from ipvm_queue.settings import Settings
    from ipvm_queue.ucan import Validator
    from ipvm_queue.worker.papers import Asked

_log = logger(__name__)
_SHARED_BYTES: Final = 256 * 1024
_HEAD: Final = struct.Struct("<II")
_shared = mmap(-1, _SHARED_BYTES)
_read: dict[bytes, Held] = {}  # by the head that it was read under
_TRIES: Final = 100
_LOOK: Final = 1.0
_HAND_OUT_SECONDS: Final = 5.0  # nodes are leased meanwhile


class Held(NamedTuple):
    """What a worker holds: its pop (10), the tokens sent with it, until when (Unix s), and its user and password."""

    pop: bytes
    tokens: bytes
    until: int
    user: str
    password: str


def share(held: Held) -> None:
    """Let this worker's processes know what it holds."""
    data = encode(list(held))
    if len(data) + _HEAD.size > _SHARED_BYTES:
        raise RefusedError("the worker's proofs are too many", rule="Malformed")
    _shared[_HEAD.size : _HEAD.size + len(data)] = data
    _shared[: _HEAD.size] = _HEAD.pack(len(data), crc32(data))


def held() -> Held | None:
    """Return what the worker of this process holds, None where it has popped nothing."""
    for _ in range(_TRIES):  # the parent may be writing
        head = _shared[: _HEAD.size]
        size, check = _HEAD.unpack(head)
        if not size:
            return None
        if (known := _read.get(head)) is not None:
            return known
        data = _shared[_HEAD.size : _HEAD.size + size]
        if crc32(data) == check:
            _read.clear()
            return _read.setdefault(head, Held(*decode(data)))
    raise UnavailableError("what this worker holds cannot be read")


def credentials() -> Credentials | None:
    """Return the broker's user that the gate has made for this worker, None where it works as the URL says."""
    found = held()
    return None if found is None or not found.user else Credentials(found.user, found.password)


_own: dict[str, str] = {}


class Minted(Current):
    """What Celery's connections authenticate with: the user that the gate has made for this worker."""

    def __init__(self) -> None:
        super().__init__(_own["url"], credentials)


def enter_as_minted(app: Celery) -> None:
    """Let this worker's connections be those of the user that the gate has made for it."""
    _own["url"] = app.conf.broker_url
    if credentials() is not None:
        app.conf.broker_url = f"{without_user(app.conf.broker_url)}?credential_provider={__name__}.Minted"


def broker(app: Celery, *, kept: bool = False) -> Any:
    """Return a connection to the store for this worker, as the user that it has."""
    return connect(_own.get("url") or app.conf.broker_url, retries=8, source=credentials, kept=kept)


class Door:
    """A worker before the gate, where it asks for work. Raises `RefusedError` without a chain that lets it pop."""

    def __init__(self, settings: Settings, broker_url: str) -> None:
        if settings.single_owner:
            establish(settings)
        self._signer = load_signer(settings.worker_key, create=True)
        self._proofs = Proofs.load([settings.worker_proofs] if settings.worker_proofs.exists() else [])
        self._redis = connect(broker_url, retries=8)
        self._inner = connect(broker_url, retries=0, source=credentials)
        keys = Keys(settings.queue)
        inbox = Inbox(self._redis, keys, max_bytes=settings.max_request_bytes)
        self._counter = Counter(self._signer, self._proofs, inbox, Registry(self._redis, keys))
        self._revocations = Revocations(self._inner, keys)
        self._revoked: frozenset[Link] = frozenset()

    def pop(self, name: str, queues: list[str], slots: int, *, patience: float = PATIENCE) -> Held:
        """Pop, and let this worker's processes know; wait at most `patience` seconds for the gate."""
        known = self._proofs.subjects(self._signer.did, POP, now=int(time()))
        if not known:
            raise RefusedError(
                f"no proof lets this worker, {self._signer.did}, pop from the queue",
                hint=f"the queue's operator makes one: ipvm delegate {self._signer.did} --pop; IPVM_WORKER_PROOFS",
                rule="InvalidClaim",
            )
        queue = known[0]
        self._counter.trust(queue)
        before = held()
        stall = Stall(name, queues, slots, before.user if before else "")
        asked = pop(self._signer, queue, self._proofs, stall, now=int(time()))
        answer = self._counter.ask(asked, patience=patience)
        match answer:
            case {"lease": int() as until} if until > time():
                found = self._take(asked.invocation, asked.container, until, answer, before)
            case _:
                raise RefusedError(
                    "the lease is over before it begins: the clocks of this machine and of the gate's differ",
                    hint="synchronise them",
                    rule="Expired",
                )
        share(found)
        return found

    def is_let_in(self) -> bool:
        """Whether the broker still knows the user that the gate has made for this worker.

        Where there are no such users: whether none of the worker's delegations has been revoked since the last look.
        """
        if credentials() is None:
            return self._is_granted()
        try:
            self._inner.ping()
        except UnavailableError as error:
            return not error.fields.get("refused", False)
        return True

    def _is_granted(self) -> bool:
        try:
            revoked = self._revocations.all()
        except UnavailableError:
            return True  # what the broker does not tell, the gate will
        if revoked is self._revoked:
            return True
        new, self._revoked = revoked - self._revoked, revoked
        return new.isdisjoint(self._proofs.tokens)

    def _take(
        self, asked: Invocation, container: Container, until: int, answer: Mapping[str, Any], before: Held | None
    ) -> Held:
        user, secret = answer.get("user", ""), answer.get("secret")
        password = ""
        if secret is not None:
            password = open_sealed(self._signer, secret).decode()
        elif before is not None and before.user == user:
            password = before.password
        return Held(asked.data, container.write(), until, user, password)


class Lease:
    """Keeps a worker's lease: pops again in time, and says when that fails for good."""

    def __init__(self, door: Door, stall: tuple[str, list[str], int], lost: Callable[[str], None]) -> None:
        self._door = door
        self._stall = stall
        self._lost = lost
        self._end = Event()
        self._held = door.pop(*stall)
        Thread(target=self._keep, name="lease", daemon=True).start()

    def stop(self) -> None:
        """Keep it no longer."""
        self._end.set()

    def _rest(self, seconds: float) -> bool:
        """Wait until it is time to pop again, or the worker may not be let in any more; True at the end."""
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            if self._end.wait(min(_LOOK, left)):
                return True
            if not self._door.is_let_in():
                return False
        return False

    def _keep(self) -> None:
        delay = 0.0
        while not self._end.is_set():
            left = self._held.until - time()
            if self._rest(delay or max(0.2, left / 3)):
                return
            try:
                patience = max(0.5, min(10.0, self._held.until - time()))
                self._held = self._door.pop(*self._stall, patience=patience)
                delay = 0.0
            except RefusedError as error:
                self._lost(f"{error.fields.get('rule', error.code)}: {error.message}")
                return
            except IpvmError as error:
                if time() >= self._held.until:
                    self._lost(f"the lease is over, and the gate does not answer: {error.message}")
                    return
                _log.warning("the lease could not be renewed yet", reason=error.message)
                delay = 1.0


class ProcessGate:
    """The gate as one of a worker's processes sees it (`authority.Gate`)."""

    def __init__(self, signer: Signer, redis: Any, keys: Keys, max_bytes: int) -> None:
        self._signer = signer
        self._inbox = Inbox(redis, keys, max_bytes=max_bytes)
        self._revocations = Revocations(redis, keys)
        self._registry = Registry(redis, keys)
        self._last: tuple[Held, Standing] | None = None

    def standing(self) -> Standing | None:
        """Return the pop that this worker works under, None where it has none (any more)."""
        found = held()
        if found is None or found.until <= time():
            return None
        if self._last is None or self._last[0] is not found:
            self._last = (found, Standing(Invocation.parse(found.pop), Container.read(found.tokens).tokens))
        return self._last[1]

    def hand_out(self, run: str) -> bytes | None:
        """Ask for a run to be handed to this worker; return the queue's answer, None where none came in time."""
        standing = self.standing()
        if standing is None:
            return None
        counter = Counter(self._signer, Proofs({}), self._inbox, self._registry, patience=_HAND_OUT_SECONDS)
        counter.trust(standing.pop.sub)
        asked = hand_out(self._signer, standing.pop.sub, run, standing.pop.link, now=int(time()))
        try:
            answer = counter.ask(asked).get("handout")
        except IpvmError as error:
            _log.warning("a run was not handed out", run=run, reason=error.message)
            return None
        return answer if isinstance(answer, bytes) else None

    def revoked(self) -> frozenset[Link]:
        """Return the CIDs of all revoked delegations."""
        return self._revocations.all()


def authorities(signer: Signer, redis: Any, keys: Keys, max_bytes: int) -> Authorities:
    """Return a process's view of what runs it may work on."""

    def grants(asked: Asked, validator: Validator) -> Grants:
        return Grants(asked.tokens, asked.service, asked.job.iss, validator)

    return Authorities(ProcessGate(signer, redis, keys, max_bytes), grants)
