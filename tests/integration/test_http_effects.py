"""HTTP against real servers: what is asked and told, what is refused, and every way in which a server can fail."""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from hashlib import sha256

import pytest
import trustme
from handlers import TASK, Given, error_of, reconcile, run
from web import Web, raw_server, read_request

from ipvm_queue.effects import NotDoneError

pytestmark = pytest.mark.integration


@pytest.fixture
def web():
    """Return a server."""
    server = Web()
    yield server
    server.stop()


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
    ("ability", "method"),
    [
        ("crud/create", "POST"), ("crud/update", "PUT"), ("crud/destroy", "DELETE"), ("http/post", "POST"),
        ("http/put", "PUT"), ("http/patch", "PATCH"), ("http/delete", "DELETE"),
    ],
)  # fmt: skip
def test_a_command_carries_its_key(world, web, ability, method):
    """Every command has the Task's CID as its Idempotency-Key, the same at each attempt."""
    web.routes["/x"] = 201, {"Location": "/x/1"}, b""
    outcome = run(world, f"{web.url}/x", ability, value={"n": 1})
    ((sent_method, _, headers, body),) = web.requests

    assert (sent_method, headers["idempotency-key"], body) == (method, str(TASK), b'{"n":1}')
    assert (outcome.out["ok"]["status"], outcome.out["ok"]["headers"]["location"]) == (201, "/x/1")


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


def test_an_operator_gives_an_origin_its_headers(world, web):
    """Credentials are the worker's: the job neither sees nor sets them, and they go to their origin alone."""
    other = Web()
    try:
        world.tables["http"]["allow_private"].append(other.address)
        world.tables["http"]["headers"] = ["X-Tenant"]
        world.tables["http"]["origins"] = {web.url: {"headers": {"Authorization": "Bearer secret"}}}
        web.routes["/x"] = 302, {"Location": f"{other.url}/y"}, b""
        other.routes["/y"] = 200, {"Content-Type": "text/plain"}, b"there"
        outcome = run(world, f"{web.url}/x", "crud/read", headers={"X-Tenant": "t"})
    finally:
        other.stop()
    first, second = web.requests[0][2], other.requests[0][2]

    assert (first["authorization"], first["x-tenant"]) == ("Bearer secret", "t")
    assert not {"authorization", "x-tenant"} & second.keys()
    assert (outcome.out["ok"]["body"], outcome.evidence["redirects"]) == ("there", [f"{other.url}/y"])


@pytest.mark.parametrize("ability", ["crud/read", "http/get", "http/head"])
def test_a_read_is_led_on_only_where_it_might_have_gone_by_itself(world, web, ability):
    """Who asked must be entitled to every step, also at the same origin, before any credentials of it are sent."""
    asked = []

    def objection(command, args):
        asked.append((command, args))
        return {"code": "refused", "message": "no delegation covers this"} if "/not/" in args["uri"] else None

    world.tables["http"]["origins"] = {web.url: {"headers": {"Authorization": "Bearer secret"}}}
    web.routes |= {"/x": (302, {"Location": "/y"}, b""), "/y": (302, {"Location": "/not/this?key=1"}, b"")}
    error = error_of(world, f"{web.url}/x", ability, objection=objection, query={"q": "a"})

    assert (error.code, error.fault) == ("http/not-granted", "requestor")
    assert error.message == f"led on to {web.url}/not/this: no delegation covers this"
    steps = [f"{web.url}/y", f"{web.url}/not/this?key=1"]
    assert asked == [(f"/{ability}", {"query": {"q": "a"}, "uri": step}) for step in steps]
    assert [path for _, path, *_ in web.requests] == ["/x?q=a", "/y"]


@pytest.mark.parametrize("location", ["/x", "ftp://example.com/", "http://", "http://user:pw@example.com/"])
def test_a_read_that_is_led_astray_ends(world, web, location):
    """Round in a circle, or to what is no web address."""
    web.routes["/x"] = 302, {"Location": location}, b""
    error = error_of(world, f"{web.url}/x", "crud/read")

    assert (error.code, error.fault) == ("http/redirects", "world")
    assert len(web.requests) <= 6


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "0", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254",
    ],
)  # fmt: skip
def test_a_private_address_is_not_reached(web, host):
    """However it is written: what counts is the address that would be connected to."""
    error = error_of(Given({}), f"http://{host}:{web.server_port}/x", "crud/create", value=1)

    assert (error.code, error.fault, error.sent) == ("http/private-address", "requestor", False)
    assert web.requests == []


def test_a_redirect_into_the_private_network_is_not_followed(world, web):
    """Each step is judged like the first."""
    other = Web()
    try:
        web.routes["/x"] = 302, {"Location": f"{other.url}/admin"}, b""
        error = error_of(world, f"{web.url}/x", "crud/read")
    finally:
        other.stop()

    assert (error.code, other.requests) == ("http/private-address", [])


