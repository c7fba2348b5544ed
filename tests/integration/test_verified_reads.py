"""IPFS, IPNS, drand and handles through the queue: a worker asks real servers, verifies, and Wasm goes on with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from protobufs import write_key, write_protobuf
from shelf import shelf
from stack import Stack
from wasm_guests import BYTES_ABI, wat

from ipvm_queue.effects.ipns_record import read_name
from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.store import Keys

pytestmark = pytest.mark.integration

VALUE = {"text": "content of somebody else's", "numbers": [1, 2, 3]}
BLOCK = encode(VALUE)
CID = Link.of(BLOCK, DAG_CBOR)
QUOTA = 100_000
CHAIN = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
INFO = {
    "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "period": 3,
    "genesis_time": 1692803367,
    "groupHash": "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
    "schemeID": "bls-unchained-g1-rfc9380",
    "metadata": {"beaconID": "quicknet"},
}
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
READER = wat(f"""(module
  (import "ipvm:host/blocks" "get" (func $get (param i32 i32) (result i64)))
  {BYTES_ABI}
  (func (export "read") (param i32 i32) (result i64)
    (call $get (i32.add (local.get 0) (i32.const {len(encode([CID])) - 36})) (i32.const 36)))
  (func (export "first") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (i32.add (local.get 0) (i32.const 1))) (i64.const 32))
            (i64.extend_i32_u (i32.sub (local.get 1) (i32.const 1))))))""")


@pytest.fixture(scope="module")
def gateway():
    """Serve what a gateway and a relay would."""
    with shelf() as it:
        it.things[f"/ipfs/{CID}?format=raw"] = BLOCK
        it.things[f"/{CHAIN}/info"] = json.dumps(INFO).encode()
        beacon = {"round": 1000, "signature": SIGNATURE, "randomness": "00"}
        it.things[f"/{CHAIN}/public/1000"] = json.dumps(beacon).encode()
        it.things[f"/{CHAIN}/public/1001"] = json.dumps({**beacon, "round": 1001}).encode()
        yield it


@pytest.fixture(scope="module")
def world(tmp_path_factory, gateway):
    """Return a queue with a worker that may ask the gateway."""
    directory = tmp_path_factory.mktemp("reads")
    config = directory / "effects.toml"
    config.write_text(f'[ipfs]\ngateways = ["{gateway.url}"]\n[drand]\nrelays = ["{gateway.url}"]\n')
    stack = Stack(directory, effects_config=config, pin_quota=QUOTA)
    try:
        stack.start_valkey()
        stack.start_worker("w", "-P", "prefork", "-c", "1", program="ipvm_queue.worker")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def client(world):
    """Return a client of that queue."""
    with world.client() as client:
        yield client


def asked(uri, ability="crud/read", **fields):
    """Return an effect job."""
    return {"type": "ipvm/effect", "with": uri, "do": ability, **fields}


def guest(client, func, label):
    """Return a job that hands another's result to the reader."""
    return {"type": "wasm/1.0", "with": client.blocks.put(READER), "func": func, "input": [{"from": label}]}


def test_a_handle_lets_a_pure_task_read_what_was_elsewhere(world, client, gateway):
    """A resolved CID is pinned in the queue: the pure task gets the link, and its block, without any network."""
    run = client.submit(
        {"content": asked(f"cid:{CID}", "handle/resolve"), "read": guest(client, "read", "content")}
    ).wait(60)

    assert run.status == "ok", run["content"].out
    assert run["content"].ok == CID
    assert run["content"].meta["evidence"]["pinned"] is True
    assert run["read"].ok == VALUE
    assert len([path for _, path in gateway.asked if str(CID) in path]) == 1
    assert world.redis.get(Keys("tests").pin(CID)) == BLOCK


def test_what_is_pinned_for_one_who_asks_is_bounded(world, client):
    """Who has asked for more than the quota is told so, by the code that is for it; nothing more is pinned."""
    large = client.blocks.put(b"x" * QUOTA)
    run = client.submit({"large": asked(f"cid:{large}", "handle/resolve")}).wait(60)
    kept = client.blocks.put(b"a small one")
    again = client.submit({"small": asked(f"cid:{kept}", "handle/resolve")}).wait(60)

    assert (run["large"].error["code"], run["large"].error["fault"]) == ("handle/quota", "requestor")
    assert run["large"].meta["evidence"]["status"] == 400
    assert again.status == "ok", again["small"].out
    assert not world.redis.exists(Keys("tests").pin(large))
    assert 0 < int(world.redis.hget(Keys("tests").pins, client.signer.did)) <= QUOTA


