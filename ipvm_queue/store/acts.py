"""Acts: destructive effects, each of which is done at most once. docs/exactly-once.md draws their states.

An act goes from `claimed` over `intended`, which is on disk before anything is done, to `done`. One that was intended
and has no outcome is in doubt, and nobody does it again by himself. Every change is a script that compares the fence,
which is another one with each claim.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from redis.exceptions import NoScriptError, ResponseError

from ipvm_queue.errors import UnavailableError
from ipvm_queue.ipld import Link
from ipvm_queue.store import scripts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipvm_queue.store.connection import Broker
    from ipvm_queue.store.keys import Keys

DURABLE_MS: Final = 5000  # how long the server may take to have an intent on its disk
_BATCH: Final = 500
ActState: TypeAlias = Literal["claimed", "intended", "in-doubt", "done", "not-done"]
_STATES: Final[dict[bytes, ActState]] = {
    b"claimed": "claimed",
    b"intended": "intended",
    b"doubt": "in-doubt",
    b"done": "done",
    b"free": "not-done",
}


class NotDurableError(UnavailableError):
    """Raised when the server cannot promise that an intent outlives it, so that no destructive effect may be done."""

    code = "not-durable"


class Claim(NamedTuple):
    """What became of claiming an act: `run`, `done`, `doubt`, `wait`, `apart` or `lost`, as in `scripts/act_claim.lua`.

    `fence` and `act`, its id, are there for `run` and `doubt`, `why` for `doubt`, `receipt` and `envelope` for `done`.
    `judged` says of one to `run` that another than an earlier holder has said that it had not happened.
    """

    verdict: str
    fence: str = ""
    act: str = ""
    why: str = ""
    receipt: Link | None = None
    envelope: bytes = b""
    judged: bool = False


class Act(NamedTuple):
    """An act as it stands. Times are ms since 1970, 0 where it has not come so far; `runs` are told of its doubt."""

    id: str
    state: ActState
    fence: str
    task: Link
    about: str
    label: str
    run: str
    owner: str
    since: int
    why: str
    receipt: Link | None
    envelope: bytes
    runs: tuple[str, ...]


class Wanted(NamedTuple):
    """An act that a node of a run asks for.

    `task` is its Task with its inputs in place, None where that is not told; `places` are its addresses whatever its
    inputs come to. `id` is what it is known by where it is no act yet under any of them. `resource` names what no other
    act may touch meanwhile, empty for nothing.
    """

    id: str
    run: str
    node: int
    queue: int
    task: Link | None
    places: Sequence[Link]
    about: str
    label: str
    resource: str

    @property
    def tasks(self) -> list[Link]:
        """The addresses of its Task, the one with its inputs in place first."""
        return [*([] if self.task is None else [self.task]), *self.places]


class RedisActs:
    """The acts of a queue. `lease` is in seconds: for so long a claim holds without being renewed."""

    def __init__(self, redis: Broker, keys: Keys, *, lease: float, receipt_lifetime: float | None) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = int(lease * 1000)
        self._lifetime = int((receipt_lifetime or 0) * 1000)
        names = ("act_claim", "act_intend", "act_renew", "act_end")
        self._scripts = {name: redis.register_script(scripts.source(name)) for name in names}

    def _call(self, name: str, act: str, run: str, *args: Any) -> Any:
        return self._scripts[name](keys=[self._keys.act(act)], args=[self._keys.prefix, run, act, *args])

    # Doing

    def claim(self, wanted: Wanted, owner: str) -> Claim:
        """Claim an act, or say why not; where another does it, the node is put aside until that is over."""
        keys = ["" if wanted.task is None else wanted.task.key, *(place.key for place in wanted.places)]
        args = (wanted.node, wanted.queue, owner, self._lease, wanted.resource, wanted.about, wanted.label)
        verdict, *rest = self._call("act_claim", wanted.id, wanted.run, *args, token_hex(8), *keys)
        match verdict:
            case b"run":
                return Claim("run", rest[0].decode(), rest[2].decode(), judged=bool(rest[1]))
            case b"doubt":
                return Claim("doubt", rest[0].decode(), rest[2].decode(), rest[1].decode())
            case b"done":
                return Claim("done", receipt=Link(rest[0]), envelope=rest[1])
        return Claim(verdict.decode())

    def intend(self, act: str, fence: str, digest: bytes) -> bool:
        """Make it known, and durable, that the act is about to be done; False where it is somebody else's by now.

        Raises `NotDurableError` where the server cannot promise that it is on disk: then it must not be done.
        """
        script = self._scripts["act_intend"]
        args = [self._keys.prefix, "", act, fence, self._lease, digest]
        for _ in range(2):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.evalsha(script.sha, 1, self._keys.act(act), *args)
            pipeline.execute_command("WAITAOF", 1, 0, DURABLE_MS)
            intended, synced = pipeline.execute(raise_on_error=False)
            if not isinstance(intended, NoScriptError):
                break
            self._redis.script_load(scripts.source("act_intend"))
        if isinstance(intended, Exception):
            raise UnavailableError(f"the broker refused an intent: {intended}") from intended
        if not intended:
            return False
        _check_durable(synced)
        return True

    def renew(self, act: str, fence: str) -> bool:
        """Keep a claim; False where it is lost."""
        return bool(self._call("act_renew", act, "", fence, self._lease))

    def done(
        self, act: str, fence: str, receipt: tuple[Link, bytes], tasks: Sequence[Link], *, judged: bool = False
    ) -> tuple[Link, bytes] | None:
        """Say that the act is over, by a signed receipt; return the receipt that counts, None for a stale fence.

        `judged` says that it is not its holder who says so. Where it was over already, the first receipt counts.
        """
        link, data = receipt
        keys = [task.key for task in tasks]
        said = (link.key, link.bytes, data, self._lifetime, len(keys), *keys)
        answer = self._end(act, fence, "done", *said, judged=judged)
        if answer[0] == b"done":
            return Link(answer[1]), answer[2]
        return receipt if answer[0] else None

    def not_done(self, act: str, fence: str, why: str, *, judged: bool = False) -> bool:
        """Say that the act has surely not happened: it may be claimed again. False for a stale fence."""
        return bool(self._end(act, fence, "free", why=why, judged=judged)[0] == 1)

    def doubt(self, act: str, fence: str, why: str, run: str) -> bool:
        """Say that nobody knows whether the act has happened. False for a stale fence."""
        return bool(self._end(act, fence, "doubt", run=run, why=why, judged=False)[0] == 1)

    def _end(self, act: str, fence: str, how: str, *args: Any, run: str = "", why: str = "", judged: bool) -> list[Any]:
        who = "judge" if judged else "holder"
        answer: list[Any] = self._call("act_end", act, run, fence, how, who, why, *args)
        return answer

    def check_durable(self) -> None:
        """Raise `NotDurableError` where the server would not keep an intent.

        Raises `UnavailableError`, with `refused` among its fields where this user may not ask.
        """
        try:
            synced = self._redis.execute_command("WAITAOF", 1, 0, DURABLE_MS)
        except UnavailableError as error:
            if isinstance(error.__cause__, ResponseError) and not error.fields.get("refused", False):
                synced = error.__cause__
            else:
                raise
        _check_durable(synced)

    # Looking

    def find(self, task: Link) -> Act | None:
        """Return the act that a Task stands for, None where there is none."""
        act = self._redis.hget(self._keys.acts_by_task, task.key)
        return None if act is None else self.get(act.decode())

    def get(self, act: str) -> Act | None:
        """Return an act by its id, None where there is none."""
        return next(self._read([act]), None)

    def all(self, *, in_doubt: bool = False, limit: int = 100) -> list[Act]:
        """Return the acts claimed last, newest first; with `in_doubt` those only."""
        names = self._redis.zrevrange(self._keys.doubts if in_doubt else self._keys.acts, 0, limit - 1)
        return list(self._read([name.decode() for name in names]))

    def _read(self, acts: list[str]) -> Iterator[Act]:
        for start in range(0, len(acts), _BATCH):
            some = acts[start : start + _BATCH]
            pipeline = self._redis.pipeline(transaction=False)
            for act in some:
                pipeline.hgetall(self._keys.act(act))
                pipeline.smembers(f"{self._keys.act(act)}:runs")
            answers = pipeline.execute()
            for act, fields, runs in zip(some, answers[::2], answers[1::2], strict=True):
                if fields:
                    yield _act(act, fields, runs)


def _act(act: str, fields: dict[bytes, bytes], runs: set[bytes]) -> Act:
    receipt = fields.get(b"receipt")
    return Act(
        id=act,
        state=_STATES[fields[b"state"]],
        fence=fields[b"fence"].decode(),
        task=Link.parse(fields[b"task"].decode()),
        about=fields[b"about"].decode(),
        label=fields[b"label"].decode(),
        run=fields[b"run"].decode(),
        owner=fields[b"owner"].decode(),
        since=int(fields.get(b"since", 0)),
        why=fields.get(b"why", b"").decode(),
        receipt=None if receipt is None else Link(receipt),
        envelope=fields.get(b"envelope", b""),
        runs=tuple(sorted(run.decode() for run in runs)),
    )


def _check_durable(synced: Any) -> None:
    if isinstance(synced, list) and synced[0] >= 1:
        return
    reason = f": {synced}" if isinstance(synced, Exception) else f" within {DURABLE_MS / 1000:g} seconds"
    raise NotDurableError(
        f"the broker does not confirm that an intent is on its disk{reason}",
        hint="destructive effects need `appendonly yes` and `appendfsync everysec` or `always` (Valkey, or Redis 7.2)",
    )
