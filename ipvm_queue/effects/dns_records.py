"""The records that a change writes: a job's `value` as an RRset of one type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.dns_settings import MAX_TTL

if TYPE_CHECKING:
    from dns.rdata import Rdata
    from dns.rdataset import Rdataset
    from dns.rdatatype import RdataType

    from ipvm_queue.ipld import Value

MAX_RECORDS: Final = 256
MAX_RECORD: Final = 16 * 1024  # characters of one record's text
_STRING: Final = 255  # bytes of one character string (RFC 1035 3.3)
# What a zone's server writes itself.
_NOT_OURS: Final = frozenset({"SOA", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD"})


def records_of(value: Value, rdtype: RdataType, ttl: int, field: str = "value") -> Rdataset:
    """Return `value`, one text or a list of them as in a zone file, as an RRset.

    Names are absolute with or without the final dot. A TXT value that does not start with a quotation mark is the text
    itself, however long. Raises `dns/bad-value` and `dns/bad-type`.
    """
    kind = dns.rdatatype.to_text(rdtype)
    if kind in _NOT_OURS:
        raise EffectError("dns/bad-type", f"{kind} records are the server's own to write", "requestor", sent=False)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        _refuse(f"{field!r} is the text of a {kind} record, or a list of them")
    if len(texts) > MAX_RECORDS:
        _refuse(f"{field!r} has {len(texts)} records; at most {MAX_RECORDS} are written")
    records = dns.rdataset.Rdataset(dns.rdataclass.IN, rdtype, ttl=ttl)
    for text in texts:
        records.add(_record(text, rdtype, kind, field), ttl)
    return records


def read_ttl(value: Value, default: int) -> int:
    """Return the job's `ttl` in seconds, or the configured one; raises `dns/bad-value`."""
    if value is None:
        return default
    if type(value) is not int or not 0 <= value <= MAX_TTL:
        _refuse(f"'ttl' is a whole number of seconds, from 0 to {MAX_TTL}")
    return value


def _record(text: str, rdtype: RdataType, kind: str, field: str) -> Rdata:
    if len(text) > MAX_RECORD:
        _refuse(f"a {kind} record has at most {MAX_RECORD} characters, this one has {len(text)}")
    raw = rdtype == dns.rdatatype.TXT and not text.startswith('"')
    if not raw and any(char in text for char in "\r\n"):  # the parser reads one line, and would drop the others
        _refuse(f"{field!r}: a {kind} record is one line")
    try:
        if raw:
            return _text(text)
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        _refuse(f"{field!r}: {text[:80]!r} is no {kind} record: {error}")


def _text(text: str) -> Rdata:
    data = text.encode()
    strings = [data[start : start + _STRING] for start in range(0, len(data), _STRING)] or [b""]
    wire = b"".join(bytes([len(part)]) + part for part in strings)
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.TXT, wire, 0, len(wire))


def _refuse(message: str) -> NoReturn:
    raise EffectError("dns/bad-value", message, "requestor", sent=False)