def test_a_lost_block_is_told_as_the_runners_fault(world, client):
    """What was resolved and is gone from the store fails the pure task, and the receipt blames the runner."""
    block = encode({"soon": "lost"})
    cid = Link.of(block, DAG_CBOR)
    world.redis.set(Keys("tests").pinned(cid), b"1")
    job = {**guest(client, "read", ""), "input": [cid]}
    run = client.submit({"read": job}).wait(60)

    assert (run["read"].error["code"], run["read"].error["fault"]) == ("wasm/lost-block", "runner")


@pytest.mark.parametrize(
    ("uri", "ability", "code", "fault"),
    [
        ("cid:Qm12345", "handle/resolve", "handle/malformed", "requestor"),
        (f"cid:{Link.of(b'nowhere')}", "handle/resolve", "handle/absent", "network"),
        (f"ipfs://{Link.of(b'nowhere')}", "crud/read", "ipfs/absent", "network"),
        (f"drand://{CHAIN}/1001", "crud/read", "drand/signature", "network"),
        (f"drand://{CHAIN}/999999999999", "crud/read", "drand/early", "requestor"),
        ("ipvm:secret:a?secret=B", "secret/get", "secret/unconfigured", "runner"),
    ],
)
def test_each_failure_stands_in_the_receipt(client, uri, ability, code, fault):
    """With its own code, and whose fault it is."""
    config = {"time": [3, "seconds"]}  # what is absent is asked for again as long as there is time
    run = client.submit({"a": asked(uri, ability, **{"ipvm/config": config})}).wait(60)

    assert run.status == "error"
    assert (run["a"].error["code"], run["a"].error["fault"]) == (code, fault)


def test_randomness_goes_into_a_pure_task(client):
    """A real beacon is verified by the worker; its 32 bytes are a value like any other."""
    run = client.submit({"dice": asked(f"drand://{CHAIN}/1000"), "use": guest(client, "first", "dice")}).wait(60)

    assert run["dice"].ok == sha256(bytes.fromhex(SIGNATURE)).digest()
    assert run["use"].ok == run["dice"].ok
    evidence = run["dice"].meta["evidence"]
    assert (evidence["chain"], evidence["round"], evidence["signature"].hex()) == (CHAIN, 1000, SIGNATURE)


@pytest.fixture
def publish(gateway):
    """Return a function that has the gateway give a record of a new name's, with a sequence; it returns the URI."""
    key = Ed25519PrivateKey.generate()
    public = write_key(key.public_key())
    name = read_name(str(Link(b"\x01\x72\x00" + bytes([len(public)]) + public)))
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def given(sequence):
        data = encode({"Value": f"/ipfs/{CID}".encode(), "ValidityType": 0, "Validity": until.encode(),
                       "Sequence": sequence, "TTL": 0})  # fmt: skip
        record = write_protobuf({8: key.sign(b"ipns-signature:" + data), 9: data})
        gateway.things[f"/ipns/{name.text}?format=ipns-record"] = record
        return f"ipns://{name.text}"

    return given


def test_a_name_leads_to_content(client, publish):
    """`with` may come from a previous step: what an IPNS name points to is read next."""
    run = client.submit({"name": asked(publish(1)), "content": asked({"from": "name"})}).wait(60)

    assert run["name"].ok == CID
    assert run["content"].ok == VALUE


def test_no_worker_is_led_back_to_an_old_record(world, client, publish, tmp_path):
    """What one worker has seen another knows, that has nothing on its own disk; a record of the same age is good."""
    uri = publish(7)
    first = client.submit({"name": asked(uri)}).wait(60)
    world.groups.pop("w").stop(30)
    world._given["cache_dir"] = tmp_path / "another"
    world.start_worker("w", "-P", "prefork", "-c", "1", program="ipvm_queue.worker")
    same = client.submit({"name": asked(uri)}).wait(60)
    publish(6)
    old = client.submit({"name": asked(uri)}).wait(60)

    assert (first["name"].ok, same["name"].ok) == (CID, CID)
    assert old["name"].error["code"] == "ipns/sequence"
