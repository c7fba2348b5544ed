"""`crud/read` of `ipns://NAME`: what a name points to now, by a record that its key has signed (effects 5.3).

Every source of the `[ipfs]` table is asked (trustless gateways, then Kubo) and the newest valid record wins: the
highest sequence, then the longest validity. A record older than one that this queue has already seen is refused. The
answer is a link where the record's value is `/ipfs/CID`, and else the value as text.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from json import loads
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.effects.fetch import Request, fetch, host_of, share
from ipvm_queue.effects.ipns_record import MAX_RECORD, Name, Record, read_name, read_record
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.ipld import Value

_RECORD_TYPE: Final = "application/vnd.ipfs.ipns-record"
_PREFIX: Final = "ipns://"
_ROUTING_VALUE: Final = 5  # the kind of Kubo's answer that holds a record


def _read(context: Context, call: Call) -> Outcome:
    name = _parse(call.uri)
    record, source = _newest(context, call, name)
    seen = context.remember(f"ipns:{name.text}", record.sequence, record.until.timestamp())
    least = max(call.args.get("sequence", 0), seen)
    if record.sequence < least:
        message = f"sequence {record.sequence} of {name.text}, but {least} was seen or asked for: an old record"
        raise EffectError("ipns/sequence", message, "network", evidence=_evidence(name, record, source))
    return Outcome({"ok": _value(record)}, _evidence(name, record, source))


def _newest(context: Context, call: Call, name: Name) -> tuple[Record, str]:
    config = context.config("ipfs")
    sources = [(each.rstrip("/"), False) for each in config.get("gateways", ())]
    sources += [(config["kubo"].rstrip("/"), True)] if "kubo" in config else []
    if not sources:
        message = "this worker has nobody to ask: its effects_config names none in [ipfs]"
        raise EffectError("ipns/unconfigured", message, "runner")
    found: list[tuple[Record, str]] = []
    problems: list[EffectError] = []
    for index, (source, is_kubo) in enumerate(sources):
        deadline = share(call.deadline, len(sources) - index)
        try:
            data = (_from_kubo if is_kubo else _from_gateway)(source, name, deadline)
            found.append((read_record(data, name, datetime.now(UTC)), host_of(source)))
        except EffectError as error:
            problems.append(error)
    if found:
        return max(found, key=lambda each: (each[0].sequence, each[0].until))
    raise next((each for each in problems if not each.transient), problems[-1])


def _from_gateway(source: str, name: Name, deadline: float) -> bytes:
    url = f"{source}/ipns/{name.text}?format=ipns-record"
    return fetch(Request("ipns", url, deadline, MAX_RECORD, _RECORD_TYPE))


def _from_kubo(source: str, name: Name, deadline: float) -> bytes:
    """Return the record that Kubo's routing finds: the last line of its answer that holds one."""
    url = f"{source}/api/v0/routing/get?arg=/ipns/{name.text}"
    lines = fetch(Request("ipns", url, deadline, 16 * MAX_RECORD, "application/json", "POST")).splitlines()
    for line in reversed(lines):
        try:
            event = loads(line)
            if isinstance(event, dict) and event.get("Type") == _ROUTING_VALUE:
                return b64decode(event["Extra"], validate=True)
        except (ValueError, KeyError, TypeError, Base64Error, RecursionError):
            break
    raise EffectError("ipns/absent", f"{host_of(source)} knows no record of {name.text}", "network", transient=True)


def _parse(uri: str) -> Name:
    text, slash, path = uri[len(_PREFIX) :].partition("/")
    if not uri.lower().startswith(_PREFIX) or (slash and path):
        message = f"{uri[:120]!r} is not ipns://NAME (a path behind the name is not followed)"
        raise EffectError("ipns/name", message, "requestor")
    return read_name(text)


def _wrong(uri: str, args: Mapping[str, Any]) -> str | None:
    del args
    try:
        _parse(uri)
    except EffectError as error:
        return error.message
    return None


def _value(record: Record) -> Value:
    if record.value.startswith("/ipfs/"):
        try:
            return Link.parse(record.value.removeprefix("/ipfs/").removesuffix("/"))
        except CodecError:
            pass  # a path below a CID
    return record.value


def _evidence(name: Name, record: Record, source: str) -> dict[str, Value]:
    return {
        "name": name.text,
        "sequence": record.sequence,
        "until": int(record.until.timestamp()),
        "data": record.data,
        "signature": record.signature,
        "from": source,
    }


EFFECTS: Final = (
    Effect(
        "ipns",
        "crud/read",
        Safety.QUERY,
        _read,
        {"type": "object", "properties": {"sequence": {"type": "integer", "minimum": 0,
                                                       "description": "the least sequence that is taken"}}},
        "what an IPNS name points to: its newest signed record, verified",
        check=_wrong,
    ),
)  # fmt: skip
