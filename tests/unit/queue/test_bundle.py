"""Bundles: what a receipt proves offline, and what each attack on one is called."""

from __future__ import annotations

import pytest
from bundle_attacks import ATTACKS, one, resigned
from bundles import (
    ELSE,
    JOBS,
    LONG,
    MALLORY,
    OTHER_WORKER,
    Q,
    S,
    U,
    W,
    World,
    dlg,
    flaw,
    flipped,
    handed,
    inv,
    task,
    verify,
)
from principals import NOW, principal

from ipvm_queue.ipld import DAG_CBOR, Link, encode
from ipvm_queue.queue.verdict import Verdict
from ipvm_queue.ucan import Container, Invocation, MalformedError, issue, task_link

WHOLE = World()


NAMES = list(WHOLE.members())


def test_a_whole_bundle_holds():
    """Every step of every receipt holds, and the receipt that nothing rests on comes first."""
    report = verify(WHOLE.bundle())

    assert report.holds
    assert [each.labels for each in report.findings] == [("c",), ("a",), ("b",)]
    assert [each.is_input for each in report.findings] == [False, True, True]
    assert report.unused == ()
    steps = ["receipt", "service", "queue", "hand-out", "pop", "push", "job", "task", "grants", "time", "revocation"]
    assert [step.name for step in report.findings[0].steps] == steps
    assert report.findings[0].steps[-1].verdict == Verdict.UNKNOWN
    top = report.findings[0]
    assert (top.worker, top.service, top.queue, top.requestor) == (W.did, S.did, Q.did, U.did)
    assert top.out == {"ok": "c is done"}


def test_the_order_of_members_says_nothing():
    """A container may have its members in any order."""
    members = [*WHOLE.members().values()]

    assert verify(b"@" + encode({"ctn-v1": members})).holds
    assert verify(b"@" + encode({"ctn-v1": members[::-1]})).holds


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_member_is_missing(name):
    """Whatever is left out, the bundle does not hold, and says so."""
    found = verify(WHOLE.bundle(without=[name])).flaw

    assert found is not None
    assert found.verdict == Verdict.MISSING


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [20, -1, 80])
def test_a_changed_member_is_altered(name, place):
    """A bit that is changed, in a signature, at the end, in a header, is told from a member that is not there."""
    data = WHOLE.members()[name]
    found = verify(WHOLE.bundle(instead={name: flipped(data, place % len(data))})).flaw

    assert found is not None
    assert found.verdict in (Verdict.ALTERED, Verdict.MALFORMED)


def test_a_bundle_without_receipts_is_none():
    """An empty container proves nothing."""
    assert flaw(Container.of([]).write()) == ("receipt", Verdict.MISSING)
    with pytest.raises(MalformedError):
        verify(b"no container")


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_has_a_name(attack):
    """Each member that is not what it should be fails in its own step, with its own word."""
    given, expected = ATTACKS[attack]

    assert flaw(one(**given).bundle()) == expected


@pytest.mark.parametrize(("network", "expected"), [([], None), (["https://a.test"], ("grants", Verdict.DELEGATED))])
def test_what_a_task_uses_beside_itself_is_judged_too(network, expected):
    """Who may have a guest run, and read nothing over HTTPS, may not have it read there."""
    asked = {"type": "ipvm/effect", "with": f"wasi:{ELSE}", "do": "wasi/query", "inputs": {"network": network}}
    seven = dlg(S, U, S, "/", policy=[["not", ["like", ".uri?", "https://*"]]])

    assert flaw(World({"a": asked}, **{"7": seven}).bundle(label="a")) == expected


def test_a_queue_of_somebody_s_own_is_none():
    """Who is let by no service to pass its signing on hands nothing out."""
    world = one(queue=MALLORY)
    world.tokens["2"] = dlg(S, Q, S, "/ucan/proxy/sign")
    word = world.say("/wasm/run", world.words["a"].args["ran"], world.words["a"].args["rcpt"])

    assert flaw(world.bundle(instead={"13s.a": word.data})) == ("service", Verdict.DELEGATED)


