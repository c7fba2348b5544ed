"""The one model behind every document: a `Workflow` of `Task`s."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from ipvm_queue.errors import SignatureError
from ipvm_queue.workflow.faults import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.workflow.faults import Path

Branch: TypeAlias = Literal["ok", "error", "*"]

_NO_META: Final[Mapping[str, Value]] = MappingProxyType({})
DEFAULT_TIME: Final = 300.0
DEFAULT_MEMORY: Final = 64 * 1024 * 1024
DEFAULT_GAS: Final = 10_000_000
DEFAULT_DISK: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Promise:
    """A value that is still to come; stands as a leaf in a task's `args`, `with` or `func`.

    Exactly one of `label` (a task of the same workflow) and `task` (a Task by CID, of this or another run) is set.
    `out` picks one of several return values. (UCAN Promise 2; IPVM job 3.2.3)
    """

    branch: Branch = "ok"
    label: str | None = None
    task: Link | None = None
    out: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What a task may use: seconds, bytes of memory, gas (Wasmtime fuel), bytes of disk (effects 4.3 `ipvm/config`)."""

    time: float = DEFAULT_TIME
    memory: int = DEFAULT_MEMORY
    gas: int = DEFAULT_GAS
    disk: int = DEFAULT_DISK
    secret: bool | None = None
    check: Value = "attestation"


class Task(NamedTuple):
    """One labelled job: a Wasm call, or an effect.

    `resource` is the `with` (a Link for Wasm, a URI for an effect, a Promise for either), `ability` the `do`
    (`"wasm/run"` for Wasm), `args` the list of arguments of a Wasm call or the map of an effect's, with `Promise`s as
    leaves at any depth. `func` None means "the export named like the label". `public` says whether others may see the
    result (None: unless it is secret by `taint`'s rules), `force` that a result private by nature may be published.
    `at` is where it stands in its document.
    """

    label: str
    kind: Literal["wasm", "effect"]
    resource: Link | str | Promise
    ability: str
    func: str | Promise | None = None
    args: Value = ()
    nonce: bytes | None = None
    config: Config = Config()
    on_success: tuple[str, ...] = ()
    on_error: tuple[str, ...] = ()
    public: bool | None = None
    force: bool = False
    meta: Mapping[str, Value] = _NO_META
    at: Path = ()

    @property
    def path(self) -> str:
        """Where it stands in its document, as people write it."""
        return show(self.at)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a document, and the DAG-CBOR of all of it: `{header, jobs, signature}` (IPVM job 3)."""

    issuer: str
    document: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A checked, acyclic job document. `body` is the IPLD `{header, jobs}` that the signature covers."""

    tasks: Mapping[str, Task]
    catch: Task | None = None
    requestor: str | None = None
    nonce: bytes | None = None
    meta: Mapping[str, Value] = field(default_factory=dict)
    parent: Link | None = None
    proofs: tuple[Link, ...] = ()
    signature: Signature | None = None
    body: Value = None

    @property
    def document(self) -> bytes:
        """The DAG-CBOR of the signed document; raises `SignatureError` where nobody has signed it."""
        if self.signature is None:
            raise SignatureError("the document is not signed", hint="sign it first: workflow.sign(…)")
        return self.signature.document
