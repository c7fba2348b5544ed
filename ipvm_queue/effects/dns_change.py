"""`crud/create`, `crud/update` and `crud/destroy` of DNS records by RFC 2136, each with what must hold before it.

| ability | must hold (else `dns/prerequisite`, and nothing has changed) | does |
|---|---|---|
| `crud/create` | there are no records of this name and type | writes `value` |
| `crud/update` | with `expect`: the records are exactly these; null: there are none | puts `value` in their place |
| `crud/destroy` | there are records; with `expect`: exactly these | takes them away |

The server judges and changes in one step. The same values are read back to learn about a change whose answer was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.update

from ipvm_queue.effects.contract import EffectError, Outcome
from ipvm_queue.effects.dns_answer import evidence_of
from ipvm_queue.effects.dns_records import read_ttl, records_of
from ipvm_queue.effects.dns_send import send
from ipvm_queue.effects.dns_settings import DnsSettings, Server, read_settings
from ipvm_queue.effects.dns_uri import DnsUri, read_uri

if TYPE_CHECKING:
    from dns.name import Name
    from dns.rdataset import Rdataset
    from dns.update import UpdateMessage

    from ipvm_queue.effects.contract import Call, Context
    from ipvm_queue.effects.dns_exchange import Exchange
    from ipvm_queue.ipld import Value

CREATE: Final = "crud/create"
UPDATE: Final = "crud/update"
DESTROY: Final = "crud/destroy"
_NOT_HELD: Final = {
    dns.rcode.YXDOMAIN: "the name exists already",
    dns.rcode.YXRRSET: "there are such records already",
    dns.rcode.NXRRSET: "the records are not what they were expected to be",
    dns.rcode.NXDOMAIN: "the name does not exist",
}
_REFUSALS: Final = {
    dns.rcode.REFUSED: ("dns/refused", "runner"),
    dns.rcode.NOTAUTH: ("dns/not-authoritative", "runner"),
    dns.rcode.NOTZONE: ("dns/not-zone", "runner"),
}


class Change(NamedTuple):
    """What is to become of one name's records of one type.

    `wanted` is what they shall be (None: none), `expected` what they are before (None: none) where `compares`.
    """

    zone: Name
    server: Server
    uri: DnsUri
    wanted: Rdataset | None
    expected: Rdataset | None
    compares: bool
    exists: bool  # there must be some, whatever they are


def change(context: Context, call: Call) -> Outcome:
    """Make a change of records; the value is `{name, type, zone, ttl, records}`, what is there now."""
    settings = read_settings(context.config("dns"))
    planned = plan(call, settings)
    message = message_of(planned, settings)
    exchange = send(message, planned.server, call.deadline, settings.timeout)
    evidence = evidence_of(exchange)
    refusal = _refusal(exchange, planned)
    if call.follows_doubt and exchange.reply.rcode() in _NOT_HELD:
        text = f"{planned.uri.name} is not as it was expected to be: an earlier attempt may have changed it"
        raise EffectError("dns/prerequisite", text, "world", evidence=evidence)
    return Outcome({"ok": state_of(planned)} if refusal is None else {"error": refusal}, evidence)


def zone(context: Context, call: Call) -> str:
    """Return the origin of the configured zone that a call's name is in, the name itself where there is none."""
    name = read_uri(call.uri).name
    found = read_settings(context.config("dns")).zone_of(name)
    return (name if found is None else found[0]).canonicalize().to_text()


def plan(call: Call, settings: DnsSettings) -> Change:
    """Read what a call wants; raises `dns/bad-uri`, `dns/bad-value`, `dns/not-allowed`, all before anything is sent."""
    uri = read_uri(call.uri)
    if uri.server is not None:
        message = "a change goes to the zone's own server, which is configured: write dns:NAME?TYPE=…"
        raise EffectError("dns/bad-uri", message, "requestor", sent=False)
    found = settings.zone_of(uri.name)
    if found is None:
        message = f"this worker changes no zone that holds {uri.name}"
        raise EffectError("dns/not-allowed", message, "requestor", sent=False)
    args, writes = call.args, call.ability != DESTROY
    if writes and args.get("value") is None:
        message = f"{call.ability} needs a 'value': the text of a record, or a list of them"
        raise EffectError("dns/no-value", message, "requestor", sent=False)
    ttl = read_ttl(args.get("ttl"), settings.ttl)
    wanted = records_of(args["value"], uri.type, ttl) if writes else None
    given = args.get("expect")
    expected = None if given is None else records_of(given, uri.type, 0, "expect")
    compares = call.ability == CREATE or "expect" in args
    if call.ability == CREATE and expected is not None:
        message = "crud/create expects that there is nothing; write crud/update"
        raise EffectError("dns/bad-value", message, "requestor", sent=False)
    if not writes:
        compares = expected is not None
    return Change(*found, uri, wanted, expected, compares, exists=not writes)


def message_of(planned: Change, settings: DnsSettings) -> UpdateMessage:
    """Return the update message: what must hold, what goes and what comes; signed where there is a key."""
    message = dns.update.UpdateMessage(planned.zone, keyring=settings.key)
    name, rdtype = planned.uri.name, planned.uri.type
    if planned.compares and planned.expected is not None:
        message.present(name, planned.expected)
    elif planned.compares:
        message.absent(name, rdtype)
    elif planned.exists:
        message.present(name, rdtype)
    if planned.wanted is None:
        message.delete(name, rdtype)
    else:
        message.replace(name, planned.wanted)
    return message


def state_of(planned: Change) -> dict[str, Value]:
    """Return the value of a change that was made."""
    wanted = planned.wanted
    return {
        "name": planned.uri.name.to_text(),
        "type": dns.rdatatype.to_text(planned.uri.type),
        "zone": planned.zone.to_text(),
        "ttl": None if wanted is None else wanted.ttl,
        "records": [] if wanted is None else sorted(record.to_text() for record in wanted),
    }


def _refusal(exchange: Exchange, planned: Change) -> dict[str, Value] | None:
    """Return the error that the server's answer stands for, None for a change that was made.

    Raises `dns/servfail`, which leaves in doubt what has become of the zone.
    """
    rcode = exchange.reply.rcode()
    word = dns.rcode.to_text(rcode)
    if rcode == dns.rcode.NOERROR:
        return None
    if rcode == dns.rcode.SERVFAIL:  # it says that it failed, not that it left the zone as it was
        message = f"{exchange.server} failed at the change"
        raise EffectError("dns/servfail", message, "world", evidence=evidence_of(exchange))
    if rcode in _NOT_HELD:
        message = f"nothing was changed at {planned.uri.name}: {_NOT_HELD[rcode]}"
        return {"code": "dns/prerequisite", "message": message, "fault": "world"}
    code, fault = _REFUSALS.get(rcode, ("dns/error", "world"))
    return {"code": code, "message": f"{exchange.server} answered {word} to the change", "fault": fault}
