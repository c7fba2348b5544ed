"""Bodies over HTTP: what becomes of one that is read, how a value is sent, and how large either may be."""

from __future__ import annotations

import gzip
import json
import zlib
from hashlib import sha256

import pytest
from handlers import TASK, Given, error_of, run

pytestmark = pytest.mark.integration


@pytest.fixture
def world(web):
    """Return a context that may reach the server."""
    return Given({"http": {"allow_private": [web.address], "timeout": 20.0}})


def test_json_is_read_as_a_value(world, web):
    """Status, some headers, and the body parsed; the evidence has the digest of what arrived, and from where."""
    body = json.dumps({"a": [1, 2.5, None, "ü"]}).encode()
    web.routes["/x"] = 200, {"Content-Type": "application/json", "ETag": '"1"', "Set-Cookie": "secret"}, body
    outcome = run(world, f"{web.url}/x", "crud/read", query={"q": "a b"}, headers={"Accept": "application/json"})

    assert outcome.out["ok"]["status"] == 200
    assert outcome.out["ok"]["body"] == {"a": [1, 2.5, None, "ü"]}
    assert outcome.out["ok"]["headers"]["etag"] == '"1"'
    assert "set-cookie" not in outcome.out["ok"]["headers"]
    assert outcome.evidence["peer"] == web.address
    assert outcome.evidence["body_sha256"] == sha256(body).digest()
    assert outcome.evidence["date"] == outcome.out["ok"]["headers"]["date"]
    ((method, path, headers, sent),) = web.requests
    assert (method, path, sent, headers["accept"]) == ("GET", "/x?q=a+b", b"", "application/json")
    assert "idempotency-key" not in headers


@pytest.mark.parametrize(
    ("kind", "body", "form", "value"),
    [
        ("text/plain; charset=utf-8", "grüß".encode(), "auto", "grüß"),
        ("text/plain", b"\xff", "auto", b"\xff"),
        ("application/octet-stream", b"\x00\x01", "auto", b"\x00\x01"),
        ("application/json", b"[1]", "bytes", b"[1]"),
        ("text/html", b'{"a":1}', "json", {"a": 1}),
        ("application/ld+json", b'{"/":"not a link"}', "auto", {"/": "not a link"}),
        ("application/json", b"", "auto", None),
    ],
)
def test_a_body_becomes_what_it_says_or_what_is_asked_for(world, web, kind, body, form, value):
    """By content type, or by `as`."""
    web.routes["/x"] = 200, {"Content-Type": kind}, body

    assert run(world, f"{web.url}/x", "crud/read", **{"as": form}).out["ok"]["body"] == value


@pytest.mark.parametrize(
    "body", [b"{", b"NaN", b"[" * 100_000, str(2**70).encode(), b'"\\ud800"', b"\xff", b"[" * 70 + b"]" * 70]
)
def test_json_that_is_none_is_the_worlds_fault(world, web, body):
    """Broken, too deep, too big a number, no Unicode."""
    web.routes["/x"] = 200, {"Content-Type": "application/json"}, body
    error = error_of(world, f"{web.url}/x", "crud/read")

    assert (error.code, error.fault) == ("http/bad-body", "world")


