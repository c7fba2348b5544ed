"""HTTP for WASI guests: reads from the origins that a job names, where operator and rights allow it."""

from __future__ import annotations

import json
import time

import pytest
from effect_context import EffectContext
from wasi_guests import wasi
from wasm_guests import wat
from web import Web, raw_server

from ipvm_queue.effects import EffectError, check, find, uses
from ipvm_queue.ipld import cid_of, decode, encode

QUERY = find("wasi:x", "wasi/query")
RUN = find("wasi:x", "wasi/run")
NOT_YOURS = {"code": "refused", "rule": "InvalidClaim", "message": "not for you", "fault": "requestor"}


@pytest.fixture
def other(context):
    """Return another server, which the worker may reach too."""
    server = Web()
    context.tables["http"]["allow_private"].append(server.address)
    yield server
    server.stop()


@pytest.fixture
def context(web, tmp_path):
    """Return the context of a worker whose guests may have a network, and that server in it."""
    return EffectContext(tmp_path, wasi={"network": True}, http={"allow_private": [web.address], "timeout": 10.0})


@pytest.fixture
def ask(context, web):
    """Return a function that has a guest ask for something; it returns what the guest heard, and the outcome.

    `objection` says what who asked for the task may not do; by default there is nothing.
    """

    def call(request, *, effect=QUERY, network=None, guest="ask", objection=lambda *_: None, **more):
        data = request if isinstance(request, bytes) else encode(request)
        origins = [web.url] if network is None else network
        uri = f"wasi:{context.blocks.put(wasi(guest))}"
        given = {"objection": objection, **more}
        outcome = context.do(effect, uri, stdin=data, text=False, network=origins, call=given)
        heard = decode(outcome.out["ok"]["stdout"]) if "ok" in outcome.out else None
        return heard, outcome

    return call


def read(url, **inputs):
    """Return a guest's request."""
    return {"with": url, "do": "crud/read", "inputs": inputs}


@pytest.mark.parametrize("effect", [QUERY, RUN], ids=lambda effect: effect.ability)
def test_a_guest_reads_what_a_server_says(ask, web, effect):
    """Its answer is the Result of the HTTP effect, and the receipt says what was asked and who answered."""
    web.routes["/x"] = 200, {"Content-Type": "application/json"}, json.dumps({"a": 1}).encode()
    heard, outcome = ask(read(f"{web.url}/x", query={"q": "secret"}), effect=effect)

    assert heard["ok"]["body"] == {"a": 1}
    (kept,) = outcome.evidence["requests"]
    assert (kept["with"], kept["evidence"]["status"]) == (f"{web.url}/x", 200)
    assert [method for method, *_ in web.requests] == ["GET"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"with": "URL/x", "do": "http/post", "inputs": {"value": 1}}, "wasi/not-granted"),
        ({"with": "URL/x", "do": "crud/create", "inputs": {"value": 1}}, "wasi/not-granted"),
        ({"with": "URL/x", "do": "http/get"}, "wasi/not-granted"),
        ({"with": "http://elsewhere.example/", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "http://127.0.0.1/", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "http://127.0.0.1@elsewhere.example/", "do": "crud/read"}, "http/bad-uri"),
        ({"with": "file:///etc/passwd", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "dns://example.com?TYPE=A", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "URL/x", "do": "crud/read", "inputs": {"sneaky": 1}}, "wasi/argument"),
        ({"with": "URL/x", "do": "crud/read", "inputs": {"uri": "http://elsewhere.example/"}}, "wasi/argument"),
        ({"with": "URL/x", "do": "crud/read", "inputs": []}, "wasi/argument"),
        ({"with": "URL/x"}, "wasi/argument"),
        (b"\xff", "wasi/argument"),
        (b"", "wasi/argument"),
    ],
)
def test_what_is_not_granted_is_an_answer_and_not_a_request(ask, web, request_, code):
    """Other origins and ports, other schemes, anything but reading, bad requests: the guest alone hears of it."""
    if isinstance(request_, dict):
        request_ = request_ | {"with": request_["with"].replace("URL", web.url)}
    heard, outcome = ask(request_, effect=RUN)

    assert heard["error"]["code"] == code
    assert web.requests == []
    assert "requests" not in outcome.evidence


def test_who_asked_for_the_task_has_to_be_entitled_to_each_read(ask, web):
    """The right to the very URL is asked for, with the args; where there is none the guest hears the rule."""
    judged = []

    def objection(command, args):
        judged.append((command, args))
        return NOT_YOURS if args["uri"].endswith("/secret") else None

    web.routes["/open"] = web.routes["/secret"] = 200, {"Content-Type": "text/plain"}, b"here"
    first, _ = ask(read(f"{web.url}/open", query={"a": "b"}), objection=objection)
    second, _ = ask(read(f"{web.url}/secret"), objection=objection)

    assert (first["ok"]["body"], second) == ("here", {"error": NOT_YOURS})
    assert judged[0] == ("/crud/read", {"uri": f"{web.url}/open", "query": {"a": "b"}})
    assert [path for _, path, *_ in web.requests] == ["/open?a=b"]


def test_nobody_is_entitled_unless_somebody_says_so(context, web):
    """A handler that is called without a judge reads nothing."""
    uri = f"wasi:{context.blocks.put(wasi('ask'))}"
    outcome = context.do(QUERY, uri, stdin=encode(read(f"{web.url}/x")), text=False, network=[web.url])

    assert decode(outcome.out["ok"]["stdout"])["error"]["code"] == "refused"
    assert web.requests == []


