"""What a DNS reader gets: records as text and as fields, and what the server's answer looked like.

The value of `crud/read`::

    {"name": "example.com.", "type": "MX", "ttl": 300,
     "records": ["10 mail.example.com."],                           # as they stand in a zone file, in canonical order
     "data": [{"preference": 10, "exchange": "mail.example.com."}]} # the same, by field

`name` is the owner of the records: another than was asked for where CNAMEs led there. Character strings are text where
they are UTF-8 and bytes where not. Below `_dnslink.` there is `dnslink` too, the values of the DNSLink entries, sorted;
below `_did.` there is `did`, the DIDs that URI records name, by priority and weight (effects 5.2).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rdata import Rdata
    from dns.rdataset import Rdataset

    from ipvm_queue.effects.dns_exchange import Exchange
    from ipvm_queue.ipld import Value

_DNSLINK: Final = b"_dnslink"
_DID: Final = b"_did"
_DNSLINK_PREFIX: Final = "dnslink="
MAX_KEPT_MESSAGE: Final = 4096


def answer_of(asked: Name, owner: Name, rdataset: Rdataset) -> dict[str, Value]:
    """Return the value of a read: the records of one name and type."""
    records = sorted(rdataset, key=lambda rdata: rdata.to_digestable(dns.name.root))
    answer: dict[str, Value] = {
        "name": owner.to_text(),
        "type": dns.rdatatype.to_text(rdataset.rdtype),
        "ttl": rdataset.ttl,
        "records": [record.to_text() for record in records],
        "data": [fields_of(record) for record in records],
    }
    labels = [label.lower() for label in asked.labels]
    if labels[0] == _DNSLINK and rdataset.rdtype == dns.rdatatype.TXT:
        answer["dnslink"] = dnslinks(records)
    if _DID in labels and rdataset.rdtype == dns.rdatatype.URI:
        answer["did"] = dids(records)
    return answer


def fields_of(record: Rdata) -> dict[str, Value]:
    """Return a record's fields by the names of its RFC, those that have an IPLD form; the text has them all."""
    fields: dict[str, Value] = {}
    for kind in type(record).__mro__:
        if kind is dns.rdata.Rdata:
            break
        for name in kind.__dict__.get("__slots__", ()):
            value = getattr(record, name)
            if (plain := _plain(value)) is not None:
                fields[name] = plain
    return fields


def _plain(value: Any) -> Value:
    """Return a field in its IPLD form, None where it has none."""
    if isinstance(value, dns.name.Name):
        return value.to_text()
    if isinstance(value, int):
        return int(value)  # the fields that are enumerations, too
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, tuple):
        plain = [_plain(item) for item in value]
        return None if None in plain else plain
    return value if isinstance(value, str) else None


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def dnslinks(records: list[Rdata]) -> list[str]:
    """Return the values of the DNSLink entries among TXT records, sorted: the first is the one that counts."""
    texts = [b"".join(record.strings).decode(errors="replace") for record in records]  # type: ignore[attr-defined]
    values = [text.removeprefix(_DNSLINK_PREFIX) for text in texts if text.startswith(_DNSLINK_PREFIX + "/")]
    return sorted(values)


def dids(records: list[Rdata]) -> list[str]:
    """Return the DIDs that URI records name, those to be tried first in front (did:dns)."""
    found = [
        (record.priority, -record.weight, record.target.decode(errors="replace"))  # type: ignore[attr-defined]
        for record in records
    ]
    return [target for *_, target in sorted(found) if target.startswith("did:")]


def evidence_of(exchange: Exchange) -> dict[str, Value]:
    """Return what the receipt keeps of an exchange: who answered and how, with the digest of the very message.

    Its flags are AA where the server is the zone's own, AD where a resolver that validates says that DNSSEC holds.
    """
    message, reply = exchange.reply, exchange.wire
    evidence: dict[str, Value] = {
        "server": exchange.server,
        "transport": exchange.transport,
        "rcode": dns.rcode.to_text(message.rcode()),
        "flags": dns.flags.to_text(message.flags).split(),
        "aa": bool(message.flags & dns.flags.AA),
        "ad": bool(message.flags & dns.flags.AD),
        "sha256": sha256(reply).digest(),
    }
    ttls = _ttls(message)
    if ttls:
        evidence["ttl"] = min(ttls)
    if len(reply) <= MAX_KEPT_MESSAGE:
        evidence["message"] = reply
    return evidence


def _ttls(message: Message) -> list[int]:
    return [rrset.ttl for rrset in message.answer]
