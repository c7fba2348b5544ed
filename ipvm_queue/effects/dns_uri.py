"""`dns:` URIs: which name, which type, which server (RFC 4501, and the shorter form of effects 5.2).

| written | means |
|---|---|
| `dns:example.com?TYPE=MX` | ask the configured resolver (RFC 4501) |
| `dns://example.com?TYPE=MX` | the same: without a path, the name stands where a server would (effects 5.2) |
| `dns:///example.com?TYPE=MX` | the same: the server is left out (RFC 4501) |
| `dns://192.0.2.1:53/example.com?TYPE=MX` | ask that server, which the operator must have listed (RFC 4501) |

The type is A where none is written; `;` and `&` both part the fields of the query, whose names may be in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn
from urllib.parse import unquote

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdatatype

from ipvm_queue.effects.contract import EffectError

if TYPE_CHECKING:
    from dns.name import Name
    from dns.rdatatype import RdataType

SCHEME: Final = "dns"
MAX_URI: Final = 2048
_NOT_RECORDS: Final = frozenset(
    {
        dns.rdatatype.NONE,
        dns.rdatatype.ANY,
        dns.rdatatype.AXFR,
        dns.rdatatype.IXFR,
        dns.rdatatype.MAILA,
        dns.rdatatype.MAILB,
        dns.rdatatype.OPT,
        dns.rdatatype.TSIG,
        dns.rdatatype.TKEY,
    }
)


class DnsUri(NamedTuple):
    """What a `dns:` URI names. `server` is the text of the server that is to be asked, None for the configured one."""

    name: Name
    type: RdataType
    server: str | None = None


def read_uri(uri: str) -> DnsUri:
    """Read a `dns:` URI; raises `dns/bad-uri` with what is wrong and what a right one looks like."""
    if len(uri) > MAX_URI:
        _refuse(f"the URI has {len(uri)} characters; at most {MAX_URI} are read")
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != SCHEME:
        _refuse(f"{uri[:80]!r} is no dns: URI")
    if "#" in rest:
        _refuse("a dns: URI has no fragment")
    hierarchy, _, query = rest.partition("?")
    server, name = _parts(hierarchy)
    return DnsUri(_name(name), _type(query), server)


def _parts(hierarchy: str) -> tuple[str | None, str]:
    if not hierarchy.startswith("//"):
        return None, hierarchy
    authority, slash, path = hierarchy[2:].partition("/")
    return (None, authority) if not slash else (unquote(authority) or None, path)


def _name(text: str) -> Name:
    try:
        name = unquote(text, errors="strict")
        if not name:
            _refuse("the URI names no domain")
        return dns.name.from_text(name, idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError) as error:
        _refuse(f"{text[:80]!r} is no domain name: {error}")


def _type(query: str) -> RdataType:
    given = {"TYPE": "A", "CLASS": "IN"}
    seen: set[str] = set()
    for field in query.replace("&", ";").split(";"):
        if not field:
            continue
        key, _, value = field.partition("=")
        key = key.upper()
        if key not in given:
            _refuse(f"a dns: URI may have TYPE and CLASS, not {key[:40]!r}")
        if key in seen:
            _refuse(f"{key} is given twice")
        seen.add(key)
        given[key] = unquote(value).upper()
    if given["CLASS"] not in ("IN", "1"):
        _refuse(f"only the class IN is spoken here, not {given['CLASS'][:40]!r}")
    try:
        rdtype = dns.rdatatype.from_text(given["TYPE"])
    except (dns.exception.DNSException, ValueError):
        _refuse(f"there is no record type {given['TYPE'][:40]!r}")
    if rdtype in _NOT_RECORDS:
        _refuse(f"{dns.rdatatype.to_text(rdtype)} is no type of records")
    return rdtype


def _refuse(message: str) -> NoReturn:
    hint = "dns://example.com?TYPE=TXT"
    raise EffectError("dns/bad-uri", f"{message} (write it like {hint})", "requestor", sent=False)
