"""Job v0.1.0 documents: what each field becomes in the model."""

import json

import pytest
from documents import MODULE, OTHER_MODULE, effect, only_fault, read_json, wasm

from ipvm_queue.ipld import Link, encode
from ipvm_queue.workflow import Config, Promise, read

PIPELINE = {
    "fullName": {"type": "wasm/1.0", "with": MODULE, "input": [{"firstName": "Boris"}, {"lastName": "Mann"}]},
    "count": {"type": "wasm/1.0", "with": OTHER_MODULE, "input": [{"name": {"from": "fullName", "out": 0}}]},
}


def test_the_pipelining_example_is_read():
    """The bare map of the specification's own example gives two tasks, one waiting for the other's first value."""
    tasks = read_json(PIPELINE).tasks

    assert list(tasks) == ["fullName", "count"]
    assert tasks["fullName"].resource == Link.parse(MODULE)
    assert tasks["fullName"].ability == "wasm/run"
    assert tasks["count"].args == [{"name": Promise(label="fullName", out=0)}]


def test_text_bytes_cbor_and_values_give_the_same_workflow():
    """A document reads the same as JSON text, JSON bytes, DAG-CBOR and as a value."""
    document = {"header": {"nonce": "n"}, "jobs": PIPELINE}
    text = json.dumps(document)

    expected = dict(read(text).tasks)

    assert dict(read(text.encode()).tasks) == expected
    assert dict(read(document).tasks) == expected
    assert dict(read(encode(document)).tasks) == expected


def test_a_bare_map_may_use_the_words_of_the_envelope_as_labels():
    """Jobs labelled `header`, `jobs` and `signature` are jobs, because they look like jobs."""
    tasks = read_json({"header": wasm(), "jobs": effect(), "signature": wasm()}).tasks

    assert list(tasks) == ["header", "jobs", "signature"]


@pytest.mark.parametrize("resource", [MODULE, f"ipfs://{MODULE}", {"/": MODULE}])
def test_a_module_is_a_cid_in_any_form(resource):
    """CID text, an ipfs URI and a DAG-JSON link name the same module."""
    assert read_json({"a": {"type": "ipvm/wasm", "with": resource}}).tasks["a"].resource == Link.parse(MODULE)


def test_a_module_may_be_a_file_until_it_is_submitted():
    """A `file:` resource stays as it is written; the submitter replaces it."""
    assert read_json({"a": {"type": "wasm/1.0", "with": "file:./a.wasm"}}).tasks["a"].resource == "file:./a.wasm"


@pytest.mark.parametrize("name", ["input", "inputs", "args"])
def test_inputs_have_three_names(name):
    """`input`, `inputs` and `args` are one field."""
    assert read_json({"a": {"type": "wasm/1.0", "with": MODULE, name: [1, "x"]}}).tasks["a"].args == [1, "x"]


def test_func_nonce_public_and_meta_are_kept():
    """The small fields of a Wasm job arrive in the model."""
    task = read_json({"a": wasm(func="go", nonce={"/": {"bytes": "AAEC"}}, public=False, meta={"x": {"y": 1}})}).tasks[
        "a"
    ]

    assert (task.func, task.nonce, task.public, task.meta) == ("go", b"\0\1\2", False, {"x": {"y": 1}})


def test_an_effect_has_named_inputs_and_a_value():
    """An effect's inputs, written as a map, and its value are one map of arguments."""
    task = read_json({"a": effect("crud/update", inputs={"ttl": 60}, value="1.2.3.4")}).tasks["a"]

    assert (task.kind, task.ability, task.resource) == ("effect", "crud/update", "dns://example.com?TYPE=TXT")
    assert task.args == {"ttl": 60, "value": "1.2.3.4"}


def test_a_list_of_maps_names_the_inputs_of_an_effect():
    """The list form of the effects notes is merged into one map."""
    task = read_json(
        {"a": effect("crypto/sign", "did:key:z6Mk", inputs=[{"value": "aBcDeF"}, {"x": 1, "y": 2}])}
    ).tasks["a"]

    assert task.args == {"value": "aBcDeF", "x": 1, "y": 2}


