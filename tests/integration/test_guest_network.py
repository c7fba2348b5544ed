"""A WASI guest that reads from the network: in whose name, and from where, the gate and the worker judge."""

from __future__ import annotations

import time

import pytest
from stack import Stack
from wasi_guests import wasi
from wasm_guests import BYTES_ABI, wat
from web import Web

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.effects import is_private, safety_of, uses
from ipvm_queue.errors import RefusedError
from ipvm_queue.ipld import decode, encode
from ipvm_queue.queue.bundle import verify
from ipvm_queue.queue.recompute import Registry
from ipvm_queue.queue.requests import PUSH, RUN
from ipvm_queue.ucan import Container, Delegation

pytestmark = pytest.mark.integration

SAME = wat(f"""(module {BYTES_ABI}
  (func (export "same") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get 0) (i32.const 1))) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get 1) (i32.const 1))))))""")


@pytest.fixture(scope="module")
def webs():
    """Return two servers: one that our clerk may read from, and another."""
    servers = Web(), Web()
    for server in servers:
        server.routes["/x"] = server.routes["/not/this"] = 200, {"Content-Type": "text/plain"}, b"hello"
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory, webs):
    """Return a queue whose worker may reach both."""
    root = tmp_path_factory.mktemp("network")
    config = root / "effects.toml"
    addresses = ", ".join(f'"{server.address}"' for server in webs)
    config.write_text(f"[wasi]\nnetwork = true\n[http]\nallow_private = [{addresses}]\n")
    stack = Stack(root / "stack", aof=True, effects_config=config)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "1", program="ipvm_queue.worker")
        with stack.client() as owner:
            for module in (SAME, wasi("ask")):
                owner.blocks.put(module)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def clerk(world, webs, tmp_path):
    """Return the client of one who may run guests, and read from the first server, but for what begins with `not`."""
    signer = Signer.generate()
    queue, service = load_signer(world.settings.queue_key), load_signer(world.settings.service_key)
    later = int(time.time()) + 3600

    def may(issuer, command, *policy):
        return Delegation.issue(issuer, signer.did, issuer.did, command, list(policy), expiration=later)

    ours = [["like", ".uri", f"{webs[0].url}/*"], ["not", ["like", ".uri", f"{webs[0].url}/not/*"]]]
    given = [may(queue, PUSH), may(service, RUN), may(service, "/wasm/run"), may(service, "/wasi/query"),
             may(service, "/wasi/run"), may(service, "/crud/read", *ours)]  # fmt: skip
    path = tmp_path / "clerk.ucan"
    path.write_bytes(Container.of(each.data for each in given).write())
    with Client(settings=world.settings, signer=signer, proofs=[path]) as client:
        yield client


def guest(client, url, network, ability="wasi/query"):
    """Return a task whose guest reads a URL."""
    asked = encode({"with": url, "do": "crud/read"})
    return {
        "type": "ipvm/effect", "with": f"ipfs://{client.blocks.put(wasi('ask'))}", "do": ability,
        "inputs": {"stdin": asked, "text": False, "network": network},
    }  # fmt: skip


def heard(result):
    """Return what a guest heard."""
    return decode(result.ok["stdout"])


@pytest.mark.parametrize("ability", ["wasi/query", "wasi/run"])
def test_a_guest_reads_where_its_requestor_may(clerk, webs, ability):
    """The receipt has the evidence of the read, and its bundle shows by what right it was made."""
    run = clerk.submit({"a": guest(clerk, f"{webs[0].url}/x", [webs[0].url], ability)}).wait(60)

    assert heard(run["a"])["ok"]["body"] == "hello"
    assert run["a"].meta["evidence"]["requests"][0]["evidence"]["peer"].startswith("127.0.0.1")
    assert verify(clerk.bundle([run["a"].receipt], run.id), Registry(safety_of, is_private, uses)).holds


@pytest.mark.parametrize("ability", ["wasi/query", "wasi/run"])
def test_an_origin_that_its_requestor_may_not_read_is_refused_at_the_gate(clerk, webs, ability):
    """Although the worker might reach it: no such job runs."""
    with pytest.raises(RefusedError) as refused:
        clerk.submit({"a": guest(clerk, f"{webs[1].url}/x", [webs[0].url, webs[1].url], ability)})

    assert refused.value.fields["rule"] == "MatchError"
    assert webs[1].requests == []


def test_an_origin_that_a_promise_brings_is_judged_by_the_worker(clerk, webs):
    """Before the guest starts, by what came out."""
    module = clerk.blocks.put(SAME)

    def made(value):
        return {"type": "wasm/1.0", "with": module, "func": "same", "input": [value]}

    run = clerk.submit(
        {
            "ours": made(webs[0].url),
            "theirs": made(webs[1].url),
            "right": guest(clerk, f"{webs[0].url}/x", [{"from": "ours"}]),
            "wrong": guest(clerk, f"{webs[1].url}/x", [{"from": "theirs"}]),
        }
    ).wait(60)

    assert heard(run["right"])["ok"]["body"] == "hello"
    assert (run["wrong"].error["code"], run["wrong"].error["rule"]) == ("refused", "MatchError")
    assert webs[1].requests == []


def test_each_read_is_judged_by_its_own_address(clerk, webs):
    """A granted origin is not all of it, where a policy says so; the guest hears the rule."""
    run = clerk.submit({"a": guest(clerk, f"{webs[0].url}/not/this", [webs[0].url])}).wait(60)
    error = heard(run["a"])["error"]

    assert (error["code"], error["rule"]) == ("refused", "MatchError")
    assert "/not/this" not in [path for _, path, *_ in webs[0].requests]
