"""Receipts of another queue handed to a real gate: a bundle in which anything is wrong is not taken in."""

from __future__ import annotations

import pytest
from bundle_attacks import ATTACKS, one, resigned
from bundles import ELSE, MALLORY, OTHER_WORKER, REGISTRY, Q, S, W, World, dlg, flipped, handed, inv, task
from gates import Request, cid, delegation, invocation
from modules import salt
from principals import NOW

from ipvm_queue.ipld import Link
from ipvm_queue.queue.bundle import verify
from ipvm_queue.ucan import Container, issue, task_link

pytestmark = pytest.mark.integration

WHOLE = World()


def handing(parties, bundle, **changes):
    """Return a request to take in a bundle."""
    again = delegation(parties.service, parties.user.did, parties.queue.did, "/queue/push")
    link = Link.of(bundle)
    chain = changes.pop("chain", [parties.one, again])
    given = {"subject": parties.queue.did, "command": "/queue/push/receipts", "args": {"bundle": link}, **changes}
    asked = invocation(given.pop("by", parties.user), proofs=chain, **given)
    return Request({"asked": asked, **{f"proof {i}": each for i, each in enumerate(chain)}}, {link: bundle})


def test_a_good_bundle_is_taken_in(parties):
    """What the attacks below change is a bundle that is taken in, and wakes who waits for its Task."""
    world = World({"far": task(salt())})
    ran, receipt = world.receipts["far"].args["ran"], world.receipts["far"].link
    document = parties.document(waits=parties.task("add", {"await/ok": {"/": str(ran)}}, 1))
    run = parties.ask(parties.push(document=document))["ok"]["run"]

    assert parties.ask(handing(parties, world.bundle(label="z")))["ok"]["receipts"] == [receipt]

    with parties.stack.client() as client:
        assert client.run(run).wait(60)["waits"].state == "error"  # it is a text, and `add` wants numbers
        assert client.receipts.of_tasks([ran])[0].receipt == receipt


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_a_bundle_is_refused(parties, attack):
    """A token of another, for another, at another time, of another kind: whatever it is, nothing is taken in."""
    given, (step, verdict) = ATTACKS[attack]

    error = parties.refuses(handing(parties, one(**given).bundle()), "InvalidClaim")

    assert f"{step}: {verdict}: " in error["message"]


@pytest.mark.parametrize("name", WHOLE.members())
def test_every_member_of_a_bundle_counts(parties, name):
    """A bundle that lacks one, or in which a bit of one was turned, is taken for nothing."""
    parties.refuses(handing(parties, WHOLE.bundle(without=[name])), "InvalidClaim")
    turned = flipped(WHOLE.members()[name])
    parties.refuses(handing(parties, WHOLE.bundle(instead={name: turned})), "InvalidClaim")


def test_that_a_task_was_skipped_elsewhere_is_not_taken_in(parties):
    """Who waits for a Task waits on when a genuine receipt comes that says that it was not run in some other job."""
    value = salt()
    lazy = parties.document(t=parties.task("add", value, 2), first=parties.task("add", salt(), 1, on={"error": ["t"]}))
    skipping = parties.ask(parties.push(document=lazy))["ok"]["run"]
    with parties.stack.client() as client:
        skipped = client.run(skipping).wait(60)["t"]
        bundle = client.bundle([skipped.receipt])
        waits = parties.document(waits=parties.task("add", {"await/ok": {"/": str(skipped.task)}}, 1))
        waiting = parties.ask(parties.push(document=waits))["ok"]["run"]

        assert parties.ask(handing(parties, bundle)) == {"ok": {"receipts": []}}

        assert client.receipts.of_tasks([skipped.task]) == [None]
        eager = parties.push(document=parties.document(t=parties.task("add", value, 2)))
        assert verify(bundle, REGISTRY).holds
        mine = Container.of([*Container.read(bundle).tokens.values(), *eager.blocks.values(), *eager.members.values()])
        assert verify(mine.write(), REGISTRY, eager.members["eight"]).flaw.name == "asked"
        assert "ok" in parties.ask(eager)
        assert client.run(waiting).wait(60)["waits"].ok == value + 3


def test_a_receipt_of_a_skipped_task_is_there_for_what_rests_on_it(parties):
    """What was made of a skipped task's error is taken in for what it is, with the service's word for that error."""
    jobs = {"first": task(salt(), on={"error": ["t"]}), "t": task(2), "uses": task({"await/*": {"from": "t"}})}
    world = World(jobs, came={"t": ({"error": {"code": "skipped"}}, {"unrun": "skipped"})})
    uses = world.receipts["uses"]
    (promised,) = [node.task for node in world.plan if node.label == "uses"]

    taken = parties.ask(handing(parties, world.bundle(label="z")))["ok"]["receipts"]
    assert {*taken} == {world.receipts["first"].link, uses.link}

    with parties.stack.client() as client:
        entry, nothing = client.receipts.of_tasks([uses.args["ran"], promised])
        assert (entry.receipt, nothing) == (uses.link, None)
    word = parties.stack.redis.get(parties.keys.proxy(world.receipts["t"].link))
    assert word.startswith(world.words["t"].link.bytes)


