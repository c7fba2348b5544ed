"""The Plan: a workflow as nodes in topological order, stored once, named by its CID.

A worker needs the plan's CID and a node number, nothing else. Nodes stand in pages of 256, so that a worker on one
corner of a graph of 100,000 reads that corner alone; the nodes of a small plan stand in its root.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import DAG_CBOR, Link, Value, decode_own, decode_plain, encode_own
from ipvm_queue.ucan import WASM_RUN
from ipvm_queue.workflow.safety import Safety
from ipvm_queue.workflow.taint import Taint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE: Final = 256
VERSION: Final = 3
WASM_QUEUE: Final = "ipvm.wasm"
EFFECT_QUEUE: Final = "ipvm.effects"
COMMIT: Final = "/ipvm/commit"
SAFETIES: Final = tuple(Safety)


class Bounds(NamedTuple):
    """What a node may use: seconds, bytes of memory, gas, bytes of disk."""

    time: float
    memory: int
    gas: int
    disk: int


class Node(NamedTuple):
    """One task of a plan, as it stands in a page.

    `command`, `args` and `nonce` are the Task's (with promises in IPLD form), `task` its CID. `bounds` and `queue`
    are indices into the plan. `inputs` are `[node, Task]` of the predecessors whose Results the args promise, `when`
    `[node, branch]` of the tasks that have this one in their `on`, `awaits` the Tasks of other runs. `targets` are
    `[node, predecessors, queue]`: whom this one feeds, how many arrivals that one waits for, and where it runs.
    `handled` says that an error here is another task's input and does not fail the run. `risk` is the index of the
    safety class. `act` is what a command is known by where its Task is another in each run, because the answer of a
    query is in it. `taint` says whether its Result is secret (`workflow.taint`): it is sealed then, and found by
    nobody who asks for its Task.
    """

    label: str
    command: str
    args: Value
    nonce: bytes
    task: Link
    bounds: int
    queue: int
    inputs: list[list[Any]]
    when: list[list[Any]]
    awaits: list[Link]
    targets: list[list[int]]
    handled: bool
    risk: int = 0
    act: Link | None = None
    taint: int = 0

    @property
    def secret(self) -> bool:
        """Whether its Result is sealed before it leaves the worker that made it."""
        return self.taint == Taint.SECRET

    @property
    def veiled(self) -> bool:
        """Whether its args may hold secrets, so that a CID of them could be guessed from: its one Task is `task`."""
        return self.taint != Taint.NONE

    @property
    def safety(self) -> Safety:
        """How dangerous running it again is."""
        return SAFETIES[self.risk]

    @property
    def pure(self) -> bool:
        """Whether running it twice is the same as running it once."""
        return self.command == WASM_RUN

    @property
    def shared(self) -> bool:
        """Whether its Task is everyone's: looked up, computed by one for all, remembered."""
        return self.command == WASM_RUN and self.taint == Taint.NONE

    @property
    def is_static(self) -> bool:
        """Whether its args hold no promise, so that `task` is its only address."""
        return not self.inputs and not self.awaits

    @property
    def predecessors(self) -> list[int]:
        """The nodes that must settle before this one, each once."""
        if not (self.inputs or self.when):
            return []
        return list(dict.fromkeys([node for node, _ in self.inputs] + [node for node, _ in self.when]))

    @property
    def runs_into(self) -> int | None:
        """The one node that follows and follows nothing else: the next link of a chain."""
        match self.targets:
            case [[target, 1, queue]] if queue == self.queue:
                return target
        return None


_LABEL, _TASK, _TAINT = (Node._fields.index(name) for name in ("label", "task", "taint"))


class Outline(NamedTuple):
    """What those who follow a run look at of a task: its label, the bytes of its Task's CID, whether it is secret."""

    label: str
    cid: bytes
    secret: bool

    @property
    def task(self) -> Link:
        """The CID of its Task."""
        return Link(self.cid)


