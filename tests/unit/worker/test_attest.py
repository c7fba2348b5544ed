"""What a worker signs: its receipts, and that the service stands by them."""

from __future__ import annotations

from time import time

import pytest
from diagram import DOCUMENT, NOW, PLAN, QUEUE, SERVICE, WORKER, Diagram, delegate
from plans import plan_of

from ipvm_queue.ipld import DAG_CBOR, Link, decode
from ipvm_queue.queue.grants import Grants
from ipvm_queue.store import Keys, RedisBlocks, Settlement, connect
from ipvm_queue.ucan import Invocation, Validator, read
from ipvm_queue.ucan.envelope import MAX_TOKEN_BYTES
from ipvm_queue.worker.attest import Scribe
from ipvm_queue.worker.authority import Mandate
from ipvm_queue.worker.papers import Handed, proxy_chain, read_asked

CAUSE = Link.of(b"a hand-out", DAG_CBOR)
WASM, EFFECT, *_ = plan_of({"a": {"type": "wasm/1.0", "with": str(Link.of(b"m")), "func": "f", "input": []},
                        "b": {"type": "ipvm/effect", "with": "dns://example.com", "do": "dns/resolve"}})  # fmt: skip


@pytest.fixture
def blocks(stack):
    """Return blocks of the test's own."""
    redis = connect(stack.url)
    yield RedisBlocks(redis, Keys("attest"))
    redis.delete(*redis.keys("{ipvm:attest}:*"), "{ipvm:attest}:")
    redis.close()


def mandate(diagram):
    """Return the mandate of a diagram's run."""
    validator = Validator()
    asked = read_asked(diagram.papers, DOCUMENT, QUEUE.did, validator, now=NOW, revoked=())
    proxies = proxy_chain(diagram.standing, SERVICE.did, validator, now=NOW, revoked=())
    grants = Grants(asked.tokens, asked.service, asked.job.iss, validator)
    return Mandate(asked, Handed(CAUSE, NOW + 120, PLAN), proxies, grants)


def scribe(blocks, diagram):
    """Return who signs for a diagram's run."""
    found = Scribe(WORKER, blocks)
    found.mandate = mandate(diagram)
    return found


def settled(scribe, node, number, **meta):
    """Return a settlement of a new receipt."""
    task = Link.of(b"task %d" % number, DAG_CBOR)
    record, receipt = scribe.sign(node, task, {"ok": number}, "ok", meta)
    return Settlement(number, record, receipt, [task], True, False, False, [])  # noqa: FBT003


def test_one_signature_covers_all_receipts_of_a_command(blocks):
    """Each receipt stands in one token, beside its Task; each token is valid by itself, with the chain alone."""
    diagram = Diagram()
    signing = scribe(blocks, diagram)
    done = [settled(signing, WASM if number % 3 else EFFECT, number) for number in range(1, 10)]

    tokens = signing.attest(done)

    assert len(tokens) == 2
    said = {}
    for token in tokens:
        chain = {proof.link: proof.data for proof in (diagram.two, diagram.four)}
        invocation = Validator().invocation(token.data, chain, now=NOW, audience=SERVICE.did).invocation
        assert (invocation.iss, invocation.nonce, invocation.exp) == (WORKER.did, b"", None)
        assert abs(invocation.iat - time()) < 60
        args = invocation.args
        assert token.link == invocation.link
        said |= {receipt: (args["cmd"], ran) for ran, receipt in zip(args["ran"], args["rcpt"], strict=True)}
    for each in done:
        command = "/wasm/run" if each.node % 3 else "/dns/resolve"
        assert said[each.record.receipt] == (command, each.tasks[0])
        receipt = read(each.receipt)
        assert (receipt.cause, receipt.ran) == (CAUSE, each.tasks[0])


def test_a_receipt_that_was_found_is_not_signed_again(blocks):
    """A receipt of another run has its token already."""
    signing = scribe(blocks, Diagram())
    made = settled(signing, WASM, 1)

    assert signing.attest([made._replace(receipt=b"")]) == []


def test_tokens_stay_small(blocks):
    """A settlement of many receipts takes several tokens, each below the limit of all tokens."""
    signing = scribe(blocks, Diagram())
    done = [settled(signing, WASM, number) for number in range(700)]

    tokens = signing.attest(done)

    assert [receipt for token in tokens for receipt in token.receipts] == [each.record.receipt for each in done]
    assert len(tokens) == 3
    assert max(len(token.data) for token in tokens) < MAX_TOKEN_BYTES


def test_policies_are_met_by_a_token_for_each_receipt(blocks):
    """Where the right to sign has policies, they hold for every token."""
    single = delegate(QUEUE, WORKER, SERVICE, "/ucan/proxy/sign", policy=[["==", ".ran[1]?", None]])
    diagram = Diagram(four=single)
    signing = scribe(blocks, diagram)

    tokens = signing.attest([settled(signing, WASM, number) for number in range(3)])

    chain = {proof.link: proof.data for proof in (diagram.two, single)}
    assert len(tokens) == 3
    assert all(Validator().invocation(token.data, chain, now=NOW).settled for token in tokens)


@pytest.mark.parametrize("count", [0, 1, 32, 33, 5000])
def test_a_receipt_names_those_that_its_inputs_came_from(blocks, count):
    """A reader can walk down from a result to what it rests on; a long list stands in a block of its own."""
    receipts = tuple(Link.of(b"receipt %d" % number, DAG_CBOR) for number in range(count))
    signing = scribe(blocks, Diagram())
    made = settled(signing, WASM, 1, **signing.under(receipts))

    under = read(made.receipt).meta.get("under", [])

    assert list(receipts) == (decode(blocks.get(under)) if isinstance(under, Link) else under)
    assert len(made.receipt) < MAX_TOKEN_BYTES


def test_a_token_is_an_invocation_like_any_other(blocks):
    """It has the fields that the specification names, and no other."""
    signing = scribe(blocks, Diagram())
    (token,) = signing.attest([settled(signing, WASM, 1)])

    assert Invocation.parse(token.data).args.keys() == {"cmd", "ran", "rcpt"}
