"""Content handles (effects 3): proof that content is at hand, made by the runtime alone, with no written form.

`handle/resolve` of `cid:CID` or `ipfs://CID` brings the block (with `dag: true` all that can be reached from it) into
the queue's store and pins it there. The worker then holds a `ContentHandle`; what goes into the receipt and on to other
tasks is the link, never the handle: whoever reads a pinned link reads it under the runner's guarantee. Faults are kept
apart: a malformed CID is the requestor's (400), and so is more than may be pinned for them (`pin_quota`); no block in
time is the network's (408), a pinned block that is lost the runner's (500).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.ipfs import find_block, find_dag, read_cid
from ipvm_queue.errors import BlockError
from ipvm_queue.store import PinQuotaError

if TYPE_CHECKING:
    from ipvm_queue.effects.contract import EffectBlocks
    from ipvm_queue.ipld import Link, Value

REQUESTOR, RUNNER, NETWORK = 400, 500, 408
_STATUS: Final = {"requestor": REQUESTOR, "runner": RUNNER, "network": NETWORK, "world": NETWORK}


class ContentHandle:
    """A CID whose content this runtime has and guarantees; `read()` gives the block, or the runner has failed.

    It can be neither made, copied, subclassed nor written in any form: not by pickle, JSON, CBOR or their kin.
    """

    __slots__ = ("_blocks", "_link")
    _blocks: EffectBlocks
    _link: Link

    def __new__(cls, *_: Any, **__: Any) -> NoReturn:  # noqa: D102 - it makes none
        raise TypeError("a content handle is made by the runtime alone: resolve a CID with handle/resolve")

    def __init_subclass__(cls) -> None:
        raise TypeError("there is one kind of content handle")

    @property
    def link(self) -> Link:
        """The CID, which says nothing of whether its content is there."""
        return self._link

    def read(self) -> bytes:
        """Return the block; raises `EffectError` `handle/missing`, the runner's fault (500)."""
        try:
            return self._blocks.get(self._link)
        except BlockError as error:
            message = f"the block {self._link} was resolved here and cannot be provided: {error.message}"
            raise EffectError("handle/missing", message, "runner", evidence={"status": RUNNER}) from error

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(_NO_FORM)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_NO_FORM)

    def __copy__(self) -> NoReturn:
        raise TypeError(_NO_FORM)

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(_NO_FORM)

    def __repr__(self) -> str:
        return "<content handle>"


_NO_FORM: Final = "a content handle has no serialized form: pass its link on"


def _make(link: Link, blocks: EffectBlocks) -> ContentHandle:
    handle: ContentHandle = object.__new__(ContentHandle)  # type: ignore[arg-type]
    handle._link, handle._blocks = link, blocks  # noqa: SLF001 - the one place where a handle is made
    return handle


def resolve(context: Context, call: Call) -> tuple[ContentHandle, dict[str, Value]]:
    """Return a handle of the CID in `call.uri`, and what was found; pins its blocks first.

    Raises `EffectError` of this family, with `status` 400, 408 or 500 in its evidence.
    """
    cid = read_cid(call.uri, "handle")
    if call.args.get("dag", False):
        found, source = find_dag(context, cid, call, "handle")
    else:
        data, source = find_block(context, cid, call, "handle")
        found = {cid: data}
    try:
        context.blocks.pin(found, call.requestor)
    except PinQuotaError as error:
        message = f"{error.message}; {error.hint}"
        raise EffectError("handle/quota", message, "requestor") from error
    handle = _make(cid, context.blocks)
    handle.read()  # the receipt says that the content is here: so it must come back from where others will read it
    size = sum(map(len, found.values()))
    return handle, {"cid": cid, "pinned": True, "blocks": len(found), "bytes": size, "from": source}


def _run(context: Context, call: Call) -> Outcome:
    try:
        handle, evidence = resolve(context, call)
    except EffectError as error:
        error.evidence.setdefault("status", _STATUS[error.fault])
        raise
    return Outcome({"ok": handle.link}, evidence)


# No `check`: a malformed CID is answered by a receipt that says whose fault it is, not refused before there is one.
_SCHEMA: Final = {
    "type": "object",
    "properties": {"dag": {"type": "boolean", "description": "all blocks that can be reached, not the first alone"}},
}
_SUMMARY: Final = "the link of content that this queue now has and guarantees"

EFFECTS: Final = (
    Effect("cid", "handle/resolve", Safety.QUERY, _run, _SCHEMA, _SUMMARY),
    Effect("ipfs", "handle/resolve", Safety.QUERY, _run, _SCHEMA, _SUMMARY),
)
