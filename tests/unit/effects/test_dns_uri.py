"""`dns:` URIs, the records that changes write, and the table `[dns]`."""

from __future__ import annotations

import dns.rdatatype
import pytest
from handlers import Given, call_of

from ipvm_queue.effects import EffectError, check, find
from ipvm_queue.effects.dns_records import records_of
from ipvm_queue.effects.dns_settings import read_settings
from ipvm_queue.effects.dns_uri import read_uri
from ipvm_queue.errors import UsageError


@pytest.mark.parametrize(
    ("uri", "name", "kind", "server"),
    [
        ("dns:example.com?TYPE=MX", "example.com.", "MX", None),
        ("dns://_dnslink.example.com?TYPE=TXT", "_dnslink.example.com.", "TXT", None),
        ("dns:///example.com?type=txt", "example.com.", "TXT", None),
        ("dns://192.0.2.1:5353/example.com?CLASS=IN;TYPE=AAAA", "example.com.", "AAAA", "192.0.2.1:5353"),
        ("DNS:example.com.", "example.com.", "A", None),
        ("dns:b%C3%BCcher.example?TYPE=TYPE65280", "xn--bcher-kva.example.", "TYPE65280", None),
        ("dns:a%5C.b.example?TYPE=A&CLASS=1", "a\\.b.example.", "A", None),
    ],
)
def test_a_dns_uri_names_what_to_ask(uri, name, kind, server):
    """The forms of RFC 4501 and of the effects notes."""
    found = read_uri(uri)

    assert (found.name.to_text(), dns.rdatatype.to_text(found.type), found.server) == (name, kind, server)


@pytest.mark.parametrize(
    "uri",
    [
        "dns:",
        "dns:?TYPE=A",
        "dns:a..b",
        f"dns:{'a' * 64}.example",
        f"dns:{'a.' * 2000}",
        "dns:example.com?TYPE=NOPE",
        "dns:example.com?TYPE=ANY",
        "dns:example.com?TYPE=AXFR",
        "dns:example.com?TYPE=A;TYPE=MX",
        "dns:example.com?CLASS=CH",
        "dns:example.com?ttl=3",
        "dns:example.com#part",
        "dns:%FF.example",
        "dns://server/",
    ],
)
def test_a_malformed_uri_is_the_requestors(uri):
    """Every one says what is wrong and shows a right one, before anything is asked."""
    with pytest.raises(EffectError) as refused:
        read_uri(uri)

    assert (refused.value.code, refused.value.fault, refused.value.sent) == ("dns/bad-uri", "requestor", False)
    assert "dns://example.com?TYPE=TXT" in refused.value.message


def test_a_text_is_cut_into_strings():
    """A TXT value without quotation marks is the text itself; with them it is as in a zone file."""
    (long,) = records_of("x" * 300, dns.rdatatype.TXT, 60)
    (quoted,) = records_of('"a b" "c"', dns.rdatatype.TXT, 60)

    assert ([len(part) for part in long.strings], quoted.strings) == ([255, 45], (b"a b", b"c"))


def test_names_in_records_are_absolute():
    """A final dot makes no difference, and nothing is completed by the zone."""
    assert records_of("10 mail.example.com", dns.rdatatype.MX, 60) == records_of(
        "10 mail.example.com.", dns.rdatatype.MX, 60
    )


@pytest.mark.parametrize("value", [7, [], ["192.0.2.1", 7], "no address", "192.0.2.1\n192.0.2.2", ["1.2.3.4"] * 257])
def test_a_value_that_is_no_record_is_refused(value):
    """Wrong types, wrong texts and too many are named."""
    with pytest.raises(EffectError) as refused:
        records_of(value, dns.rdatatype.A, 60)

    assert (refused.value.code, refused.value.sent) == ("dns/bad-value", False)


def test_a_job_is_checked_when_it_is_submitted():
    """Malformed URIs, wrong records and missing values do not reach a worker."""
    assert "record type" in next(check("dns:a.example?TYPE=NOPE", "crud/read", {}))
    assert "no A record" in next(check("dns:a.example?TYPE=A", "crud/update", {"value": "12.345.67.890"}))
    assert next(check("dns:a.example?TYPE=A", "crud/update", {})) == "needs 'value'"
    assert list(check("dns:a.example?TYPE=A", "crud/update", {"value": "192.0.2.1", "expect": None})) == []


def test_a_zone_is_as_it_is_configured():
    """One change at a time in a zone, however its name is written; zones beneath one registry do not wait."""
    zones = dict.fromkeys(("example.com", "x.co.uk", "y.co.uk", "deep.x.co.uk"), "192.0.2.1")
    context = Given({"dns": {"resolver": "192.0.2.53", "zones": zones}})

    def locked(name):
        return find("dns:x", "crud/update").resource(context, call_of(name, "crud/update"))

    assert {locked(f"dns:{name}") for name in ("www.example.com", "EXAMPLE.com.", "a.b.example.com")} == {
        "dns:example.com."
    }
    assert locked("dns:www.x.co.uk") == locked("dns:mail.x.co.uk") == "dns:x.co.uk."
    assert locked("dns:www.y.co.uk") == "dns:y.co.uk."
    assert locked("dns:a.deep.x.co.uk") == "dns:deep.x.co.uk."
    assert locked("dns:www.z.co.uk") == "dns:www.z.co.uk."


def test_the_table_is_read():
    """Servers, zones and the key, the deepest zone that holds a name."""
    zones = {"example.com": "192.0.2.1", "deep.example.com": "[2001:db8::1]:5353"}
    settings = read_settings({"resolver": ["192.0.2.53"], "zones": zones, "tsig": {"name": "k", "secret": "AAAA"}})
    zone, server = settings.zone_of(read_uri("dns:a.deep.example.com").name)

    assert [str(each) for each in settings.resolvers] == ["192.0.2.53:53"]
    assert (zone.to_text(), str(server)) == ("deep.example.com.", "[2001:db8::1]:5353")
    assert settings.zone_of(read_uri("dns:other.example").name) is None


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({"resolver": "ns.example.com"}, "dns.resolver"),
        ({"resolver": "192.0.2.1:0"}, "dns.resolver"),
        ({"servers": 7}, "dns.servers"),
        ({"timeout": 0}, "dns.timeout"),
        ({"zones": {"a..b": "192.0.2.1"}}, "a..b"),
        ({"zones": {"example.com": "x"}}, "dns.zones.example.com"),
        ({"tsig": {"name": "k", "secret": "?"}}, "dns.tsig"),
        ({"tsig": {"name": "k", "secret": "AAAA", "algorithm": "hmac-md5"}}, "dns.tsig.algorithm"),
        ({"tsig": {"name": "k", "secret_file": "/nowhere/key"}}, "dns.tsig.secret_file"),
        ({"resolvers": "192.0.2.1"}, "'resolvers'"),
    ],
)
def test_a_wrong_table_names_the_field(table, names):
    """An operator is told which line to mend."""
    with pytest.raises(UsageError, match=names.replace(".", "[.]")):
        read_settings(table)
