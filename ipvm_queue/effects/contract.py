"""What a handler of an effect is, what it is given, and what it answers.

A family is a module with `EFFECTS: tuple[Effect, …]` and, where an operator can configure it, `CONFIG`: a map from the
name of a table of the `effects_config` file to the schemas of its keys (`effects/config.py`). Another package adds a
family by an entry point of the group `ipvm_queue.effects` that names such a module, or a callable that returns one or
more `Effect`s. A family is imported whenever any effect is looked up, also by a submitter: what only its `run` needs is
imported there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from ipvm_queue.workflow.safety import Safety

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.ipld import Link, Value
    from ipvm_queue.settings import Settings

Fault: TypeAlias = Literal["requestor", "runner", "network", "world"]
Schema: TypeAlias = "Mapping[str, Any]"
ANY_SCHEME: Final = "*"
__all__ = ["ANY_SCHEME", "Call", "Context", "Effect", "EffectBlocks", "EffectError", "Fault", "NotDoneError", "Outcome",
           "Safety", "Schema", "WaitingError"]  # fmt: skip


def _nothing_else(command: str, args: Value) -> dict[str, Value] | None:
    del args
    return {"code": "refused", "message": f"nobody has been asked about {command}", "fault": "runner"}


class Call(NamedTuple):
    """One effect to be done.

    `args` are without `uri`, checked against the effect's schema. `task` is what receipt and world may know it by: the
    same for every attempt of one act, so `str(task)` is the idempotency key of a command. `deadline` is in
    `time.monotonic()`'s seconds; an answer has at most `max_bytes`; `attempt` counts from 1. `follows_doubt` says of a
    command that an earlier attempt was in doubt and may still arrive: the world's refusal may be its doing.
    `objection` says why what a command would do beside this may not be done in the name of who asked, as an error; None
    where it may. `requestor` is the DID of who asked, empty where nobody did.
    """

    uri: str
    ability: str
    args: dict[str, Value]
    task: Link
    deadline: float
    max_bytes: int
    attempt: int
    follows_doubt: bool = False
    objection: Callable[[str, Value], dict[str, Value] | None] = _nothing_else
    requestor: str = ""


class Outcome(NamedTuple):
    """What the world answered: a Result `{"ok": value}` or `{"error": {code, message, fault}}`.

    For a command it says that the act is over, so an error here is the world's own answer (a refusal), after which
    there is nothing to be done again. `evidence` goes into the receipt's `meta`: who answered, digests, signatures.
    """

    out: dict[str, Value]
    evidence: dict[str, Value] = {}  # noqa: RUF012 - nobody changes it


class EffectError(Exception):
    """Raised by a handler that has no answer.

    `code` is `family/what` (`dns/nxdomain`), `fault` says whose it is, `transient` that asking again may help (a query
    is retried within its time; a command never is). `sent` must be False where surely nothing has happened in the
    world; for a command everything else is in doubt.
    """

    def __init__(
        self,
        code: str,
        message: str,
        fault: Fault,
        *,
        evidence: dict[str, Value] | None = None,
        transient: bool = False,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fault = fault
        self.evidence = evidence or {}
        self.transient = transient
        self.sent = sent

    @property
    def error(self) -> dict[str, Value]:
        """The error as a receipt says it."""
        return {"code": self.code, "message": self.message, "fault": self.fault}


class NotDoneError(Exception):
    """Raised by `reconcile` where the act surely has not happened.

    It is done again by itself only if the effect has `idempotency_key`: whoever was to do it may be asleep, not dead,
    and only the world can refuse the second.
    """


class WaitingError(Exception):
    """Raised by a query whose answer is not there yet: its node has been put aside, and it will be asked again."""


class EffectBlocks(Protocol):
    """Blocks as handlers use them."""

    def get(self, cid: Link) -> bytes:
        """Return a block's bytes; raises `MissingBlockError` or `BlockError`."""

    def put(self, data: bytes, codec: int = ...) -> Link:
        """Store a block and return its CID."""

    def pin(self, blocks: Mapping[Link, bytes], owner: str = ...) -> None:
        """Store blocks under the CIDs given, for ever: from now on a missing one is the runner's fault.

        They count for `owner`, a DID; raises `PinQuotaError` where that would be too much for them.
        """


class Context(Protocol):
    """What a handler has from its worker."""

    @property
    def settings(self) -> Settings:
        """The worker's settings."""

    @property
    def blocks(self) -> EffectBlocks:
        """The queue's blocks."""

    @property
    def signer(self) -> Signer:
        """The worker's own key."""

    def config(self, table: str) -> Mapping[str, Any]:
        """Return a table of the `effects_config` file, checked; empty where the file has none."""

    def remember(self, what: str, number: int, until: float) -> int:
        """Return the highest number that the queue has seen of something, this one included.

        It is remembered until a time (Unix seconds), and for a while longer.
        """

    def run_job(self, job: dict[str, Value] | str, call: Call) -> Outcome:
        """Have the queue run a further job, in the name of who asked for the job that this call is of.

        Raises `EffectError`, and `WaitingError` until that job is over.
        """


class Effect(NamedTuple):
    """A row of the registry: how (URI scheme, ability) is done, and how dangerous that is.

    `scheme` is in lower case, `*` for any. `schema` is JSON Schema's subset of `effects/schema.py` for the args without
    `uri`. `private` is the visibility unless a job says otherwise. `idempotency_key` says that the world itself
    refuses a second act under `call.task`. `reconcile` looks whether an act in doubt has happened: an Outcome (it
    has), None (still in doubt), or `NotDoneError`. `resource` names what one command at a time may touch (a zone, a
    mailbox); None: no other command is waited for. `check` returns what is wrong with a URI and args, at submission.
    `uses` gives what args ask for beside the effect itself, as commands with their args: who asks for it must be
    entitled to each of them as to a task of its own. Args may have promises in them; it raises nothing.
    """

    scheme: str
    ability: str
    safety: Safety
    run: Callable[[Context, Call], Outcome]
    schema: Schema
    summary: str
    private: bool = False
    idempotency_key: bool = False
    reconcile: Callable[[Context, Call], Outcome | None] | None = None
    resource: Callable[[Context, Call], str] | None = None
    check: Callable[[str, Mapping[str, Any]], str | None] | None = None
    uses: Callable[[Mapping[str, Value]], Iterable[tuple[str, dict[str, Value]]]] | None = None