@pytest.mark.parametrize("named", [False, True])
def test_a_redirect_is_followed_where_the_guest_might_have_asked(ask, web, other, named):
    """A named origin cannot hand the guest on to one that is not named, nor to what its requestor may not read."""
    web.routes["/x"] = 302, {"Location": f"{other.url}/y"}, b""
    other.routes["/y"] = 200, {"Content-Type": "text/plain"}, b"elsewhere"
    network = [web.url, other.url] if named else [web.url]
    heard, _ = ask(read(f"{web.url}/x"), network=network)
    refused, _ = ask(
        read(f"{web.url}/x"), network=network, objection=lambda _, args: NOT_YOURS if "/y" in args["uri"] else None
    )

    assert heard.get("ok", {}).get("body") == ("elsewhere" if named else None)
    assert refused["error"]["code"] == "wasi/not-granted"
    assert len(other.requests) == named


def test_private_addresses_are_the_operators_to_open(ask, context, web):
    """A granted origin whose address is not public is not connected to, unless the `http` table says so."""
    context.tables["http"]["allow_private"].clear()
    heard, _ = ask(read(f"{web.url}/x"))

    assert heard["error"]["code"] == "http/private-address"
    assert web.requests == []


def test_an_answer_is_bounded_as_any_is(ask, web):
    """What is larger than the task takes in, or than the operator allows, is an error that the guest hears."""
    web.routes["/x"] = 200, {"Content-Type": "text/plain"}, b"x" * 70000
    heard, _ = ask(read(f"{web.url}/x"))

    assert heard["error"]["code"] == "http/too-large"


def test_a_slow_server_costs_the_guest_its_own_time(ask, context):
    """A read ends with the task's time, and so does the guest."""
    begun = time.monotonic()
    with raw_server(lambda _, done: done.wait(60)) as address:
        context.tables["http"] = {"allow_private": [address], "timeout": 60.0}
        _, outcome = ask(read(f"http://{address}/x"), network=[f"http://{address}"], deadline=time.monotonic() + 2)

    assert time.monotonic() - begun < 30
    assert outcome.out.get("error", {}).get("code") in (None, "wasi/time-limit")


def test_a_guest_asks_so_often_and_no_more(ask, web):
    """The 65th request is refused, and the receipt lists those that were made."""
    web.routes["/x"] = 200, {"Content-Type": "text/plain"}, b"x"
    heard, outcome = ask(read(f"{web.url}/x"), guest="ask-on")

    assert heard["error"]["code"] == "wasi/too-many"
    assert len(outcome.evidence["requests"]) == len(web.requests) == 64


def test_without_origins_there_is_nobody_to_ask(ask, web):
    """The import is there for those alone whose job names an origin."""
    heard, outcome = ask(read(f"{web.url}/x"), network=[])

    assert heard is None
    assert outcome.out["error"]["code"] in ("wasi/forbidden-import", "wasi/trap")
    assert web.requests == []


def test_a_guest_asks_with_memory_of_its_own(ask):
    """A piece of memory that it has not is the guest's fault, and ends it."""
    assert ask(b"", guest="astray")[1].out["error"]["code"] == "wasi/bad-pointer"


@pytest.mark.parametrize(
    "exports",
    [
        '(memory (export "memory") 1)',
        '(func (export "ipvm_alloc") (param i32) (result i32) i32.const 0)',
        '(memory (export "memory") 1) (func (export "ipvm_alloc") (param i32))',
        '(memory (export "memory") 1) (func (export "ipvm_alloc") (param f32) (result f32) f32.const nan)',
    ],
)
def test_a_guest_without_a_place_for_answers_is_not_started(context, web, exports):
    """It exports memory and `ipvm_alloc(i32) -> i32`, or has made a mistake that no second attempt mends."""
    guest = wat(
        f'(module (import "ipvm:host/effects" "call" (func $ask (param i32 i32) (result i64))) {exports} '
        '(func (export "_start") (drop (call $ask (i32.const 0) (i32.const 0)))))'
    )
    with pytest.raises(EffectError) as refused:
        context.do(RUN, f"wasi:{context.blocks.put(guest)}", network=[web.url])

    error = refused.value
    assert (error.code, error.fault, error.sent, error.transient) == ("wasi/bad-abi", "requestor", False, False)


def test_an_operator_who_allows_no_network_gives_none(context, ask, web):
    """Named origins are refused before anything is run."""
    context.tables["wasi"] = {}
    with pytest.raises(EffectError) as refused:
        ask(read(f"{web.url}/x"))

    assert (refused.value.code, refused.value.sent) == ("wasi/not-granted", False)


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "https://example.com/a",
        "https://example.com/?q",
        "ftp://example.com",
        "https://",
        "https://u:p@e.x",
    ],
)
def test_what_is_named_is_an_origin(text):
    """A host without a scheme, a path, a password: said at submission."""
    (wrong,) = check(f"wasi:{cid_of(1)}", "wasi/query", {"network": [text]})

    assert "is no origin" in wrong


def test_a_task_uses_a_read_of_each_origin_that_it_names():
    """In one spelling each; what a promise brings is not known yet, and what is none is refused by its own check."""
    args = {
        "uri": "wasi:x",
        "network": ["https://EXAMPLE.com", "http://example.com:8080/", {"await/ok": cid_of(1)}, "x"],
    }

    assert uses("/wasi/query", args) == [
        ("/crud/read", {"uri": "https://example.com/"}),
        ("/crud/read", {"uri": "http://example.com:8080/"}),
    ]
    assert uses("/wasi/query", {"uri": "wasi:x"}) == uses("/wasm/run", {"mod": 1}) == []
