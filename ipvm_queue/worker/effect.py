"""Do the effect of a node: find its handler, check what it is given, and ask or act (effects 2).

Which handler it is can be known only here, where the `with` of a job may come from a previous step.
"""

from __future__ import annotations

from copy import copy
from functools import cache, partial
from hashlib import sha256
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipvm_queue.effects import Call, EffectError, Outcome, Safety, UnknownEffectError, WaitingError, check, find
from ipvm_queue.effects.config import EffectsConfig
from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.store import Place, Wanted
from ipvm_queue.worker.ask import ask, broken
from ipvm_queue.worker.guard import Act, Acted
from ipvm_queue.worker.stops import CRASHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipvm_queue.crypto import Signer
    from ipvm_queue.effects import Effect
    from ipvm_queue.ipld import Value
    from ipvm_queue.plan import Node, Plan
    from ipvm_queue.settings import Settings
    from ipvm_queue.store import DirectoryBlocks, Marks, Record, RedisBlocks, State
    from ipvm_queue.worker.attest import Scribe
    from ipvm_queue.worker.further import Agent
    from ipvm_queue.worker.guard import Guard
    from ipvm_queue.worker.papers import Asked
    from ipvm_queue.worker.resolve import Resolved

_SHOWN: Final = 200  # characters of a URI in the list of acts


class Errand(NamedTuple):
    """An effect to be done: a node of a run with its inputs in place; `crashed` if its workers died too often."""

    run: str
    queue: int
    number: int
    plan: Plan
    node: Node
    ready: Resolved
    crashed: bool


class Blocks:
    """Blocks as handlers see them: read through the directory of this worker, written to the store."""

    def __init__(self, near: DirectoryBlocks, stored: RedisBlocks, pin_quota: int | None = None) -> None:
        self.get = near.get
        self.put: Callable[..., Link] = stored.put
        self.pin: Callable[..., Any] = partial(stored.pin, most=pin_quota)


class World:
    """The `Context` that handlers are given.

    `at` is the job that an effect is of, and where it stands: what a further job is asked for with, None where it may
    ask for none. `beneath` is what a receipt says of the one that it asked for.
    """

    def __init__(self, settings: Settings, blocks: Blocks, signer: Signer, agent: Agent, marks: Marks) -> None:
        self.settings = settings
        self.blocks = blocks
        self.signer = signer
        self.beneath: dict[str, Value] = {}
        self._agent = agent
        self._marks = marks
        self.at: tuple[Asked, Place] | None = None
        self._config = cache(lambda: EffectsConfig(settings.effects_config))  # one for all effects

    def of(self, asked: Asked, errand: Errand) -> World:
        """Return the world of one effect of a job, as that was `asked` for.

        Nothing that a secret effect makes may stand in a block, and neither may the job that it asks for: blocks are
        not sealed.
        """
        twin, node = copy(self), errand.node
        if node.secret:
            twin.blocks = copy(self.blocks)
            twin.blocks.put = twin.blocks.pin = _refuse_put
        twin.at = None if node.veiled else (asked, Place(errand.run, errand.number, errand.queue))
        return twin

    def config(self, table: str) -> Mapping[str, Any]:
        """Return a table of the `effects_config` file, read once."""
        return self._config().table(table)

    def remember(self, what: str, number: int, until: float) -> int:
        """Return the highest number that the queue has seen of something, and keep it until then and for a while."""
        return self._marks.raised(what, number, until, now=time())

    def run_job(self, job: dict[str, Value] | str, call: Call) -> Outcome:
        """Have the queue run a further job, in the name of who asked for the job that this effect is of.

        Raises `EffectError`, and `WaitingError` until that job is over.
        """
        if self.at is None:
            message = "there are secrets in it, and the further job would stand in a block: blocks are not sealed"
            raise EffectError("effect/secret-block", message, "requestor", sent=False)
        came = self._agent.run(job, call, *self.at)
        self.beneath = {"beneath": came.beneath}
        return Outcome(came.out, {"run": came.run})