def test_a_user_who_may_have_any_work_done_vouches_for_none():
    """Whoever may do everything on the service (7) passes its signing on to no queue and worker of its own."""
    own_queue, own_worker = principal("mallory's queue"), principal("mallory's worker")
    work, sign = dlg(S, MALLORY, S, "/"), dlg(MALLORY, own_queue, S, "/ucan/proxy/sign")

    class Forged(World):
        def say(self, command, ran, receipts, **_):
            proofs = [work, sign, self.tokens["4"]]
            return super().say(command, ran, receipts, proofs=proofs)

    world = Forged(
        {"a": task(1)},
        worker=own_worker,
        queue=own_queue,
        **{
            "1": dlg(own_queue, MALLORY, own_queue, "/queue/push"),
            "2": sign,
            "9": lambda t: inv(MALLORY, own_queue, "/queue/push", {"inv": t["8"].link}, t["1"]),
        },
    )
    world.tokens["7 of mallory"] = work

    assert flaw(world.bundle(label="a")) == ("service", Verdict.DELEGATED)


def test_a_service_that_lets_a_worker_sign_by_itself_has_no_queue():
    """Without a queue between them nobody has handed anything out."""
    world = one()
    direct = dlg(S, W, S, "/ucan/proxy/sign")
    args = world.words["a"].args
    word = world.say("/wasm/run", args["ran"], args["rcpt"], proofs=[direct])

    assert flaw(world.bundle(instead={"13s.a": word.data, "4": direct.data})) == ("queue", Verdict.DELEGATED)


def test_a_result_cannot_be_swapped_under_the_service_s_word():
    """13s names one receipt: another of the same Task is another."""
    world = one()
    link, data = issue(W, world.receipts["a"].args["ran"], {"ok": "else"}, {}, NOW + 5, cause=world.receipts["a"].cause)

    assert link != world.receipts["a"].link
    assert flaw(world.bundle(instead={"13r.a": data})) == ("service", Verdict.SWAPPED)


def test_a_receipt_of_another_task_is_none_of_the_job():
    """A worker that was handed a job may not answer what is not in it."""
    world = one()
    other = task_link(Q.did, "/wasm/run", {"mod": ELSE, "fun": "f", "params": []}, b"")

    assert flaw(world.bundle(instead=resigned(world, ran=other))) == ("task", Verdict.SWAPPED)


def test_a_worker_cannot_claim_inputs_that_it_did_not_have():
    """A reified Task follows from its inputs' receipts, or the receipt does not hold."""
    wrong = World()
    args = {"mod": ELSE, "fun": "f", "params": ["made up", 2]}
    link, data = issue(
        W,
        task_link(Q.did, "/wasm/run", args, b""),
        {"ok": 1},
        {"under": [wrong.receipts["a"].link]},
        NOW + 5,
        cause=wrong.tokens["11"].link,
    )
    word = wrong.say("/wasm/run", [Invocation.parse(data).args["ran"]], [link])

    assert flaw(wrong.bundle(label="b", instead={"13r.b": data, "13s.b": word.data})) == ("task", Verdict.SWAPPED)


def test_what_an_input_breaks_breaks_what_rests_on_it():
    """A result holds only where everything below it does."""
    world = World()
    wrong = resigned(world, at=NOW - 1000)
    report = verify(world.bundle(label="a", instead=wrong))
    assert report.flaw is not None

    below = verify(World(at=NOW + 3600).bundle())
    assert [each.flaw.name for each in below.findings if each.flaw] == ["task", "time", "task"]
    assert "does not hold: time" in below.findings[0].flaw.detail