def swapped_result():
    """Return a bundle with another Result of the same Task under the service's word."""
    world = one()
    old = world.receipts["a"]
    return world.bundle(instead={"13r.a": issue(W, old.args["ran"], {"ok": "else"}, {}, NOW + 5, cause=old.cause)[1]})


def another_task():
    """Return a bundle with a receipt of a Task that is none of the job's."""
    world = one()
    return world.bundle(instead=resigned(world, ran=task_link(Q.did, "/wasm/run", {"mod": ELSE}, b"")))


def leaf_first():
    """Return a bundle in which the service's word has its proofs the wrong way round."""
    world = one()
    args = world.words["a"].args
    word = world.say("/wasm/run", args["ran"], args["rcpt"], proofs=[world.tokens["4"], world.tokens["2"]])
    return world.bundle(instead={"13s.a": word.data})


def stolen_nonce():
    """Return a bundle of a worker that copied another one's pop to the nonce, and took its hand-out."""
    stall = {"name": "w", "queues": ["ipvm.wasm"], "slots": 1}
    theirs = inv(OTHER_WORKER, Q, "/queue/pop", stall, dlg(Q, OTHER_WORKER, Q, "/queue/pop"))
    return one(**{"11": lambda tokens: handed(tokens, pop=theirs.link)}).bundle()


def own_queue():
    """Return a bundle of Mallory's own queue, which no service lets pass its signing on."""
    world = one(queue=MALLORY)
    world.tokens["2"] = dlg(S, Q, S, "/ucan/proxy/sign")
    args = world.words["a"].args
    return world.bundle(instead={"13s.a": world.say("/wasm/run", args["ran"], args["rcpt"]).data})


@pytest.mark.parametrize("make", [swapped_result, another_task, leaf_first, stolen_nonce, own_queue])
def test_what_was_put_together_from_good_parts_is_refused(parties, make):
    """Every token is well signed by somebody, and what they say together is not so."""
    parties.refuses(handing(parties, make()), "InvalidClaim")


REQUESTS = {
    "no bundle": (lambda p: handing(p, b"no bundle"), "Malformed"),
    "a bundle of nothing": (lambda p: handing(p, Container.of([]).write()), "InvalidClaim"),
    "stolen proofs": (lambda p: handing(p, WHOLE.bundle(), by=p.mallory), "InvalidAudience"),
    "no proofs": (lambda p: handing(p, WHOLE.bundle(), chain=[]), "InvalidClaim"),
    "a grant to pop": (
        lambda p: handing(p, WHOLE.bundle(), chain=[delegation(p.queue, p.user.did, p.queue.did, "/queue/pop")]),
        "ImpossibleAttenuation",
    ),
    "a grant to push receipts that are something else": (
        lambda p: handing(
            p, WHOLE.bundle(), chain=[delegation(p.queue, p.user.did, p.queue.did, "/queue/push/receiptsall")]
        ),
        "ImpossibleAttenuation",
    ),
    "without end": (lambda p: handing(p, WHOLE.bundle(), exp=None), "InvalidClaim"),
    "text for a link": (lambda p: handing(p, WHOLE.bundle(), args={"bundle": "x"}), "MalformedArguments"),
    "not brought": (lambda p: handing(p, WHOLE.bundle(), args={"bundle": ELSE}), "missing-block"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_who_may_not_push_hands_nothing_over(parties, name):
    """The request stands on the same rules as a push."""
    make, *rules = REQUESTS[name]
    parties.refuses(make(parties), *rules)


def test_a_bundle_that_came_before_is_refused(parties):
    """The same request under another id is a replay; nothing of it is taken in again."""
    request = handing(parties, World({"x": task(salt())}).bundle(label="z"))
    assert "ok" in parties.ask(request)

    parties.refuses(request, "Replay")


def test_what_is_revoked_elsewhere_is_not_known_here(parties):
    """A delegation of another queue is none of the gate's business: it does not remember it, nor judge by it."""
    two = dlg(S, Q, S, "/ucan/proxy/sign", nonce=b"taken back  ")
    bundle = World({"y": task(salt())}, **{"2": two}).bundle(label="z")
    revocation = invocation(S, S.did, "/ucan/revoke", {"revoke": cid(two.data)}, [], nonce=b"", exp=None)

    parties.refuses(Request({"asked": revocation, "witness": two.data}), "InvalidClaim")

    assert "ok" in parties.ask(handing(parties, bundle))
