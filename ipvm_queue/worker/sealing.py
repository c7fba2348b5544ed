"""Sealing what is secret before it leaves this process, and opening it for the tasks that need it.

A run with secrets has a key pair of its own, made by the first worker that comes to it and sealed to all that are there
then. Every secret Result of the run is sealed to its owner and to that key. A worker that joins later asks for the key,
and whichever of the others lives seals it to the newcomer; meanwhile the run is left to those that have it.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.crypto import MAX_RECIPIENTS, Signer, check_recipient, open_sealed, seal
from ipvm_queue.errors import BlockError, CodecError, SealError, UsageError
from ipvm_queue.plan import EFFECT_QUEUE, WASM_QUEUE
from ipvm_queue.queue.unrun import UNRUN
from ipvm_queue.ucan.secret import Opened, open_result, seal_outcome, seal_result
from ipvm_queue.worker.authority import NotHandedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.store import RunKeys, State, Worker
    from ipvm_queue.ucan import Receipt

_RUNS: Final = 256
_SEEN: Final = frozenset(("under", UNRUN))


class SecretLostError(BlockError):
    """Raised when a secret that is needed cannot be opened here (any more)."""

    code = "secret-lost"


class Sealing:
    """The secrets of one run: sealed for `owner`, and for the holders of the run's `key`."""

    def __init__(self, run: str, owner: str, key: Signer) -> None:
        self._run = run
        self._owner = owner
        self._key = key

    def covers(self, node: Node, state: State) -> bool:
        """Whether the Result of a node that ended so is sealed: one that was skipped has none."""
        return node.secret and state != "skipped"

    def seal(
        self, task: Link, out: dict[str, Value], meta: dict[str, Value]
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        """Return a Result and a receipt's `meta` as they may leave the process; `under` and `unrun` stay to be seen."""
        hidden = {name: value for name, value in meta.items() if name not in _SEEN}
        seen = {name: value for name, value in meta.items() if name in _SEEN}
        sealed = seal_result([self._owner, self._key.did], task, out, hidden)
        return sealed, {"secret": True, "run": self._run, **seen}

    def open(self, task: Link, out: Value) -> Opened:
        """Return a Result that was sealed in this run; raises `SecretLostError`."""
        return _open(self._key, task, out)

    def seal_outcome(self, outcome: dict[str, Value]) -> bytes:
        """Return what `catch` made of a failure as it may be kept."""
        return seal_outcome(self._owner, self._run, outcome)


class Vault:
    """The run keys that a worker has. `peers` gives the DIDs of the workers that live."""

    def __init__(self, signer: Signer, keys: RunKeys, peers: Callable[[], Iterable[str]]) -> None:
        self._signer = signer
        self._keys = keys
        self._peers = peers
        self._known: OrderedDict[str, Signer] = OrderedDict()

    def of(self, run: str, plan: Plan) -> Sealing | None:
        """Return how a run's secrets are sealed, None for a run without any.

        Raises `NotHandedError` where this worker has not got the run's key yet; it has then asked for it.
        """
        if plan.owner is None:
            return None
        key = self._key(run) or self._make(run)
        if key is None:
            self._keys.want(run, self._signer.did)
            raise NotHandedError("the run has secrets, and this worker has not got its key yet")
        return Sealing(run, plan.owner, key)

    def open_earlier(self, receipt: Receipt, out: Value) -> Opened:
        """Return a secret Result whose receipt is of an earlier run of the same job; raises `SecretLostError`."""
        run = receipt.meta.get("run")
        key = self._key(run) if isinstance(run, str) else None
        if key is None:
            raise SecretLostError("it is secret, and the key of the run that made it is not to be had any more")
        return _open(key, receipt.ran, out)

    def enrol(self) -> int:
        """Seal run keys that this worker has to living workers that ask for them; return how many."""
        wants = self._keys.wants()
        peers = set(self._peers()) if wants else set()
        given = 0
        for run, did in wants:
            key = self._key(run)
            if key is not None and did in peers and can_read(did):
                self._keys.give(run, did, seal(did, key.seed, context=_key_context(run)))
                given += 1
            elif self._keys.get(run, did).first is None:
                self._keys.decline(run, did)
        return given

    def _key(self, run: str) -> Signer | None:
        """Return the key of a run, None where there is none or none for this worker."""
        if run in self._known:
            return self._known[run]
        for box in self._keys.get(run, self._signer.did):
            with suppress(SealError):
                if box is not None:
                    return self._keep(run, Signer.from_seed(open_sealed(self._signer, box, context=_key_context(run))))
        return None

    def _make(self, run: str) -> Signer | None:
        """Make the key of a run, for this worker and those that live; None where there is one that is not for us."""
        if not can_read(self._signer.did) or self._keys.get(run, self._signer.did).first is not None:
            return None
        key = Signer.generate()
        readers = [did for did in dict.fromkeys([self._signer.did, *self._peers()]) if can_read(did)]
        box = seal(readers[:MAX_RECIPIENTS], key.seed, context=_key_context(run))
        return self._keep(run, key) if self._keys.found(run, box) == box else self._key(run)

    def _keep(self, run: str, key: Signer) -> Signer:
        self._known[run] = key
        if len(self._known) > _RUNS:
            self._known.popitem(last=False)
        return key


def readers(workers: Iterable[Worker]) -> list[str]:
    """Return the DIDs of the workers that do tasks: whom run keys are sealed to."""
    return [worker.did for worker in workers if not {WASM_QUEUE, EFFECT_QUEUE}.isdisjoint(worker.queues)]


def can_read(did: str) -> bool:
    """Whether anything can be sealed to a DID."""
    try:
        check_recipient(did)
    except (UsageError, CodecError):
        return False
    return True


def _key_context(run: str) -> bytes:
    return b"ipvm/run key\0" + run.encode()


def _open(key: Signer, task: Link, out: Any) -> Opened:
    try:
        return open_result(key, task, out)
    except SealError as error:
        raise SecretLostError(f"it is secret, and cannot be opened: {error.message}") from error
