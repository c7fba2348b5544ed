"""Which addresses HTTP may connect to, and the table `[http]`."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ipvm_queue.effects import check
from ipvm_queue.effects.http_address import may_connect, read_hole
from ipvm_queue.effects.http_settings import read_settings
from ipvm_queue.errors import UsageError

PRIVATE = [
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_not_reached(address):
    """Neither as it is nor wrapped into IPv6."""
    assert not may_connect(ip_address(address), 80, [])


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111"])
def test_what_is_public_is_reached(address):
    """At any port."""
    assert may_connect(ip_address(address), 8443, [])


def test_a_hole_leads_where_it_says():
    """To one port, or to all of a network; and to no neighbour."""
    one, net = read_hole("127.0.0.1:8080"), read_hole("10.1.0.0/16")

    assert may_connect(ip_address("127.0.0.1"), 8080, [one])
    assert may_connect(ip_address("::ffff:127.0.0.1"), 8080, [one])
    assert not may_connect(ip_address("127.0.0.1"), 8081, [one, net])
    assert not may_connect(ip_address("127.0.0.2"), 8080, [one, net])
    assert may_connect(ip_address("10.1.2.3"), 22, [net])
    assert may_connect(ip_address("::1"), 80, [read_hole("[::1]:80")])
    assert not may_connect(ip_address("::1"), 81, [read_hole("[::1]:80")])


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "10.0.0.1/8"]
)
def test_a_hole_that_leads_nowhere_is_named(text):
    """A name is no address: it may lead elsewhere tomorrow."""
    with pytest.raises(UsageError, match="allow_private"):
        read_hole(text)


def test_the_table_is_read():
    """Origins are compared with their port, headers in lower case."""
    origin = {"headers": {"X-Key": "1"}, "reconcile": "https://api.example.com/{key}"}
    settings = read_settings({"headers": ["X-A"], "origins": {"https://api.example.com": origin}, "timeout": 5})

    assert settings.headers == {"x-a"}
    assert settings.origins["https://api.example.com:443"].headers == {"X-Key": "1"}


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({"allow_private": "127.0.0.1"}, "http.allow_private"),
        ({"timeout": 0}, "http.timeout"),
        ({"max_bytes": 1.5}, "http.max_bytes"),
        ({"redirects": -1}, "http.redirects"),
        ({"ca_file": "/nowhere"}, "http.ca_file"),
        ({"user_agent": "a\r\nb"}, "http.user_agent"),
        ({"origins": {"api.example.com": {}}}, "no origin"),
        ({"origins": {"https://api.example.com/path": {}}}, "no origin"),
        ({"origins": {"https://a.example": {"reconcile": "https://a.example/"}}}, "{key}"),
        ({"proxy": "x"}, "'proxy'"),
    ],
)
def test_a_wrong_table_names_the_field(table, names):
    """An operator is told which line to mend."""
    with pytest.raises(UsageError, match=names.replace(".", "[.]")):
        read_settings(table)


def test_a_job_is_checked_when_it_is_submitted():
    """A malformed URL, a missing value and a misspelt argument do not reach a worker."""
    assert "no http: or https: URL" in next(check("http:nowhere", "crud/read", {}))
    assert next(check("https://example.com", "crud/create", {})) == "needs 'value'"
    assert "did you mean 'headers'" in next(check("https://example.com", "crud/read", {"header": {}}))
    assert list(check("https://example.com", "crud/destroy", {})) == []