def test_the_service_s_word_has_its_proofs_root_first():
    """The same proofs leaf first are told from wrong ones."""
    world = one()
    args = world.words["a"].args
    word = world.say("/wasm/run", args["ran"], args["rcpt"], proofs=[world.tokens["4"], world.tokens["2"]])

    assert flaw(world.bundle(instead={"13s.a": word.data})) == ("service", Verdict.REORDERED)


def test_one_word_for_several_receipts_keeps_them_in_order():
    """One signature may cover what was settled together; a Task beside another's receipt is told."""
    world = World({"a": task(1), "b": task(2)})
    ran = [world.receipts[each].args["ran"] for each in "ab"]
    receipts = [world.receipts[each].link for each in "ab"]
    good, crossed = (world.say("/wasm/run", some, receipts).data for some in (ran, ran[::-1]))

    assert verify(world.bundle(without=["13s.b"], instead={"13s.a": good})).holds
    assert verify(world.bundle(without=["13s.b", "13r.b"], instead={"13s.a": good})).holds
    assert flaw(world.bundle(without=["13s.b"], instead={"13s.a": crossed})) == ("service", Verdict.REORDERED)


def test_the_service_s_word_is_for_the_task_s_command():
    """A policy on `.cmd` binds, for what the word says is what was done."""
    world = one()
    args = world.words["a"].args
    word = world.say("/crud/update", args["ran"], args["rcpt"])

    assert flaw(world.bundle(instead={"13s.a": word.data})) == ("task", Verdict.SWAPPED)


def test_a_word_of_another_worker_is_not_the_worker_s():
    """Whoever answers for the service is who signed the receipt."""
    world = one()
    args = world.words["a"].args
    four = dlg(Q, OTHER_WORKER, S, "/ucan/proxy/sign")
    word = world.say("/wasm/run", args["ran"], args["rcpt"], OTHER_WORKER, [world.tokens["2"], four])

    assert flaw(world.bundle(instead={"13s.a": word.data, "4": four.data})) == ("service", Verdict.DELEGATED)


def test_a_pop_with_another_s_nonce_does_not_take_its_hand_out():
    """Two pops may be one Task; the hand-out names the invocation."""
    stall = {"name": "w", "queues": ["ipvm.wasm"], "slots": 1}
    theirs = inv(OTHER_WORKER, Q, "/queue/pop", stall, dlg(Q, OTHER_WORKER, Q, "/queue/pop"))
    mine = one()
    assert mine.tokens["10"].task == theirs.task

    stolen = one(**{"11": lambda t: handed(t, pop=theirs.link)})
    assert flaw(stolen.bundle()) == ("pop", Verdict.SWAPPED)


def test_what_was_pushed_late_is_judged_when_it_was_pushed():
    """A push is good for minutes; a worker that comes an hour later is handed the job all the same."""
    late = {"lease": NOW + 3700}
    world = one(at=NOW + 3605, **{"11": lambda t: handed(t, at=NOW + 3600, meta=late)})

    assert verify(world.bundle()).holds


def test_a_task_may_end_after_the_lease_that_it_began_in():
    """What may take five minutes (and may, where a job says nothing) began within the lease."""
    assert verify(one(at=NOW + 400).bundle()).holds
    assert flaw(one(at=NOW + 500).bundle()) == ("time", Verdict.EXPIRED)


def test_clocks_may_differ_by_a_minute():
    """The worker's clock is not the queue's."""
    assert verify(one(at=NOW - 50).bundle()).holds
    assert flaw(one(at=NOW - 70).bundle()) == ("time", Verdict.EARLY)


def test_a_large_result_is_in_a_block():
    """The Result that a receipt links to has to be there, and unchanged."""
    world = one()
    big = encode({"ok": "x" * 4000})
    changed = resigned(world, out=Link.of(big, DAG_CBOR)) | {"out": big}

    report = verify(world.bundle(instead=changed))
    assert report.holds
    assert report.findings[0].out == {"ok": "x" * 4000}
    assert flaw(world.bundle(instead={**changed, "out": flipped(big)})) == ("receipt", Verdict.ALTERED)
    assert flaw(world.bundle(instead=changed | {"out": b"\xa0"})) == ("receipt", Verdict.ALTERED)
    del changed["out"]
    assert flaw(world.bundle(instead=changed)) == ("receipt", Verdict.MISSING)