def test_a_name_is_judged_by_the_address_behind_it(world, web):
    """A name that resolves to an allowed address is reached at that address."""
    web.routes["/x"] = 200, {}, b"x"

    assert run(world, f"http://localhost:{web.server_port}/x", "crud/read").evidence["peer"] == web.address


@pytest.mark.parametrize(
    ("status", "ability", "code", "fault"),
    [
        (400, "crud/read", "http/status", "requestor"),
        (404, "crud/read", "http/status", "requestor"),
        (500, "crud/read", "http/status", "world"),
        (403, "crud/create", "http/status", "requestor"),
        (409, "crud/create", "http/status", "requestor"),
        (500, "crud/create", "http/status", "world"),
        (429, "crud/create", "http/busy", "world"),
        (503, "crud/create", "http/busy", "world"),
        (307, "crud/create", "http/redirected", "requestor"),
    ],
)
def test_a_refusal_is_an_outcome(world, web, status, ability, code, fault):
    """The server has spoken: the error says what it said and whose fault it is, and the evidence is kept."""
    web.routes["/x"] = status, {"Location": "/y"} if status < 400 else {}, b"no"
    outcome = run(world, f"{web.url}/x", ability, **({} if ability == "crud/read" else {"value": 1}))

    assert (outcome.out["error"]["code"], outcome.out["error"]["fault"]) == (code, fault)
    assert str(status) in outcome.out["error"]["message"]
    assert (outcome.evidence["status"], len(web.requests)) == (status, 1)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_worth_another_try(world, web, status):
    """Busy servers and gateways."""
    web.routes["/x"] = status, {}, b""

    assert error_of(world, f"{web.url}/x", "crud/read").transient


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_leaves_a_command_in_doubt(world, web, status):
    """Whoever stands between does not know whether the server behind it did it."""
    web.routes["/x"] = status, {}, b""
    error = error_of(world, f"{web.url}/x", "crud/create", value=1)

    assert (error.code, error.sent, error.transient) == ("http/gateway", True, True)


def test_a_command_that_leads_on_has_happened(world, web):
    """303 says where to look at what was made; nobody goes there by himself."""
    web.routes["/x"] = 303, {"Location": "/made"}, b""
    outcome = run(world, f"{web.url}/x", "crud/create", value=1)

    assert (outcome.out["ok"]["status"], outcome.out["ok"]["headers"]["location"]) == (303, "/made")
    assert len(web.requests) == 1


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


def trickle(connection, done):
    """Answer a byte at a time, for ever."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not done.wait(0.02):
        connection.sendall(b"x")


def trickle_body(connection, done):
    """Answer at once, and then a byte at a time."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not done.wait(0.02):
        connection.sendall(b"x")


def silent(connection, done):
    """Take the request and say nothing."""
    read_request(connection)
    done.wait()


@pytest.mark.parametrize("serve", [trickle, trickle_body, silent])
def test_slow_servers_end_at_the_deadline(serve):
    """The time limit is for the whole exchange, not for each byte; a command is then in doubt if it was sent."""
    with raw_server(serve) as address:
        context = Given({"http": {"allow_private": [address]}})
        asked = error_of(context, f"http://{address}/", "crud/read", seconds=0.5)
        if serve is not trickle_body:
            told = error_of(context, f"http://{address}/", "crud/create", value=1, seconds=0.5)
            assert (told.code, told.sent) == ("http/timeout", True)

    assert (asked.code, asked.fault, asked.transient) == ("http/timeout", "network", True)


def test_a_command_whose_answer_trickles_has_happened():
    """Its status came in time; the rest of the answer is lost, and the evidence says so."""
    with raw_server(trickle_body) as address:
        context = Given({"http": {"allow_private": [address]}})
        told = run(context, f"http://{address}/", "crud/create", value=1, seconds=0.5)

    assert (told.out["ok"]["status"], told.evidence["body_lost"]) == (200, "http/timeout")


def hang_up(connection, _done):
    """Take the request and hang up."""
    read_request(connection)


