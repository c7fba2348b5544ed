"""HTTP for WASI guests: with the hosts that a job names, if the operator allows it, by the worker's own rules."""

from __future__ import annotations

import json

import pytest
from effect_context import EffectContext
from wasi_guests import wasi
from web import Web

from ipvm_queue.effects import EffectError, find
from ipvm_queue.ipld import decode, encode

QUERY = find("wasi:x", "wasi/query")
RUN = find("wasi:x", "wasi/run")


@pytest.fixture
def web():
    """Return a server."""
    server = Web()
    yield server
    server.stop()


@pytest.fixture
def context(web, tmp_path):
    """Return the context of a worker whose guests may have a network, and that server in it."""
    return EffectContext(tmp_path, wasi={"network": True}, http={"allow_private": [web.address], "timeout": 10.0})


@pytest.fixture
def ask(context, web):
    """Return a function that has a guest ask for something; it returns what the guest heard, and the outcome."""

    def call(request, *, effect=QUERY, network=None, guest="ask"):
        data = request if isinstance(request, bytes) else encode(request)
        hosts = [web.url.partition("//")[2]] if network is None else network
        uri = f"wasi:{context.blocks.put(wasi(guest))}"
        outcome = context.do(effect, uri, stdin=data, text=False, network=hosts)
        heard = decode(outcome.out["ok"]["stdout"]) if "ok" in outcome.out else None
        return heard, outcome

    return call


def test_a_guest_reads_what_a_server_says(ask, web):
    """Its answer is the Result of the HTTP effect, and the receipt says what was asked and who answered."""
    web.routes["/x"] = 200, {"Content-Type": "application/json"}, json.dumps({"a": 1}).encode()
    heard, outcome = ask({"with": f"{web.url}/x", "do": "http/get", "inputs": {"query": {"q": "secret"}}})

    assert heard["ok"]["body"] == {"a": 1}
    (kept,) = outcome.evidence["requests"]
    assert (kept["do"], kept["with"], kept["evidence"]["status"]) == ("http/get", f"{web.url}/x", 200)


def test_a_command_writes_with_a_key_of_its_own(ask, web):
    """What `wasi/run` sends goes out once, under a key that is made of the Task."""
    web.routes["/x"] = 201, {}, b""
    heard, _ = ask({"with": f"{web.url}/x", "do": "http/post", "inputs": {"value": {"a": 1}}}, effect=RUN)

    assert heard["ok"]["status"] == 201
    ((method, _, headers, body),) = web.requests
    assert (method, body) == ("POST", b'{"a":1}')
    assert headers["idempotency-key"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"with": "URL/x", "do": "http/post", "inputs": {"value": 1}}, "wasi/not-granted"),
        ({"with": "http://elsewhere.example/", "do": "http/get"}, "wasi/not-granted"),
        ({"with": "file:///etc/passwd", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "dns://example.com?TYPE=A", "do": "crud/read"}, "wasi/not-granted"),
        ({"with": "URL/x", "do": "http/get", "inputs": {"sneaky": 1}}, "wasi/argument"),
        ({"with": "URL/x", "do": "http/get", "inputs": []}, "wasi/argument"),
        ({"with": "URL/x"}, "wasi/argument"),
        (b"\xff", "wasi/argument"),
        (b"", "wasi/argument"),
    ],
)
def test_what_is_not_granted_is_an_answer_and_not_a_request(ask, web, request_, code):
    """Other hosts, other schemes, writing in a query, bad requests: the guest hears why, and no server does."""
    if isinstance(request_, dict):
        request_ = request_ | {"with": request_["with"].replace("URL", web.url)}
    heard, _ = ask(request_)

    assert heard["error"]["code"] == code
    assert web.requests == []


def test_a_redirect_leads_to_no_other_host(ask, web, context):
    """A named host cannot hand the guest on to one that is not, though the worker may reach it."""
    other = Web()
    context.tables["http"]["allow_private"].append(other.address)
    try:
        web.routes["/x"] = 302, {"Location": f"{other.url}/y"}, b""
        other.routes["/y"] = 200, {"Content-Type": "text/plain"}, b"elsewhere"
        heard, _ = ask({"with": f"{web.url}/x", "do": "http/get"})
    finally:
        other.stop()

    assert heard["error"]["code"] == "wasi/not-granted"


def test_without_hosts_there_is_nobody_to_ask(ask, web):
    """The import is there for those alone whose job names a host."""
    heard, outcome = ask({"with": f"{web.url}/x", "do": "http/get"}, network=[])

    assert heard is None
    assert outcome.out["error"]["code"] in ("wasi/forbidden-import", "wasi/trap")
    assert web.requests == []


def test_a_guest_asks_with_memory_of_its_own(ask):
    """A piece of memory that it has not is the guest's fault, and ends it."""
    assert ask(b"", guest="astray")[1].out["error"]["code"] == "wasi/bad-pointer"


def test_an_operator_who_allows_no_network_gives_none(context, ask, web):
    """Named hosts are refused before anything is run."""
    context.tables["wasi"] = {}
    with pytest.raises(EffectError) as refused:
        ask({"with": f"{web.url}/x", "do": "http/get"})

    assert (refused.value.code, refused.value.sent) == ("wasi/not-granted", False)
