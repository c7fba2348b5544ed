"""A read that is led on to another server: in whose name it goes there, and whose credentials it carries."""

from __future__ import annotations

import time

import pytest
from stack import Stack
from web import Web

from ipvm_queue import Client
from ipvm_queue.crypto import Signer, load_signer
from ipvm_queue.queue.requests import PUSH, RUN
from ipvm_queue.ucan import Container, Delegation

pytestmark = pytest.mark.integration
ABILITIES = ("crud/read", "http/get", "http/head")


@pytest.fixture(scope="module")
def webs():
    """Return two servers: one that our clerk may read from, and one with what is private."""
    ours, theirs = Web(), Web()
    ours.routes["/out"] = 302, {"Location": f"{theirs.url}/private"}, b""
    ours.routes["/in"] = 302, {"Location": "/x"}, b""
    ours.routes["/x"] = 200, {"Content-Type": "text/plain"}, b"hello"
    theirs.routes["/private"] = 200, {"Content-Type": "text/plain"}, b"the operator's private data"
    yield ours, theirs
    ours.stop()
    theirs.stop()


@pytest.fixture(scope="module")
def clerk(tmp_path_factory, webs):
    """Return the client of one who may read from the first server, at a worker with credentials for the second."""
    root = tmp_path_factory.mktemp("redirects")
    ours, theirs = webs
    (root / "effects.toml").write_text(f"""
[http]
allow_private = ["{ours.address}", "{theirs.address}"]
[http.origins."{theirs.url}"]
headers = {{ Authorization = "Bearer operator" }}
""")
    stack = Stack(root / "stack", aof=True, effects_config=root / "effects.toml")
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "solo", program="ipvm_queue.worker")
        signer = Signer.generate()
        queue, service = load_signer(stack.settings.queue_key), load_signer(stack.settings.service_key)
        later = int(time.time()) + 3600

        def may(issuer, command, *policy):
            return Delegation.issue(issuer, signer.did, issuer.did, command, list(policy), expiration=later)

        reads = [may(service, f"/{ability}", ["like", ".uri", f"{ours.url}/*"]) for ability in ABILITIES]
        given = [may(queue, PUSH), may(service, RUN), *reads]
        path = root / "clerk.ucan"
        path.write_bytes(Container.of(each.data for each in given).write())
        with Client(settings=stack.settings, signer=signer, proofs=[path]) as client:
            yield client
    finally:
        stack.stop()


def test_a_read_does_not_follow_to_where_its_requestor_may_not_read(clerk, webs):
    """Its receipt says where it was led and by what rule it ends; the other server sees nothing of it."""
    ours, theirs = webs
    out = {"type": "ipvm/effect", "with": f"{ours.url}/out"}
    jobs = {ability.replace("/", "-"): {**out, "do": ability} for ability in ABILITIES}
    run = clerk.submit(jobs).wait(60)

    assert run.status == "error"
    for label in jobs:
        assert (run[label].error["code"], run[label].error["fault"]) == ("http/not-granted", "requestor")
        assert f"led on to {theirs.url}/private: pol[0] of proof 0" in run[label].error["message"]
    assert theirs.requests == []


def test_a_read_follows_to_where_its_requestor_may_read(clerk, webs):
    """As far as the delegations let it go, a redirect is followed."""
    run = clerk.submit({"a": {"type": "ipvm/effect", "with": f"{webs[0].url}/in", "do": "crud/read"}}).wait(60)

    assert run["a"].ok["body"] == "hello"
    assert run["a"].meta["evidence"]["redirects"] == [f"{webs[0].url}/x"]
