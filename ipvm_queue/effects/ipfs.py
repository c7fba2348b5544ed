"""`crud/read` of `ipfs://CID`: one block by its CID, from whoever has it, verified here.

Asked are, in order, the queue's own blocks, the trustless gateways and the Kubo node that an operator has configured.
A raw block comes out as bytes, a DAG-CBOR one as its value, any other as its bytes; which it was, the CID says.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.fetch import Request, fetch, first, host_of, share
from ipvm_queue.errors import BlockError, CodecError, IpvmError, MissingBlockError
from ipvm_queue.ipld import DAG_CBOR, CarLimits, Link, Value, decode, protobuf_fields, read_car
from ipvm_queue.ipld.link import DAG_PB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
MAX_DAG_BLOCKS: Final = 10_000
_RAW_TYPE: Final = "application/vnd.ipld.raw"
_CAR_TYPE: Final = "application/vnd.ipld.car;version=1;order=dfs;dups=n"
_CAR_ROOM: Final = 48 * MAX_DAG_BLOCKS  # bytes of CIDs and lengths beside the blocks
_PREFIXES: Final = ("ipfs://", "cid://", "ipfs:", "cid:")
_URL: Final = {"type": "string", "pattern": "^https?://[^/?#]+", "description": "an address without path"}

CONFIG: Final = {
    "ipfs": {
        "gateways": {"type": "array", "items": _URL, "description": "trustless gateways, asked in this order"},
        "kubo": {**_URL, "description": "the RPC address of a Kubo node, asked after the gateways"},
    }
}


def read_cid(uri: str, family: str) -> Link:
    """Return the CID of `ipfs://CID` or `cid:CID`; raises `EffectError` `malformed`, the requestor's fault (400)."""
    text = next((uri[len(prefix) :] for prefix in _PREFIXES if uri.lower().startswith(prefix)), uri)
    try:
        return Link.parse(text)
    except CodecError as error:
        path = "; a path behind the CID is not followed" if "/" in text else ""
        raise EffectError(
            f"{family}/malformed", f"{uri[:200]} names no CID: {error.message}{path}", "requestor"
        ) from error


