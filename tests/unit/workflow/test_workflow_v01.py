"""Workflow v0.1 documents become the same model."""

import json

import pytest
from documents import MODULE, faults_of, read_json, unplaced

from ipvm_queue.crypto import Signer
from ipvm_queue.errors import SignatureError
from ipvm_queue.ipld import Link
from ipvm_queue.workflow import Config, Promise, read, sign

INVOCATION = {
    "v": "0.1.0",
    "nnc": "02468",
    "prf": [{"/": MODULE}],
    "run": {
        "notify-bob": {
            "with": "mailto://alice@example.com",
            "do": "msg/send",
            "inputs": [{"to": "bob@example.com", "body": "Hello"}],
            "meta": {"ipvm/config": {"time": [30, "minutes"], "secret": True}, "note": "x"},
        },
        "calculate": {
            "with": f"wasm:1:{MODULE}",
            "do": "ipvm/run",
            "inputs": {"func": "calc", "args": [1, {"c": {"ucan/promise": ["/", "notify-bob"]}}]},
            "ipvm/config": {"gas": 7},
        },
    },
}


def document(tasks=INVOCATION, **fields):
    """Return a workflow around an invocation."""
    return {"ipvm/workflow": {"v": "0.1.0", "tasks": tasks, **fields}}


@pytest.mark.parametrize("tasks", [INVOCATION, {"ucan/invoke": INVOCATION}], ids=["plain", "tagged"])
def test_tasks_of_an_invocation_are_read(tasks):
    """Effects and Wasm calls of an invocation are tasks, with their own configuration and meta."""
    read_tasks = read_json(document(tasks)).tasks
    notify, calculate = read_tasks["notify-bob"], read_tasks["calculate"]

    assert (notify.kind, notify.ability, notify.resource) == ("effect", "msg/send", "mailto://alice@example.com")
    assert notify.args == {"to": "bob@example.com", "body": "Hello"}
    assert (notify.config.time, notify.config.secret, notify.meta) == (1800, True, {"note": "x"})
    assert (calculate.kind, calculate.func, calculate.resource) == ("wasm", "calc", Link.parse(MODULE))
    assert calculate.args == [1, {"c": Promise(label="notify-bob")}]
    assert calculate.config.gas == 7


@pytest.mark.parametrize("name", ["config", "global"])
def test_the_envelope_becomes_the_header(name):
    """Job-wide configuration, defaults, catch, meta, nonce and proofs are those of a header."""
    fields = {name: {"time": [10, "minutes"], "gas": 1}, "defaults": {"gas": 1000}, "meta": {"tags": ["a"]}}
    workflow = read_json(document(parent=None, catch=MODULE, **fields))

    assert workflow.tasks["calculate"].config == Config(time=600, gas=7)
    assert workflow.tasks["notify-bob"].config.gas == 1000
    assert (workflow.meta, workflow.nonce, workflow.proofs) == ({"tags": ["a"]}, b"02468", (Link.parse(MODULE),))
    assert workflow.catch is not None
    assert workflow.catch.resource == Link.parse(MODULE)


def test_it_is_signed_as_a_job_document():
    """The submitter signs the job document that it amounts to, which reads back as the same tasks."""
    signed = sign(read_json(document()), Signer.generate())

    assert unplaced(read(signed.document)) == unplaced(signed)


@pytest.mark.parametrize("name", ["signature", "sig"])
def test_a_signature_without_a_signer_is_refused(name):
    """The draft does not say who signed, so a signature in it cannot be taken on trust."""
    with pytest.raises(SignatureError):
        read_json({**document(), name: {"/": {"bytes": "AAAA"}}})


def test_faults_stand_where_this_document_has_them():
    """Paths, lines and columns are those of the workflow document, not of what it was rewritten to."""
    text = json.dumps(document(**{"global": {"time": -1}}), indent=1)
    text = text.replace('"calc"', "3").replace('"/",\n', '"/", "nobody"], "x": [\n', 1)
    text = text.replace('"minutes"', '"minuets"').replace('"gas": 7', '"gas": 0').replace('"Hello"', '{"await/ok": 1}')

    faults = faults_of(text)
    lines = text.splitlines()

    run = '["ipvm/workflow"].tasks.run'
    assert [(fault.path, lines[fault.line - 1][fault.column - 1 :].strip()) for fault in faults] == [
        (f'{run}.notify-bob.inputs[0].body["await/ok"]', "1}"),
        (f'{run}.notify-bob.meta["ipvm/config"].time[1]', '"minuets"'),
        (f"{run}.calculate.inputs.func", "3,"),
        (f"{run}.calculate.inputs.args[1].c", "{"),
        (f'{run}.calculate["ipvm/config"].gas', "0"),
        ('["ipvm/workflow"].global.time', "-1"),
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({**document(), "more": 1}, "unknown-field"),
        (document(more=1), "unknown-field"),
        (document({"run": INVOCATION["run"], "nonce": 1}), "unknown-field"),
        (document({"run": {"a": {"do": "wasm/run", "with": MODULE, "args": []}}}), "unknown-field"),
        (document({"run": {"a": {"do": "wasm/run", "with": MODULE, "inputs": {"arg": []}}}}), "unknown-field"),
        (document({"run": {"a": {"do": "crud/read"}}}), "missing-field"),
        (document({"run": {}}), "no-jobs"),
        ({"ipvm/workflow": 1}, "wrong-type"),
        (document({"run": {"a": 1}}), "wrong-type"),
        (document(config={}, **{"global": {}}), "conflict"),
    ],
)
def test_mistakes_of_form_are_faults(changed, code):
    """Unknown and missing fields are named in the words of this format."""
    assert code in {fault.code for fault in faults_of(changed)}
