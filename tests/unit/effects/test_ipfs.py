"""IPFS: a block by its CID from whoever has it, and nothing that is not the block."""

from __future__ import annotations

from hashlib import sha256

import pytest
from handlers import Given, error_of, run
from protobufs import write_protobuf
from shelf import shelf

from ipvm_queue.ipld import DAG_CBOR, Block, Link, encode, write_car
from ipvm_queue.store import MemoryBlocks

DATA = b"a block that somebody else has"
CID = Link.of(DATA)
RAW = f"/ipfs/{CID}?format=raw"


@pytest.fixture
def gateway():
    """Serve a gateway that has the block."""
    with shelf() as it:
        it.things[RAW] = DATA
        yield it


def given(*gateways, **more):
    """Return a context whose worker may ask these gateways."""
    return Given({"ipfs": {"gateways": list(gateways), **more}}, blocks=MemoryBlocks())


def test_a_block_comes_from_a_gateway_and_is_verified(gateway):
    """The answer is the block's bytes; the evidence says who gave it."""
    outcome = run(given(gateway.url), f"ipfs://{CID}", "crud/read")

    assert outcome.out == {"ok": DATA}
    assert outcome.evidence["cid"] == CID
    assert outcome.evidence["from"] == gateway.url.removeprefix("http://")
    assert outcome.evidence["sha256"] == sha256(DATA).digest()
    assert gateway.headers[0]["Accept"] == "application/vnd.ipld.raw"


def test_a_block_of_the_queue_is_asked_of_nobody(gateway):
    """What the store has needs no network."""
    context = given(gateway.url)
    context.blocks.put(DATA)

    assert run(context, f"ipfs://{CID}", "crud/read").evidence["from"] == "store"
    assert gateway.asked == []


def test_a_cid_that_holds_its_block_is_asked_of_nobody(gateway):
    """An identity CID is its own block."""
    outcome = run(given(gateway.url), f"ipfs://{Link(bytes([1, 0x55, 0, 5]) + b'hello')}", "crud/read")

    assert (outcome.out, outcome.evidence["from"]) == ({"ok": b"hello"}, "cid")
    assert gateway.asked == []
    assert CID.inline is None


def test_dag_cbor_comes_out_as_its_value():
    """What the CID says to be DAG-CBOR is read, strictly."""
    context = given()
    value = {"links": [CID], "n": 1}

    assert run(context, f"ipfs://{context.blocks.put(encode(value), DAG_CBOR)}", "crud/read").out == {"ok": value}
    wrong = context.blocks.put(b"\xff", DAG_CBOR)
    assert error_of(context, f"ipfs://{wrong}", "crud/read").code == "ipfs/codec"


def test_kubo_is_asked_after_the_gateways(gateway):
    """Its RPC gives the same block, by POST."""
    with shelf() as kubo:
        kubo.things[f"/api/v0/block/get?arg={CID}"] = DATA
        del gateway.things[RAW]

        assert run(given(gateway.url, kubo=kubo.url + "/"), f"ipfs://{CID}", "crud/read").out == {"ok": DATA}
        assert kubo.asked == [("POST", f"/api/v0/block/get?arg={CID}")]


def test_a_lying_gateway_is_passed_over_and_alone_is_an_error(gateway):
    """Bytes that do not hash to the CID are not the block."""
    with shelf() as liar:
        liar.things[RAW] = DATA + b"!"

        assert run(given(liar.url, gateway.url), f"ipfs://{CID}", "crud/read").out == {"ok": DATA}
        error = error_of(given(liar.url), f"ipfs://{CID}", "crud/read")
        assert (error.code, error.fault) == ("ipfs/hash", "network")
        gateway.things.clear()
        assert error_of(given(liar.url, gateway.url), f"ipfs://{CID}", "crud/read").code == "ipfs/hash"


@pytest.mark.parametrize(
    ("thing", "code", "transient"),
    [(404, "ipfs/absent", True), (500, "ipfs/status", True), (403, "ipfs/status", False), (302, "ipfs/status", False)],
)
def test_each_refusal_has_its_code(gateway, thing, code, transient):
    """A status is an error, also one that leads elsewhere: a configured gateway answers itself."""
    gateway.things[RAW] = thing
    error = error_of(given(gateway.url), f"ipfs://{CID}", "crud/read")

    assert (error.code, error.fault, error.transient) == (code, "network", transient)