def test_a_task_that_did_not_run_says_so_under_its_promise():
    """A receipt for the address that has the promises is an error, never a value."""
    world = World()
    (node,) = [node for node in world.plan if node.label == "b"]

    refused = resigned(world, "b", ran=node.task, out={"error": {"reason": "branch mismatch"}})
    assert verify(world.bundle(label="b", instead=refused)).holds
    claimed = resigned(world, "b", ran=node.task, out={"ok": 1})
    assert flaw(world.bundle(label="b", instead=claimed)) == ("task", Verdict.SWAPPED)


def test_a_bundle_has_so_many_values():
    """Blocks of a megabyte each, which may take seventy times as much memory, are no bundle together."""
    blocks = [encode([number, *[0] * 1_100_000]) for number in range(8)]

    assert verify(Container.of([*WHOLE.members().values(), *blocks[:2]]).write()).holds
    with pytest.raises(MalformedError, match="values"):
        verify(Container.of([*WHOLE.members().values(), *blocks]).write())


def test_all_policies_of_a_bundle_are_judged_within_one_measure():
    """What would take long to judge of each of many receipts is not judged of all of them."""
    policy = [["all", ".params[0]", ["and", [["!=", ".", -1]] * 50]]]
    seven = dlg(S, U, S, "/", policy=[["or", [["not", ["like", ".fun", "*"]], *policy]]])

    assert verify(World({"a": task([1] * 10_000)}, **{"7": seven}).bundle(label="a")).holds
    several = World({name: task([1] * 10_000, name) for name in "abc"}, **{"7": seven})
    assert flaw(several.bundle()) == ("grants", Verdict.DELEGATED)


def asked_for_often(jobs):
    """Return the bundle of a receipt of each of a dozen runs of one signed job."""
    link = Link.of(World(jobs).document, DAG_CBOR)

    def eight(number):
        nonce = number.to_bytes(12, "big")
        return lambda t: inv(U, S, "/ipvm/run", {"job": link}, t["7"], nonce=nonce, expiration=LONG)

    worlds = [World(jobs, **{"8": eight(number)}) for number in range(12)]
    return Container.of(data for world in worlds for data in world.members(label="a").values()).write()


def test_a_job_is_compiled_once_however_often_it_was_asked_for():
    """A large job of pure tasks is the same in each of its runs; one with queries, which are not, has its measure."""
    large = {"long": task("x" * 500_000)}
    query = {"type": "ipvm/effect", "with": "dns://example.com?TYPE=A", "do": "crud/read"}

    report = verify(asked_for_often({"a": task(1)} | large))
    assert report.holds
    assert len(report.findings) == 12
    assert verify(asked_for_often({"a": query})).holds
    assert flaw(asked_for_often({"a": query} | large)) == ("job", Verdict.MALFORMED)


def test_a_thousand_receipts_are_read_in_linear_time():
    """A chain of many tasks is walked without recursion."""
    jobs = {"n0": task(0)} | {f"n{i}": task({"from": f"n{i - 1}"}) for i in range(1, 300)}
    world = World(jobs)

    report = verify(world.bundle(label="z"))

    assert report.holds
    assert len(report.findings) == 300


def test_members_that_belong_to_nothing_are_told():
    """A bundle with something more in it holds, and what is more is named."""
    more = dlg(MALLORY, W, MALLORY, "/x")
    report = verify(WHOLE.bundle(instead={"more": more.data}))

    assert report.holds
    assert report.unused == (more.link,)


def test_jobs_are_ordered_as_the_world_has_them():
    """The helper's job is the one that these tests speak of."""
    assert list(JOBS) == ["a", "b", "c"]
