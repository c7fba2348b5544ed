"""Any value at all ends in a workflow or in faults with a place; whatever is read survives being signed and stored."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from ipvm_queue.crypto import Signer
from ipvm_queue.errors import DocumentError
from ipvm_queue.ipld import Link, decode, encode
from ipvm_queue.workflow import find_cycles, predecessors, promises, read, sign

MODULE = "bafkreie53mk3duiynh5pzmhuzadaif6hpizod5wr6dt34canmxo7j7jfcu"
SIGNER = Signer.generate()
WORDS = st.sampled_from(
    "type with using do input inputs args func on success error header jobs signature ipvm/config time gas maxGas meta "
    "nonce catch from out ucan/promise await/ok await/* / bytes ipvm/workflow tasks run rsc op wasm/1.0 ipvm/effect "
    f"crud/read dns://example.com {MODULE} a b v prf parent ucan/invoke fuel".split(" ")
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4) | st.lists(WORDS, max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
LABELS = st.integers(0, 30).map("j{}".format)
PLAIN = st.integers(-(1 << 53), 1 << 53) | st.text(max_size=5).filter(lambda text: text.isprintable()) | st.none()
PLAIN_JOBS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["wasm/1.0", "ipvm/wasm"]),
        "with": st.sampled_from([MODULE, f"ipfs://{MODULE}"]),
        "func": st.sampled_from(["sum", "f"]),
        "input": st.just([1, {"a": [2]}]) | st.just([3]),
    }
)
ODD_JOBS = PLAIN_JOBS.flatmap(
    lambda job: st.sampled_from(
        [
            {**job, "with": "no cid"},
            {**job, "with": Link.parse(MODULE)},
            {**job, "func": ""},
            {**job, "func": 2},
            {**job, "input": 7},
            {**job, "args": [1]},
            {**job, "maxGas": 3},
            {**job, "on": {"success": []}},
            {**job, "other": 1},
            {name: value for name, value in job.items() if name != "func"},
            {name: value for name, value in job.items() if name != "with"},
        ]
    )
)


@st.composite
def graphs(draw):
    """Draw a map of jobs, each of which takes results of earlier ones at some depth."""
    count = draw(st.integers(1, 12))
    jobs = {}
    for index in range(count):
        known = [{"from": f"j{name}"} for name in range(index)]
        leaves = PLAIN | st.sampled_from(known) if known else PLAIN
        args = draw(st.lists(st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4), max_size=4))
        jobs[f"j{index}"] = {"type": "wasm/1.0", "with": MODULE, "input": args}
    return jobs


def faults_of(data):
    """Return the faults of a document; none, and its tasks are there."""
    try:
        workflow = read(data)
    except DocumentError as error:
        return error.faults
    assert workflow.tasks
    return []


@given(VALUES)
def test_every_json_value_is_read_or_refused_with_faults(value):
    """No text makes the reader fail otherwise than with faults, each with a code and a place."""
    faults = faults_of(json.dumps(value))

    assert all(fault.code and fault.message for fault in faults)


@given(st.binary(max_size=60))
def test_every_byte_string_is_read_or_refused(data):
    """No bytes make the reader fail otherwise than with faults."""
    assert faults_of(data)


@given(graphs())
def test_a_signed_document_is_the_same_workflow(jobs):
    """Signing, encoding and reading back changes nothing but the header."""
    signed = sign(read({"header": {}, "jobs": jobs}), SIGNER)

    again = read(signed.document)

    assert again.tasks == signed.tasks
    assert again.document == signed.document == encode(decode(signed.document))


@example([{"type": "wasm/1.0", "with": "no cid", "func": "f", "input": []}] * 2)
@given(st.lists(PLAIN_JOBS, min_size=2) | st.lists(PLAIN_JOBS | ODD_JOBS, min_size=2))
def test_jobs_that_are_alike_are_read_as_each_would_be_alone(jobs):
    """Whatever stood before it, a job comes to the same task, or to the same faults."""
    document = {f"j{index}": job for index, job in enumerate(jobs)}
    alone = [{label: job} for label, job in document.items()]

    try:
        tasks = read(document).tasks
    except DocumentError as error:
        told = [(fault.path, fault.code, fault.message) for fault in error.faults]
        assert told == [(fault.path, fault.code, fault.message) for each in alone for fault in faults_of(each)]
    else:
        assert tasks == {label: read({label: job}).tasks[label] for label, job in document.items()}


@given(graphs())
def test_dependencies_are_exactly_the_promises(jobs):
    """Every promise is an edge, every edge has a promise, and none goes to a label that does not exist."""
    tasks = read(json.dumps(jobs)).tasks
    waits = predecessors(tasks)

    for label, task in tasks.items():
        assert set(waits[label]) == {promise.label for promise in promises(task)} <= set(tasks)


@given(st.dictionaries(LABELS, st.lists(LABELS, max_size=3), max_size=20))
def test_cycles_are_found_where_a_plain_search_finds_them(edges):
    """A graph has a cycle exactly if peeling off what waits for nothing leaves something; each cycle is a real one."""
    waits = {label: [name for name in dict.fromkeys(names) if name in edges] for label, names in edges.items()}
    left = dict(waits)
    while done := [label for label, names in left.items() if not any(name in left for name in names)]:
        for label in done:
            del left[label]

    cycles = find_cycles(waits)

    assert bool(cycles) == bool(left)
    for cycle in cycles:
        assert all(after in waits[label] for label, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    members = [label for cycle in cycles for label in cycle]
    assert len(members) == len(set(members))


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)), min_size=1, max_size=4), st.integers(0, 4))
def test_a_fault_points_at_its_value(path, blanks):
    """Whatever the nesting and the blanks before it, line and column of a fault are those of the wrong value."""
    value = "@"
    for key, index in reversed(path):
        value = f'[{"0, " * index}{{"{key}":{" " * blanks}{value}}}]'
    link = '{"/": "no-cid"}'
    text = f'{{"j": {{"type": "wasm/1.0",\n"with": "{MODULE}",\n"input": {value}}}}}'

    [fault] = faults_of(text.replace("@", link))
    line = text.splitlines()[fault.line - 1]

    assert line[fault.column - 1] == "@"


def test_links_in_json_are_links():
    """The strategies above would not notice if links stayed maps."""
    task = read({"j": {"type": "wasm/1.0", "with": MODULE, "input": [Link.parse(MODULE)]}}).tasks["j"]

    assert task.args == [Link.parse(MODULE)]