class Effects:
    """The effects of one worker process."""

    def __init__(self, world: World, guard: Guard) -> None:
        self.guard = guard
        self._world = world

    def perform(self, errand: Errand, scribe: Scribe) -> Acted | None:
        """Do an effect; None where the node was put aside, or is somebody else's by now.

        Whatever goes wrong in it is an error Result.
        """
        node, ready = errand.node, errand.ready
        what = scribe.under(ready.under)

        def signed(out: dict[str, Value], state: State, meta: dict[str, Value]) -> tuple[Record, bytes]:
            return scribe.sign(node, ready.task, out, state, {**what, **meta})

        try:
            effect, call = self._look_up(errand)
            mandate = scribe.mandate
            call = call._replace(objection=mandate.objection, requestor=mandate.asked.job.iss)
            wanted = _wanted(errand, effect, self._world, call)
        except EffectError as error:
            record, receipt = signed({"error": error.error}, "error", {})
            return Acted(receipt, record, {"error": error.error})
        digest = _digest(node, call)
        world = self._world.of(scribe.mandate.asked, errand)
        what = {**what, "effect": f"{effect.scheme} {effect.ability}", "request": digest}
        if effect.safety is Safety.COMMAND:
            act = Act(wanted, effect, world, call, digest.bytes, signed, discreet=node.veiled)
            return self.guard.act(act, crashed=errand.crashed)
        if errand.crashed:
            record, receipt = signed({"error": dict(CRASHED)}, "error", {})
            return Acted(receipt, record, {"error": dict(CRASHED)})
        try:
            done = ask(effect, world, call)
        except WaitingError:
            return None
        record, receipt = signed(done.out, "ok" if "ok" in done.out else "error", {**done.meta, **world.beneath})
        return Acted(receipt, record, done.out)

    def _look_up(self, errand: Errand) -> tuple[Effect, Call]:
        """Return the handler and the call; raises `EffectError` for what cannot be called (nothing was sent)."""
        node, plan = errand.node, errand.plan
        args = dict(errand.ready.args)
        uri = args.pop("uri", None)
        uri = f"ipfs://{uri}" if isinstance(uri, Link) else uri
        if not isinstance(uri, str):
            raise EffectError("effect/uri", "`with` came out as something that is no URI", "requestor", sent=False)
        ability = node.command.removeprefix("/")
        try:
            effect = find(uri, ability)
            wrong = list(check(uri, ability, args))
        except UnknownEffectError as error:
            message = f"{error.message}; {error.hint}" if error.hint else error.message
            raise EffectError("effect/unknown", message, "requestor", sent=False) from None
        if wrong:
            raise EffectError("effect/argument", f"{ability}: {'; '.join(wrong)}", "requestor", sent=False)
        bounds = plan.bounds[node.bounds]
        size = min(bounds.disk, self._world.settings.max_block_bytes)
        task = (node.act or node.task) if effect.safety is Safety.COMMAND else errand.ready.task
        return effect, Call(uri, ability, args, task, monotonic() + bounds.time, size, 1)


def _digest(node: Node, call: Call) -> Link:
    """Return what a request can be told by. One with secrets in it is told by its promises: it could be guessed."""
    known = node.args if node.veiled else {"uri": call.uri, "do": call.ability, "args": call.args}
    return Link.of(encode(known), DAG_CBOR)


def _refuse_put(*_: Any) -> Link:
    message = "the result is secret, so no part of it can be kept as a block: blocks are not sealed"
    raise EffectError("effect/secret-block", message, "requestor")


def _wanted(errand: Errand, effect: Effect, world: World, call: Call) -> Wanted:
    """Return the act that a node asks for; raises `EffectError` where its handler cannot say what it touches."""
    node, task = errand.node, errand.ready.task
    told = node.is_static or task != node.task  # a Task with secrets in it is known by its promises
    places = dict.fromkeys([call.task] if node.secret else [node.task, call.task])
    about = node.args.get("uri") if isinstance(node.args, dict) else None
    try:
        resource = "" if effect.resource is None else sha256(effect.resource(world, call).encode()).hexdigest()[:32]
    except Exception as raised:  # noqa: BLE001 - a handler's; nothing has been done
        raise broken(effect, raised) from None
    return Wanted(
        id=call.task.key,
        run=errand.run,
        node=errand.number,
        queue=errand.queue,
        task=task if told else None,
        places=[place for place in places if not told or place != task],
        about=f"{call.ability} of {about[:_SHOWN] if isinstance(about, str) else 'what a promise brought'}",
        label=node.label,
        resource=resource,
    )