def test_too_much_is_cut_off(gateway):
    """No more is read than the call may take."""
    assert error_of(given(gateway.url), f"ipfs://{CID}", "crud/read", max_bytes=10).code == "ipfs/too-large"
    context = given()
    context.blocks.put(DATA)
    assert error_of(context, f"ipfs://{CID}", "crud/read", max_bytes=10).code == "ipfs/too-large"


def test_a_gateway_that_drips_is_left_at_the_deadline(gateway):
    """One deadline stands around everything, however lively the connection seems."""
    gateway.pause = 0.05
    error = error_of(given(gateway.url), f"ipfs://{CID}", "crud/read", seconds=0.3)

    assert (error.code, error.fault, error.transient) == ("ipfs/timeout", "network", True)
    assert error_of(given(gateway.url), f"ipfs://{CID}", "crud/read", seconds=-1).code == "ipfs/timeout"


def test_nobody_there_and_nobody_named():
    """A gateway that is down is the network's fault, none at all the runner's."""
    error = error_of(given("http://127.0.0.1:1"), f"ipfs://{CID}", "crud/read")
    assert (error.code, error.fault) == ("ipfs/unreachable", "network")
    error = error_of(given(), f"ipfs://{CID}", "crud/read")
    assert (error.code, error.fault) == ("ipfs/unconfigured", "runner")


@pytest.mark.parametrize("uri", ["ipfs://", "ipfs://hello", f"ipfs://{CID}/path", "ipfs:bafyno"])
def test_what_is_no_cid_is_the_requestors_fault(uri):
    """A malformed CID is refused before anybody is asked, a path behind it too."""
    error = error_of(given("http://127.0.0.1:1"), uri, "crud/read")

    assert (error.code, error.fault) == ("ipfs/malformed", "requestor")


def test_a_dag_is_fetched_whole():
    """From a root, every block that DAG-CBOR and DAG-PB lead to is brought."""
    leaf = b"leaf"
    node = write_protobuf({2: write_protobuf({1: Link.of(leaf).bytes})})
    middle = Link(b"\x01\x70\x12\x20" + sha256(node).digest())
    root = encode({"a": [middle], "b": CID})
    with shelf() as gateway:
        for cid, data in ((Link.of(leaf), leaf), (middle, node), (Link.of(root, DAG_CBOR), root), (CID, DATA)):
            gateway.things[f"/ipfs/{cid}?format=raw"] = data
        context = given(gateway.url)
        outcome = run(context, f"ipfs://{Link.of(root, DAG_CBOR)}", "handle/resolve", dag=True)

        assert outcome.evidence["blocks"] == 4
        assert len(gateway.asked) == 5  # the gateway has no CAR
        assert context.blocks.get(Link.of(leaf)) == leaf
        size = sum(map(len, (leaf, node, root, DATA)))
        error = error_of(given(gateway.url), f"cid:{Link.of(root, DAG_CBOR)}", "handle/resolve", dag=True,
                         max_bytes=size - 1)  # fmt: skip
        assert error.code == "handle/too-large"


def test_a_dag_comes_in_one_car():
    """A gateway that gives CARs is asked once; what its CAR lacks, or says wrongly, is asked for by itself."""
    root = Block.of(encode({"links": [CID, Link.of(b"more")]}), DAG_CBOR)
    blocks = [root, Block(CID, DATA), Block.of(b"more")]
    uri, car = f"ipfs://{root.cid}", f"/ipfs/{root.cid}?format=car&dag-scope=all"
    with shelf() as gateway:
        gateway.things[car] = write_car([root.cid], blocks)
        context = given(gateway.url)
        outcome = run(context, uri, "handle/resolve", dag=True)
        assert (outcome.evidence["blocks"], len(gateway.asked)) == (3, 1)
        assert context.blocks.get(CID) == DATA

        gateway.things[RAW] = DATA
        whole = write_car([root.cid], blocks)
        for lacking in (write_car([root.cid], [blocks[0], blocks[2]]), whole.replace(DATA, DATA[::-1]), whole[:-9]):
            gateway.things[car] = lacking
            gateway.things[f"/ipfs/{Link.of(b'more')}?format=raw"] = b"more"
            gateway.things[f"/ipfs/{root.cid}?format=raw"] = root.data
            context = given(gateway.url)
            assert run(context, uri, "handle/resolve", dag=True).evidence["blocks"] == 3
            assert context.blocks.get(CID) == DATA