def test_a_sender_is_not_taken_for_a_promise():
    """An effect's inputs may have a field `from` beside others, as mail does."""
    mail = effect("msg/send", "mailto:a@example.com", inputs={"from": "a@example.com", "to": ["b@example.com"]})

    assert read_json({"a": mail}).tasks["a"].args == {"from": "a@example.com", "to": ["b@example.com"]}


def test_using_and_a_missing_type_are_an_effect():
    """The effects notes write `using` for `with`, and leave `type` out."""
    task = read_json(
        {"a": {"using": "docker:1:Qm12345", "do": "executable/run", "inputs": {"env": {"$A": "b"}}}}
    ).tasks["a"]

    assert (task.kind, task.resource, task.args) == ("effect", "docker:1:Qm12345", {"env": {"$A": "b"}})


def test_a_link_to_content_is_a_uri_for_an_effect():
    """An effect on a link is about `ipfs://` and its CID."""
    assert read_json({"a": effect(uri={"/": MODULE})}).tasks["a"].resource == f"ipfs://{MODULE}"


def test_on_names_labels_and_writes_jobs_in_place():
    """A job in `on` becomes a task of its own with a made label; labels stay."""
    on = {"success": ["b"], "error": [wasm(1, on={"success": ["b"]})]}
    tasks = read_json({"a": wasm(on=on), "b": wasm()}).tasks

    assert (tasks["a"].on_success, tasks["a"].on_error) == (("b",), ("a.on.error.0",))
    assert tasks["a.on.error.0"].args == [1]
    assert tasks["a.on.error.0"].on_success == ("b",)


def test_the_header_is_read():
    """Meta, nonce, parent and proofs of the header arrive in the workflow."""
    link = {"/": MODULE}
    header = {"v": "0.1.0", "meta": {"tags": ["x"]}, "nonce": "n", "parent": [link, "label"], "prf": [link]}
    workflow = read_json({"header": header, "jobs": {"a": wasm()}})

    assert (workflow.meta, workflow.nonce, workflow.parent) == ({"tags": ["x"]}, b"n", Link.parse(MODULE))
    assert workflow.proofs == (Link.parse(MODULE),)


def test_catch_is_a_wasm_task_of_its_own():
    """The job-wide `catch` is no task of the graph."""
    workflow = read_json({"header": {"catch": wasm(func="handle")}, "jobs": {"a": wasm()}})

    assert workflow.catch is not None
    assert workflow.catch.func == "handle"
    assert list(workflow.tasks) == ["a"]


@pytest.mark.parametrize(
    "catch", [effect(), wasm({"from": "a"}), wasm(on={"error": ["a"]})], ids=["effect", "promise", "on"]
)
def test_catch_only_looks_at_the_failure(catch):
    """`catch` is refused as an effect, with a promise, and with something after it."""
    assert only_fault({"header": {"catch": catch}, "jobs": {"a": wasm()}}).code == "bad-catch"


def test_limits_are_merged_from_the_widest_to_the_nearest():
    """A job starts from `config`, then `defaults`, then its own `ipvm/config`, then `maxGas`."""
    header = {
        "config": {"time": [1, "minute"], "gas": 1, "disk": 7},
        "defaults": {"gas": 2, "memory": [1, "mebi", "bytes"]},
    }
    jobs = {
        "a": wasm(),
        "b": wasm(**{"ipvm/config": {"time": [2, "seconds"], "secret": True, "check": {"optimistic": 2}}}),
        "c": wasm(maxGas=4),
    }
    tasks = read_json({"header": header, "jobs": jobs}).tasks

    assert tasks["a"].config == Config(time=60, memory=1 << 20, gas=2, disk=7)
    assert tasks["b"].config == Config(time=2, memory=1 << 20, gas=2, disk=7, secret=True, check={"optimistic": 2})
    assert tasks["c"].config.gas == 4
    assert read_json({"a": wasm()}).tasks["a"].config == Config()