def wrong_cid(uri: str, args: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the CID in a URI, for the submitter."""
    del args
    try:
        read_cid(uri, "cid")
    except EffectError as error:
        return error.message
    return None


def find_block(context: Context, cid: Link, call: Call, family: str) -> tuple[bytes, str]:
    """Return a block and who gave it (`store`, `cid` where the CID itself holds the block, or a host).

    Raises `EffectError`: what `fetch` raises, `hash` where bytes came that are not the block's, `too-large`.
    """
    if cid.inline is not None:
        return _bounded(cid.inline, call.max_bytes, family), "cid"
    try:
        data = context.blocks.get(cid)
    except MissingBlockError:
        return _from_outside(context, cid, call, family)
    except BlockError as error:
        raise EffectError(f"{family}/store", error.message, "runner") from error
    return _bounded(data, call.max_bytes, family), "store"


def _from_outside(context: Context, cid: Link, call: Call, family: str) -> tuple[bytes, str]:
    config = context.config("ipfs")
    gateways = list(config.get("gateways", ()))
    kubo = [config["kubo"]] if "kubo" in config else []

    def ask(source: str) -> tuple[bytes, str]:
        if source in (each.rstrip("/") for each in kubo):
            url, method = f"{source}/api/v0/block/get?arg={cid}", "POST"
        else:
            url, method = f"{source}/ipfs/{cid}?format=raw", "GET"
        deadline = share(call.deadline, len(gateways) + len(kubo))
        data = fetch(Request(family, url, deadline, call.max_bytes, _RAW_TYPE, method))
        if not cid.matches(data):
            raise EffectError(
                f"{family}/hash", f"{host_of(source)} gave {len(data)} bytes that are not {cid}", "network"
            )
        return data, host_of(source)

    return first(family, "ipfs", [*gateways, *kubo], ask)


def find_dag(context: Context, root: Link, call: Call, family: str) -> tuple[dict[Link, bytes], str]:
    """Return every block that can be reached from `root`, and who gave it; `call.max_bytes` bounds them all together.

    Raises what `find_block` raises, and `too-large` for more than `MAX_DAG_BLOCKS` blocks.
    """
    near, given_by = _from_car(context, root, call, family)
    blocks: dict[Link, bytes] = {}
    size, ahead = 0, [root]
    while ahead:
        cid = ahead.pop()
        if cid in blocks:
            continue
        if len(blocks) == MAX_DAG_BLOCKS:
            raise EffectError(f"{family}/too-large", f"{root} has more than {MAX_DAG_BLOCKS} blocks", "world")
        left = call.max_bytes - size
        if cid in near:
            data = _bounded(near[cid], left, family)
        else:
            data, source = find_block(context, cid, call._replace(max_bytes=left), family)
            given_by = given_by or source
        blocks[cid] = data
        size += len(data)
        ahead.extend(links_of(cid, data, family))
    return blocks, given_by


def _from_car(context: Context, root: Link, call: Call, family: str) -> tuple[dict[Link, bytes], str]:
    """Return what a gateway's CAR of a whole DAG holds, each block verified, and who gave it; nothing is promised.

    A gateway may leave out, or give up halfway: what is missing is asked for block by block.
    """
    blocks: dict[Link, bytes] = {}
    gateways = context.config("ipfs").get("gateways", ())
    if root.inline is not None:
        return blocks, ""
    try:
        context.blocks.get(root)
    except BlockError:
        pass
    else:
        return blocks, ""
    for gateway in gateways:
        url = f"{gateway.rstrip('/')}/ipfs/{root}?format=car&dag-scope=all"
        deadline = share(call.deadline, len(gateways) + 1)
        try:
            data = fetch(Request(family, url, deadline, call.max_bytes + _CAR_ROOM, _CAR_TYPE))
            for block in read_car(data, limits=CarLimits(total=len(data) + 1, blocks=MAX_DAG_BLOCKS)):
                blocks[block.cid] = block.data
        except (EffectError, IpvmError):
            continue
        return blocks, host_of(gateway)
    return blocks, ""


def links_of(cid: Link, data: bytes, family: str) -> list[Link]:
    """Return the links in a DAG-CBOR or DAG-PB block; none of any other codec are known."""
    try:
        if cid.codec == DAG_CBOR:
            return list(_links(decode(data)))
        if cid.codec == DAG_PB:
            nodes = (dict(protobuf_fields(value)) for number, value in protobuf_fields(data)
                     if number == 2 and isinstance(value, bytes))  # noqa: PLR2004  # fmt: skip
            return [Link(link[1]) for link in nodes if isinstance(link.get(1), bytes)]  # type: ignore[arg-type]
    except IpvmError as error:
        raise EffectError(f"{family}/codec", f"{cid} is not what its codec says: {error.message}", "world") from error
    return []


def _links(value: Value) -> Iterator[Link]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Link):
            yield item
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _bounded(data: bytes, most: int, family: str) -> bytes:
    if len(data) > most:
        raise EffectError(f"{family}/too-large", f"{len(data)} bytes, at most {most} are read", "world")
    return data


def _read(context: Context, call: Call) -> Outcome:
    cid = read_cid(call.uri, "ipfs")
    data, source = find_block(context, cid, call, "ipfs")
    evidence: dict[str, Value] = {"cid": cid, "from": source, "sha256": sha256(data).digest(), "bytes": len(data)}
    if cid.codec != DAG_CBOR:
        return Outcome({"ok": data}, evidence)
    try:
        return Outcome({"ok": decode(data)}, evidence)
    except CodecError as error:
        raise EffectError(
            "ipfs/codec", f"{cid} is not DAG-CBOR: {error.message}", "world", evidence=evidence
        ) from error


EFFECTS: Final = (
    Effect(
        "ipfs",
        "crud/read",
        Safety.QUERY,
        _read,
        {"type": "object", "properties": {}},
        "a block by its CID, from the store, a trustless gateway or Kubo, verified",
        check=wrong_cid,
    ),
)
