"""Reading back what became of a change of records whose answer was lost.

| the zone's own server says | then |
|---|---|
| the records are what the change makes them | it has happened (or somebody else made it so: what is wanted is there) |
| they are what the change expected to find | it has not, and a second one would meet the same condition |
| something else | still in doubt: somebody else may have changed them after it |
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.rcode

from ipvm_queue.effects.contract import EffectError, NotDoneError, Outcome
from ipvm_queue.effects.dns_answer import evidence_of
from ipvm_queue.effects.dns_change import plan, state_of
from ipvm_queue.effects.dns_exchange import Exchange, ask, question
from ipvm_queue.effects.dns_settings import read_settings

if TYPE_CHECKING:
    from dns.rdataset import Rdataset

    from ipvm_queue.effects.contract import Call, Context

_KNOWS: Final = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def reconcile(context: Context, call: Call) -> Outcome | None:
    """Ask the zone's own server what is there; None where that does not settle it."""
    settings = read_settings(context.config("dns"))
    planned = plan(call, settings)
    query = question(planned.uri.name, planned.uri.type, recurse=False)
    try:
        exchange = ask(query, planned.server, monotonic() + settings.timeout, settings.timeout)  # not the act's own
    except EffectError:
        return None
    if exchange.reply.rcode() not in _KNOWS or not exchange.reply.flags & dns.flags.AA:
        return None
    found = _records(exchange)
    if _same(found, planned.wanted):
        return Outcome({"ok": state_of(planned)}, {**evidence_of(exchange), "reconciled": "read-back"})
    if planned.compares and _same(found, planned.expected):
        raise NotDoneError(f"{planned.uri.name} is as it was before the change")
    return None


def _records(exchange: Exchange) -> Rdataset | None:
    if exchange.reply.rcode() == dns.rcode.NXDOMAIN:
        return None
    asked = exchange.reply.question[0]
    return exchange.reply.get_rrset(exchange.reply.answer, asked.name, asked.rdclass, asked.rdtype)


def _same(found: Rdataset | None, other: Rdataset | None) -> bool:
    return set(found or ()) == set(other or ())
