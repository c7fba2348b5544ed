"""What goes into the transitions of a run, and what comes out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ipvm_queue.errors import UnavailableError
    from ipvm_queue.ipld import Link
    from ipvm_queue.store.blocks import Put
    from ipvm_queue.store.receipts import Entry
    from ipvm_queue.store.records import Record

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


class Papers(NamedTuple):
    """On whose authority a run goes: the CIDs of the invocation of the job (8) and of its push (9).

    `tokens` is the container of all that was sent along with them, `handout` the queue's signed answer to the pop that
    was asked for (11), empty where the run has not been handed to it.
    """

    invocation: Link
    push: Link
    tokens: bytes
    handout: bytes


class Grant(NamedTuple):
    """What a worker may do: the run's state (as in `prelude.lua`, or `gone`) and nodes leased to it.

    `careful` says that a guest of this run has killed its worker, `nodes` are pairs of node number and death points
    (how much speaks for its being that guest). `revoked` is another text once more has been revoked on this queue,
    `queue` the number of the run's queue that a message came by, `plan` the root block of its plan and `papers` the
    run's where they were asked for and are there.
    """

    state: str
    careful: bool
    nodes: list[tuple[int, int]]
    revoked: bytes = b""
    papers: Papers | None = None
    queue: int = 0
    plan: bytes = b""


class Ask(NamedTuple):
    """A node about to run.

    `tasks` are the addresses of its pure Task (mode `work`; `ahead` where it is not released yet), or the Tasks of
    other runs that it needs (`await`, for at most `patience` seconds).
    """

    node: int
    mode: Literal["work", "ahead", "await"]
    tasks: list[Link]
    patience: float = 0.0


class Answer(NamedTuple):
    """What to do with an asked node: `run`, `hit`, `twin`, `have`, `wait`, `busy` or `late`; and the receipts found."""

    verdict: str
    receipts: list[tuple[Link, bytes]]


class Settlement(NamedTuple):
    """A node that has ended.

    `receipt` is the signed envelope, empty where `record` names one that the store has. `tasks` are the addresses to
    index it under, `reusable` whether it may stand in for running them, `fails` whether the run fails by it, `ahead`
    whether the node was run before its release, `targets` whom it feeds, as in `plan.Node`.
    """

    node: int
    record: Record
    receipt: bytes
    tasks: list[Link]
    reusable: bool
    fails: bool
    ahead: bool
    targets: list[list[int]]


class Attestation(NamedTuple):
    """A token (13s) that says receipts in the service's name, by their CIDs."""

    link: Link
    data: bytes
    receipts: Collection[Link]


@dataclass(frozen=True, slots=True)
class Opening:
    """All that a new run starts from.

    `messages` are the broker message templates by queue name, `settled` the nodes whose receipts exist already,
    `arrived` how many predecessors of the others are among them, `ready` the nodes by queue that wait for nothing.
    `catch` and `barrier` are the nodes that stand beside its `count` tasks.
    Of a run that came through the gate, `invocation` and `push` are the CIDs of the tokens 8 and 9, `service` the DID
    that it is done for, `grants` the CID of the container of all tokens sent along, `answer` the queue's signed answer
    to 9, `handed` the signed hand-outs by pop.
    """

    plan: Link
    document: Link
    count: int
    requestor: str
    messages: Mapping[str, str]
    settled: Mapping[int, Record]
    arrived: Mapping[int, int]
    ready: Mapping[int, Sequence[int]]
    failed: int
    first_failed: int | None
    catch: int | None
    barrier: int | None = None
    invocation: Link | None = None
    push: Link | None = None
    service: str | None = None
    grants: Link | None = None
    answer: bytes | None = None
    handed: Mapping[Link, bytes] = field(default_factory=dict)


class NewRun(NamedTuple):
    """A run about to be opened.

    `lifetime` counts in seconds from its end, `blocks` are those that only runs need, and lapse with it; `puts` are
    the blocks that must be there before it, too. `by` is the request that it comes by.
    """

    run: str
    opening: Opening
    lifetime: float
    blocks: Mapping[Link, bytes] = NOTHING
    puts: Sequence[Put] = ()
    by: ByRequest | None = None


class ByRequest(NamedTuple):
    """The request that a run comes by, and the gate that has it.

    `invocations` are remembered as the request's own (`RedisReplays.claim`). Where one of `tasks` has a receipt that
    may be taken instead of running it, the run is not opened: it starts from that.
    """

    request: str
    gate: str
    invocations: Mapping[bytes, int]
    tasks: Sequence[Link] = ()


class Opened(NamedTuple):
    """What became of a run: whether it is `new`, or was open already, and whether its request is `answered`."""

    new: bool
    answered: bool = False


class Repeated(NamedTuple):
    """Why a run was not opened: an invocation that another request has brought, or `WITHDRAWN`."""

    invocation: bytes


class Known(NamedTuple):
    """Why a run was not opened yet: the memo table's entries of the Tasks that were asked for."""

    entries: list[Entry | None]


if TYPE_CHECKING:
    Outcome = Opened | Repeated | Known | UnavailableError


@dataclass(frozen=True, slots=True)
class Header:
    """A run as a whole. `status` is `running`, `ok`, `error`, `in-doubt` or `cancelled`.

    `submitted` is in ms since 1970, `invocation`, `push`, `service`, `grants` and `answer` are as in `Opening`.
    """

    run: str
    status: str
    plan: Link
    document: Link
    count: int
    left: int
    failed: int
    requestor: str
    submitted: int
    outcome: bytes | None
    reason: str
    invocation: Link | None
    push: Link | None
    service: str | None
    grants: Link | None
    answer: bytes | None


class Progress(NamedTuple):
    """One entry of a run's event stream: nodes that settled (`node flag,…`), or the status that the run ended with.

    With a node that settled by itself comes its record.
    """

    position: bytes
    told: bytes
    end: str | None
    record: Record | None = None

    @property
    def settled(self) -> list[int]:
        """The nodes."""
        return [int(pair.partition(b" ")[0]) for pair in self.told.split(b",")] if self.told else []