def babble(connection, _done):
    """Speak something else."""
    read_request(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")


def boast(connection, _done):
    """Send headers without end."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000)


@pytest.mark.parametrize("serve", [hang_up, babble, boast])
def test_a_server_that_breaks_off_leaves_a_command_in_doubt(serve):
    """It had the request, and nobody knows what it did with it."""
    with raw_server(serve) as address:
        context = Given({"http": {"allow_private": [address]}})
        error = error_of(context, f"http://{address}/", "crud/create", value=1)

    assert (error.code, error.sent) == ("http/bad-answer", True)


def test_a_server_that_is_away_has_done_nothing():
    """Nobody listens, or nobody has that name: nothing was sent."""
    away = error_of(Given({"http": {"allow_private": ["127.0.0.1"]}}), "http://127.0.0.1:1/", "crud/create", value=1)
    unknown = error_of(Given({}), "http://nobody.invalid/", "crud/create", value=1)

    assert [(error.code, error.fault, error.sent) for error in (away, unknown)] == [
        ("http/unreachable", "network", False)
    ] * 2


@pytest.mark.parametrize("uri", ["http:", "http://", "http:///x", "http://[::1/", "http://u:p@example.com/",
                                 "http://example.com:99999/", "http://" + "x" * 9000])  # fmt: skip
def test_a_malformed_url_is_the_requestors(uri):
    """Found before anything is sent."""
    error = error_of(Given({}), uri, "crud/read")

    assert (error.code, error.fault, error.sent) == ("http/bad-uri", "requestor", False)


@pytest.fixture
def tls(tmp_path):
    """Return a server with a certificate for localhost, and a context that trusts its authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    web = Web(server)
    yield web, Given({"http": {"allow_private": [web.address], "ca_file": str(ca_file)}})
    web.stop()


def test_tls_is_verified(tls):
    """A trusted certificate is kept as evidence; an authority nobody knows and another name are refused."""
    web, context = tls
    web.routes["/x"] = 200, {"Content-Type": "text/plain"}, b"safe"
    outcome = run(context, f"{web.url}/x", "crud/read")
    stranger = Given({"http": {"allow_private": [web.address]}})
    unknown = error_of(stranger, f"{web.url}/x", "crud/create", value=1)
    misnamed = error_of(context, f"https://{web.address}/x", "crud/create", value=1)

    assert (outcome.out["ok"]["body"], len(outcome.evidence["certificate_sha256"])) == ("safe", 32)
    assert [(error.code, error.sent) for error in (unknown, misnamed)] == [("http/tls", False)] * 2


def test_a_read_is_not_led_out_of_tls(tls, web):
    """A read that begins with a server that proved itself ends with one."""
    secure, context = tls
    context.tables["http"]["allow_private"].append(web.address)
    secure.routes["/x"] = 302, {"Location": f"{web.url}/x"}, b""

    assert error_of(context, f"{secure.url}/x", "crud/read").code == "http/redirects"
    assert web.requests == []


def test_a_server_without_tls_is_told_apart(web):
    """TLS to a plain server: nothing of the request was sent."""
    context = Given({"http": {"allow_private": [web.address]}})
    error = error_of(context, f"https://127.0.0.1:{web.server_port}/", "crud/create", value=1)

    assert (error.code, error.sent) == ("http/tls", False)


def test_doubt_is_settled_where_the_origin_keeps_keys(world, web):
    """The configured address says by the idempotency key whether the act happened, and with what."""
    assert reconcile(world, f"{web.url}/x", "crud/create", value=1) is None
    world.tables["http"]["origins"] = {web.url: {"reconcile": f"{web.url}/acts/{{key}}"}}
    with pytest.raises(NotDoneError):
        reconcile(world, f"{web.url}/x", "crud/create", value=1)
    web.routes[f"/acts/{TASK}"] = 200, {"Content-Type": "application/json"}, b'{"made":7}'
    done = reconcile(world, f"{web.url}/x", "crud/create", value=1)
    web.routes[f"/acts/{TASK}"] = 500, {}, b""

    assert done.out["ok"]["body"] == {"made": 7}
    assert done.evidence["reconciled"] == f"{web.url}/acts/{TASK}"
    assert reconcile(world, f"{web.url}/x", "crud/create", value=1) is None


def test_an_address_for_acts_speaks_for_its_own_origin(world, web):
    """It may lead on there; what is elsewhere settles no doubt, and gets no credentials of that place."""
    other = Web()
    try:
        world.tables["http"]["allow_private"].append(other.address)
        headers = {"Authorization": "Bearer secret"}
        world.tables["http"]["origins"] = {
            web.url: {"reconcile": f"{web.url}/acts/{{key}}"},
            other.url: {"headers": headers},
        }
        web.routes[f"/acts/{TASK}"] = 302, {"Location": f"{other.url}/private"}, b""
        other.routes["/private"] = web.routes["/here"] = 200, {"Content-Type": "text/plain"}, b"made"
        elsewhere = reconcile(world, f"{web.url}/x", "crud/create", value=1)
        web.routes[f"/acts/{TASK}"] = 302, {"Location": "/here"}, b""
        here = reconcile(world, f"{web.url}/x", "crud/create", value=1)
    finally:
        other.stop()

    assert (elsewhere, other.requests) == (None, [])
    assert here.out["ok"]["body"] == "made"


def test_a_wrong_configuration_is_the_runners_fault():
    """The field is named."""
    error = error_of(Given({"http": {"allow_private": ["nonsense"]}}), "http://example.com/", "crud/read")

    assert (error.code, error.fault, error.sent) == ("http/bad-config", "runner", False)