@dataclass(frozen=True)
class Plan:
    """The root of a plan.

    `subject` is the queue's DID, whose the pure Tasks are, `service` the DID whose the effects are. `document` is the
    CID of the signed job, `count` the number of its tasks. The nodes of the `catch` handler and of the barrier, where
    there are such, stand behind them in this order. `pages` are the Links of pages, or the rows of the one page of a
    small plan. Whoever has just compiled a plan has its `nodes` too, whoever has read one the `block` that it stood in.
    `owner` is the DID that secret results are sealed for, None where there is none.
    """

    subject: str
    service: str
    document: Link
    count: int
    bounds: tuple[Bounds, ...]
    queues: tuple[str, ...]
    has_catch: bool
    has_barrier: bool
    pages: tuple[Link | list[list[Value]], ...]
    read_page: Callable[[Link], bytes] = field(repr=False, compare=False)
    nodes: list[Node] = field(default_factory=list, repr=False, compare=False)
    owner: str | None = None
    block: bytes | None = field(default=None, repr=False, compare=False)

    @cached_property
    def data(self) -> bytes:
        """The root block's bytes."""
        return self.block or encode_own(
            {
                "v": VERSION,
                "sub": self.subject,
                "svc": self.service,
                "doc": self.document,
                "count": self.count,
                "bounds": [list(bounds) for bounds in self.bounds],
                "queues": list(self.queues),
                "catch": self.has_catch,
                "barrier": self.has_barrier,
                "pages": list(self.pages),
                **({} if self.owner is None else {"own": self.owner}),
            }
        )

    @cached_property
    def link(self) -> Link:
        """The plan's CID."""
        return Link.of(self.data, DAG_CBOR)

    @property
    def catch(self) -> int | None:
        """The number of the `catch` handler's node, if there is one."""
        return self.count if self.has_catch else None

    @property
    def barrier(self) -> int | None:
        """The number of the node that stands between the pure part and the commands, if there is one."""
        return self.count + self.has_catch if self.has_barrier else None

    @property
    def steps(self) -> dict[int, Node]:
        """Every node that a run must settle, by number: the tasks, and the barrier."""
        nodes = dict(enumerate(self))
        if self.catch is not None:
            del nodes[self.catch]
        return nodes

    @cached_property
    def _cache(self) -> OrderedDict[int, list[Node]]:
        return OrderedDict()

    def page(self, number: int, keep: int = 64) -> list[Node]:
        """Return a page's nodes; the `keep` pages used last stay in memory."""
        nodes = self._cache.get(number)
        if nodes is None:
            try:
                nodes = [Node(*row) for row in self._rows(number)]
            except TypeError as error:
                raise CodecError(f"a page of a plan has something else than nodes: {error}") from error
            self._cache[number] = nodes
            if len(self._cache) > keep:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(number)
        return nodes

    def _rows(self, number: int, *, plain: bool = False) -> list[list[Any]]:
        """Return the rows of a page; where they are `plain`, Links of a page of its own are their bytes."""
        page = self.pages[number]
        if not isinstance(page, Link):
            return page
        data = self.read_page(page)
        return decode_plain(data) if plain else decode_own(data)  # type: ignore[no-any-return]

    def node(self, number: int) -> Node:
        """Return a node by its number."""
        return self.nodes[number] if self.nodes else self.page(number // PAGE)[number % PAGE]

    def subject_of(self, node: Node) -> str:
        """Return the DID whose Task a node is."""
        return self.subject if node.command == WASM_RUN else self.service

    def __iter__(self) -> Iterator[Node]:
        """Every node in order: the tasks, the `catch` handler, the barrier."""
        if self.nodes:
            yield from self.nodes
            return
        for number in range(len(self.pages)):
            yield from self.page(number)

    @cached_property
    def outline(self) -> list[Outline]:
        """What those who follow a run look at of its tasks."""
        if self.nodes:
            return [Outline(node.label, node.task.bytes, node.secret) for node in self.nodes[: self.count]]
        rows = (row for number in range(len(self.pages)) for row in self._rows(number, plain=True))
        try:
            return [
                Outline(row[_LABEL], bytes(row[_TASK]), row[_TAINT] == Taint.SECRET) for row in islice(rows, self.count)
            ]
        except (TypeError, LookupError) as error:
            raise CodecError(f"a page of a plan has something else than nodes: {error}") from error

    @cached_property
    def labels(self) -> dict[str, int]:
        """The numbers of the tasks by label."""
        return {each.label: number for number, each in enumerate(self.outline)}

    @property
    def longest(self) -> float:
        """The most seconds that any node may take."""
        return max(bounds.time for bounds in self.bounds)


def paginate(nodes: list[Node]) -> dict[Link, bytes]:
    """Return the page blocks of `nodes`, in order; no two are equal, for labels are unique. A small plan has none."""
    if len(nodes) <= PAGE:
        return {}
    pages = (encode_own([list(node) for node in nodes[start : start + PAGE]]) for start in range(0, len(nodes), PAGE))
    return {Link.of(page, DAG_CBOR): page for page in pages}


def load(data: bytes, read_page: Callable[[Link], bytes]) -> Plan:
    """Return the plan whose root block is `data`; `read_page` gives the bytes of its pages.

    Raises `CodecError` for a plan of another version, or bytes that are none.
    """
    root = decode_own(data)
    if not isinstance(root, dict) or root.get("v") != VERSION:
        version = root.get("v") if isinstance(root, dict) else None
        raise CodecError(f"a plan of version {version}, this is {VERSION}", hint="submit the job again")
    try:
        return Plan(
            subject=root["sub"],
            service=root["svc"],
            document=root["doc"],
            count=root["count"],
            bounds=tuple(Bounds(*bounds) for bounds in root["bounds"]),
            queues=tuple(root["queues"]),
            has_catch=root["catch"],
            has_barrier=root["barrier"],
            pages=tuple(root["pages"]),
            read_page=read_page,
            owner=root.get("own"),
            block=data,
        )
    except (KeyError, TypeError) as error:
        raise CodecError(f"this is no plan: {error!r}") from error