@pytest.mark.parametrize(
    ("args", "kind", "body"),
    [
        ({"value": {"a": "ü"}}, "application/json", '{"a":"ü"}'.encode()),
        ({"value": b"\x00"}, "application/octet-stream", b"\x00"),
        ({"value": "a & b", "form": "text"}, "text/plain; charset=utf-8", b"a & b"),
        (
            {"value": {"a": "1 2", "b": ["x", "y"]}, "form": "form"},
            "application/x-www-form-urlencoded",
            b"a=1+2&b=x&b=y",
        ),
        ({"value": [1], "headers": {"Content-Type": "application/ld+json"}}, "application/ld+json", b"[1]"),
    ],
)
def test_a_value_is_sent_as_what_is_said(world, web, args, kind, body):
    """JSON unless it is bytes or `form` says otherwise."""
    web.routes["/x"] = 200, {}, b""
    run(world, f"{web.url}/x", "crud/create", **args)

    assert (web.requests[0][2]["content-type"], web.requests[0][3]) == (kind, body)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({}, "http/no-value"),
        ({"value": {"a": b"bytes"}}, "http/bad-value"),
        ({"value": {"a": TASK}}, "http/bad-value"),
        ({"value": [], "form": "form"}, "http/bad-value"),
        ({"value": 1, "form": "text"}, "http/bad-value"),
        ({"value": "x", "form": "bytes"}, "http/bad-value"),
        ({"value": "x" * 2000}, "http/bad-value"),
        ({"value": 1, "headers": {"Host": "elsewhere"}}, "http/bad-header"),
        ({"value": 1, "headers": {"Authorization": "Bearer x"}}, "http/bad-header"),
        ({"value": 1, "headers": {"Idempotency-Key": "other"}}, "http/bad-header"),
        ({"value": 1, "headers": {"Accept": "a\r\nX-Evil: 1"}}, "http/bad-header"),
        ({"value": 1, "headers": {"Accept": "x", "accept": "y"}}, "http/bad-header"),
    ],
)
def test_what_cannot_be_sent_is_not_sent(world, web, args, code):
    """Missing and wrong values, too big a one, and headers that are not a job's to set."""
    from handlers import call_of

    from ipvm_queue.effects import EffectError, find

    world.tables["http"]["max_request_bytes"] = 1000
    with pytest.raises(EffectError) as refused:
        find("http:x", "crud/create").run(world, call_of(f"{web.url}/x", "crud/create", **args))

    assert (refused.value.code, refused.value.fault, refused.value.sent) == (code, "requestor", False)
    assert web.requests == []


def test_a_body_is_bounded(world, web):
    """By the task's limit and the operator's; what a command did stands in its status, whatever comes after it."""
    web.routes["/x"] = 200, {}, b"x" * 100_000
    error = error_of(world, f"{web.url}/x", "crud/read", max_bytes=50_000)
    told = run(world, f"{web.url}/x", "crud/create", value=1, max_bytes=50_000)

    assert (error.code, error.fault) == ("http/too-large", "world")
    assert (told.out["ok"]["status"], told.out["ok"]["body"]) == (200, None)
    assert told.evidence["body_lost"] == "http/too-large"


def bombs():
    """Return small bodies that become gigabytes, or would."""
    gz = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    small = b"".join(gz.compress(bytes(1024 * 1024)) for _ in range(200)) + gz.flush()
    return {"gzip": small, "deflate": zlib.compress(bytes(64 * 1024 * 1024), 9)}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compression_bomb_ends_at_the_limit(world, web, coding):
    """Its size is what it becomes, counted while it becomes it."""
    web.routes["/x"] = 200, {"Content-Encoding": coding}, bombs()[coding]
    error = error_of(world, f"{web.url}/x", "crud/read")

    assert error.code == "http/too-large"


def test_compressed_bodies_are_read(world, web):
    """What is packed by gzip or deflate is unpacked; other codings and broken ones are the world's fault."""
    kind = {"Content-Type": "text/plain"}
    web.routes["/gzip"] = 200, {"Content-Encoding": "gzip", **kind}, gzip.compress(b"packed")
    web.routes["/deflate"] = 200, {"Content-Encoding": "deflate", **kind}, zlib.compress(b"packed")
    web.routes["/head"] = 200, {"Content-Encoding": "gzip", "Content-Length": "30"}, b""
    web.routes["/br"] = 200, {"Content-Encoding": "br"}, b"?"
    web.routes["/cut"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"packed")[:-9]
    web.routes["/wrong"] = 200, {"Content-Encoding": "gzip"}, b"no gzip"

    assert run(world, f"{web.url}/gzip", "crud/read").out["ok"]["body"] == "packed"
    assert run(world, f"{web.url}/deflate", "crud/read").out["ok"]["body"] == "packed"
    assert run(world, f"{web.url}/head", "http/head").out["ok"]["body"] == b""
    assert [error_of(world, f"{web.url}/{name}", "crud/read").code for name in ("br", "cut", "wrong")] == [
        "http/encoding"
    ] * 3
