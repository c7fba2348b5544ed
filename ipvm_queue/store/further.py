"""Further runs: those that a task of a run has asked for.

Which run that is, is noted before it is pushed, so that whoever comes to the task again goes on with the same one.
Until it is over the task's node is put aside: no process waits for it. A run that ends takes with it those that it had
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from ipvm_queue.errors import LimitError
from ipvm_queue.ipld import Link, decode_own, encode_own
from ipvm_queue.store import scripts
from ipvm_queue.store.keys import RUN_DIGITS

if TYPE_CHECKING:
    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

Waiting: TypeAlias = Literal["unknown", "over", "late", "wait", "lost"]
MOST_FURTHER: Final = 1024  # of one run: they are let in as fast as they are asked for


class Place(NamedTuple):
    """A node at work: its run, its number, and the index of its queue."""

    run: str
    node: int
    queue: int


class Note(NamedTuple):
    """A further run, and what it is asked for with.

    The CIDs of the signed document and of the container with 8 and 9, that of 9, and until when (Unix s) the task that
    asks for it has time.
    """

    run: str
    document: Link
    sent: Link
    push: Link
    until: int

    def pack(self) -> bytes:
        """Return the note as it is kept: scripts read the run's id."""
        return self.run.encode() + encode_own([self.document, self.sent, self.push, self.until])

    @classmethod
    def unpack(cls, data: bytes) -> Note:
        """Return the note in `data`."""
        return cls(data[:RUN_DIGITS].decode(), *decode_own(data[RUN_DIGITS:]))


class RedisFurther:
    """Further runs in Redis, as the process `owner` deals with them."""

    def __init__(self, redis: Broker, keys: Keys, owner: str) -> None:
        self._redis = redis
        self._keys = keys
        self._owner = owner
        self._note = redis.register_script(scripts.source("further_note"))
        self._wait = redis.register_script(scripts.source("further_wait"))

    def noted(self, place: Place, did: str) -> Note | None:
        """Return the further run that a node has been noted to have, by a worker's key; None where it has none."""
        data = self._redis.hget(self._keys.further(place.run), f"{place.node}|{did}")
        return None if data is None else Note.unpack(data)

    def note(self, place: Place, did: str, note: Note) -> Note | None:
        """Note a node's further run unless one is noted; return the one that is, None for a node that was lost.

        Raises `LimitError` for one more than a run may have.
        """
        data = self._call(self._note, place, did, note.pack(), MOST_FURTHER)
        if data == b"":
            raise LimitError(f"a run has at most {MOST_FURTHER} further runs")
        return None if data is None else Note.unpack(data)

    def wait(self, place: Place, run: str, seconds: float) -> Waiting:
        """Put a node aside until its further run is over, or for `seconds`; say what has become of it."""
        return self._call(self._wait, place, run, int(seconds * 1000)).decode()  # type: ignore[no-any-return]

    def _call(self, script: Any, place: Place, *args: Any) -> Any:
        run, node, queue = place
        return script(keys=[self._keys.run(run)], args=[self._keys.prefix, run, node, queue, self._owner, *args])
