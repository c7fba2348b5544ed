"""Which results are secret."""

from __future__ import annotations

import pytest
from plans import DOCUMENT, QUEUE, by_ability, job

from ipvm_queue.errors import DocumentError
from ipvm_queue.plan import compile_plan, load
from ipvm_queue.workflow import read


def secrets(jobs, private=lambda task: task.ability == "secret/get", **header):
    """Return the labels of the secret nodes of a document, and its plan."""
    document = {"header": header, "jobs": jobs} if header else jobs
    plan = compile_plan(read(document), QUEUE, DOCUMENT, safety=by_ability, private=private).plan
    return {node.label for node in plan if node.secret}


def effect(do, uri="ipvm:secret:a?secret=b", **more):
    """Return an effect job."""
    return {"type": "ipvm/effect", "with": uri, "do": do, **more}


@pytest.mark.parametrize("says", [{"public": False}, {"ipvm/config": {"secret": True}}])
def test_a_job_says_that_its_result_is_secret(says):
    """`public: false` and `secret: true` mean the same."""
    assert secrets({"a": job(1, **says), "b": job(2)}) == {"a"}


def test_the_header_says_it_for_every_job():
    """`secret` in the header holds for every job that does not say `public: true`."""
    jobs = {"a": job(1), "b": job(2, public=True)}

    assert secrets(jobs, config={"secret": True}) == {"a"}


def test_an_effect_that_is_private_by_nature_is_secret():
    """Nobody has to say it of `secret/get`."""
    assert secrets({"key": effect("secret/get"), "name": effect("crud/read", "dns://a.example")}) == {"key"}


@pytest.mark.parametrize(
    "takes",
    [
        {"input": [{"deep": [{"from": "key"}]}]},
        {"input": [{"await/error": {"from": "key"}}]},
        {"input": [{"await/*": {"from": "key"}}]},
        {"func": {"from": "key"}},
        {"with": {"from": "key"}, "func": "f"},
    ],
    ids=["argument", "error", "either", "func", "with"],
)
def test_what_is_made_of_secrets_is_secret(takes):
    """Every way in which a value is taken taints, however far down."""
    jobs = {"key": effect("secret/get"), "next": {**job(), **takes}, "last": job({"from": "next"}), "other": job(1)}

    assert secrets(jobs) == {"key", "next", "last"}


def test_on_taints_nothing():
    """What runs after a secret task takes no value of it."""
    jobs = {"key": effect("secret/get", on={"success": ["next"]}), "next": job(1)}

    assert secrets(jobs) == {"key"}


def test_public_ends_the_taint():
    """A job that says that its result is public publishes it, and what is made of it."""
    jobs = {"key": effect("secret/get"), "length": job({"from": "key"}, public=True), "last": job({"from": "length"})}

    assert secrets(jobs) == {"key"}


def test_secret_false_does_not_end_the_taint():
    """Only `public: true` publishes: `secret: false` stands in many examples as if it were the default."""
    jobs = {"key": effect("secret/get"), "next": job({"from": "key"}, **{"ipvm/config": {"secret": False}})}

    assert secrets(jobs) == {"key", "next"}


def test_what_is_private_by_nature_is_published_by_force_alone():
    """`public: true` alone is refused, with what to say; with `force: true` it is done."""
    with pytest.raises(DocumentError) as caught:
        secrets({"key": effect("secret/get", public=True)})
    (fault,) = caught.value.faults

    assert (fault.code, fault.path) == ("private", "key")
    assert "force" in fault.hint
    assert secrets({"key": effect("secret/get", public=True, force=True)}) == set()


@pytest.mark.parametrize(
    "says",
    [{"public": True, "ipvm/config": {"secret": True}}, {"force": True}, {"public": False, "force": True}],
    ids=["both", "force alone", "force and private"],
)
def test_contradictions_are_refused(says):
    """A job that says two things says nothing."""
    with pytest.raises(DocumentError) as caught:
        read({"a": job(1, **says)})

    assert [fault.code for fault in caught.value.faults] == ["conflict"]


def test_an_effect_that_nobody_judges_is_secret():
    """Without a registry's word every effect is private."""
    plan = compile_plan(read({"a": effect("crud/read", "dns://a.example")}), QUEUE, DOCUMENT, safety=by_ability).plan

    assert plan.node(0).secret


def test_the_handler_of_failures_is_secret_where_any_task_is():
    """`catch` is handed a failure, and errors may hold values; `public: true` is its author's word that they do not."""
    handler = {"type": "wasm/1.0", "with": job()["with"], "func": "f"}

    assert secrets({"key": effect("secret/get")}, catch=handler) == {"key", "catch"}
    assert secrets({"key": effect("secret/get")}, catch={**handler, "public": True}) == {"key"}
    assert secrets({"a": job(1)}, catch=handler) == set()


def test_a_plan_names_whom_secrets_are_for_if_it_has_any():
    """A plan with secrets says for whom they are sealed, when it is read again too; others say nothing."""
    plain = compile_plan(read({"a": job(1)}), QUEUE, DOCUMENT, safety=by_ability).plan
    document = {"header": {"requestor": "did:key:z6Mkowner"}, "jobs": {"a": job(1, public=False)}}
    plan = compile_plan(read(document), QUEUE, DOCUMENT, safety=by_ability).plan
    again = load(plan.data, dict.__getitem__)

    assert plain.owner is None
    assert again.owner == "did:key:z6Mkowner"
    assert again.node(0).secret


def test_secret_work_is_nobody_elses():
    """A secret node's Task is neither looked up nor remembered for others."""
    plan = compile_plan(read({"a": job(1, public=False), "b": job(1)}), QUEUE, DOCUMENT, safety=by_ability).plan

    assert [(node.pure, node.shared) for node in plan] == [(True, False), (True, True)]
