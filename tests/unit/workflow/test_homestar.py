"""Homestar workflows become the same model."""

from base64 import b32hexdecode

import pytest
from documents import MODULE, faults_of, read_json, unplaced

from ipvm_queue.crypto import Signer
from ipvm_queue.ipld import Link
from ipvm_queue.workflow import Config, Promise, read, sign
from ipvm_queue.workflow.homestar import instruction_cid


def instruction(*args, func="add_one", nonce=""):
    """Return an instruction of Homestar."""
    return {"input": {"args": list(args), "func": func}, "nnc": nonce, "op": "wasm/run", "rsc": f"ipfs://{MODULE}"}


def document(*runs, **meta):
    """Return a workflow of instructions."""
    return {"tasks": [{"cause": None, "meta": meta, "prf": [], "run": run} for run in runs]}


def link(run):
    """Return the link by which a promise names an instruction."""
    return {"/": str(instruction_cid(run))}


def test_instructions_are_named_as_homestar_names_them():
    """An instruction's CID is the one that the reference implementation prints for it."""
    module = "bafkreidgxzucs63ums2yhzs4unin5a3vjemapc373rypon63kdp5xoqlzm"
    run = {**instruction(1), "rsc": f"ipfs://{module}"}

    assert str(instruction_cid(run)) == "bafyrmigpbec3fpc64hxkehxkszctb5f5roylk5ej2t2qgfylf64gpdn54m"


@pytest.mark.parametrize(("tag", "branch"), [("await/ok", "ok"), ("await/error", "error"), ("await/*", "*")])
def test_awaits_of_this_document_become_promises_of_labels(tag, branch):
    """A promise on an instruction of the same document is an edge of the graph, at any depth."""
    first = instruction(1)
    second = instruction({tag: link(first)}, [{tag: link(first)}])
    tasks = read_json(document(first, second)).tasks

    assert list(tasks) == ["add_one-0", "add_one-1"]
    assert tasks["add_one-1"].args == [Promise(branch, "add_one-0"), [Promise(branch, "add_one-0")]]


def test_dependents_may_come_first():
    """The order of the list does not matter."""
    first = instruction(1)

    assert read_json(document(instruction({"await/ok": link(first)}), first)).tasks["add_one-0"].args == [
        Promise(label="add_one-1")
    ]


def test_awaits_of_other_documents_stay():
    """A promise on an unknown instruction stays a promise on a task by CID."""
    other = instruction(5)

    assert read_json(document(instruction({"await/ok": link(other)}))).tasks["add_one-0"].args == [
        Promise(task=instruction_cid(other))
    ]


def test_a_text_nonce_is_the_bytes_it_stands_for():
    """A promise may name an instruction by its nonce as text or as bytes."""
    text = instruction(1, nonce="1sod60ml6g26mfhsrsa0")
    raw = {**text, "nnc": b32hexdecode("1SOD60ML6G26MFHSRSA0====")}
    second = instruction({"await/ok": {"/": str(instruction_cid(raw))}}, {"await/ok": link(text)})
    tasks = read_json(document(text, second)).tasks

    assert tasks["add_one-0"].nonce == b"1sod60ml6g26mfhsrsa0"
    assert tasks["add_one-1"].args == [Promise(label="add_one-0")] * 2


def test_meta_is_what_the_task_may_use():
    """Fuel, bytes and milliseconds become gas, memory and time; fuel that JavaScript rounded up is no limit."""
    config = read_json(document(instruction(1), fuel=18446744073709552000, memory=4294967296, time=100000)).tasks
    own = read_json(document(instruction(1), fuel=7, memory=None)).tasks["add_one-0"].config

    assert config["add_one-0"].config == Config(time=100, memory=4294967296, gas=(1 << 63) - 1)
    assert own == Config(gas=7)


def test_cause_and_proofs_are_kept():
    """The cause is meta of the task, proofs belong to the document."""
    workflow = read_json({"tasks": [{"run": instruction(1), "cause": {"/": MODULE}, "prf": [{"/": MODULE}]}]})

    assert workflow.tasks["add_one-0"].meta == {"cause": Link.parse(MODULE)}
    assert workflow.proofs == (Link.parse(MODULE),)


def test_it_is_signed_as_a_job_document():
    """The submitter signs the job document that it amounts to, which reads back as the same tasks."""
    first = instruction(1)
    signed = sign(read_json(document(first, instruction({"await/ok": link(first)}), fuel=9)), Signer.generate())

    assert unplaced(read(signed.document)) == unplaced(signed)


def test_the_value_of_the_caller_is_left_alone():
    """Reading a parsed document does not change it."""
    value = document(instruction(1), fuel=1 << 80)

    read(value)

    assert value["tasks"][0]["meta"]["fuel"] == 1 << 80


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"tasks": [{"run": {**instruction(1), "op": "http/get"}}]}, "unknown-type", "tasks[0].run.op"),
        ({"tasks": [{"run": {**instruction(1), "rsc": "https://x"}}]}, "bad-cid", "tasks[0].run.rsc"),
        ({"tasks": [{"run": {**instruction(1), "input": {"func": 3}}}]}, "wrong-type", "tasks[0].run.input.func"),
        ({"tasks": [{"run": {**instruction(1), "nonce": 3}}]}, "unknown-field", "tasks[0].run.nonce"),
        (document(instruction(1), fuel=0), "bad-limit", "tasks[0].meta.fuel"),
        (document(instruction(1), time="1s"), "wrong-type", "tasks[0].meta.time"),
        ({"tasks": []}, "no-jobs", "tasks"),
        ({"tasks": [1]}, "wrong-type", "tasks[0]"),
        ({"tasks": [{"cause": None}]}, "missing-field", "tasks[0]"),
        ({"tasks": [{"run": instruction(1)}], "more": 1}, "unknown-field", "more"),
    ],
)
def test_mistakes_are_faults_of_this_document(changed, code, path):
    """Paths are those of the Homestar document."""
    assert (code, path) in {(fault.code, fault.path) for fault in faults_of(changed)}
