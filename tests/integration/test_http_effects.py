"""HTTP against real servers: what is asked and told, what is refused, and every way in which a server can fail."""

from __future__ import annotations

import ssl

import pytest
import trustme
from handlers import TASK, Given, error_of, reconcile, run
from web import Web, raw_server, read_request

from ipvm_queue.effects import NotDoneError

pytestmark = pytest.mark.integration


@pytest.fixture
def world(web):
    """Return a context that may reach the server."""
    return Given({"http": {"allow_private": [web.address], "timeout": 20.0}})


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
