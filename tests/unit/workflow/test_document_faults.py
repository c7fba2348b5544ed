"""Bad documents: each fault with its code, its path and its place in the text."""

import json
import re
from pathlib import Path

import pytest
from documents import MODULE, effect, faults_of, only_fault, wasm

from ipvm_queue.errors import DocumentError, Fault, MissingBlockError, ModuleError
from ipvm_queue.ipld import encode
from ipvm_queue.workflow import DocumentLimits, place, read

ROOT = Path(__file__).resolve().parents[3]
ONE_FAULT = {
    "unknown-field": ({"a": wasm(wth=1)}, "a.wth"),
    "unknown-field in the header": ({"header": {"nonse": "x"}, "jobs": {"a": wasm()}}, "header.nonse"),
    "unknown-field of a document": ({"jobs": {"a": wasm()}, "meta": {}, "header": {}}, "meta"),
    "unknown-type": ({"a": {"type": "wasm/2.0", "with": MODULE}}, "a.type"),
    "missing-field type": ({"a": {"with": MODULE}}, "a"),
    "missing-field with": ({"a": {"type": "wasm/1.0"}}, "a"),
    "missing-field do": ({"a": {"type": "ipvm/effect", "with": "dns://x"}}, "a"),
    "missing-field with of an effect": ({"a": {"type": "ipvm/effect", "do": "crud/read"}}, "a"),
    "wrong-type job": ({"a": 1}, "a"),
    "wrong-type input": ({"a": {"type": "wasm/1.0", "with": MODULE, "input": {"from": "a"}}}, "a.input"),
    "wrong-type on": ({"a": wasm(on={"success": "a"})}, "a.on.success"),
    "wrong-type follower": ({"a": wasm(on={"error": [1]})}, "a.on.error[0]"),
    "wrong-type gas": ({"a": wasm(maxGas="5")}, "a.maxGas"),
    "wrong-type public": ({"a": wasm(public=1)}, "a.public"),
    "wrong-type nonce": ({"a": wasm(nonce=1)}, "a.nonce"),
    "wrong-type func": ({"a": wasm(func=1)}, "a.func"),
    "wrong-type with": ({"a": {"type": "wasm/1.0", "with": 1}}, "a.with"),
    "wrong-type inputs of an effect": ({"a": effect(inputs=[1])}, "a.inputs[0]"),
    "wrong-type promise as inputs": ({"a": effect(inputs={"from": "a"})}, "a.inputs"),
    "wrong-type header": ({"header": [], "jobs": {"a": wasm()}}, "header"),
    "bad-label slash": ({"a/b": wasm()}, '["a/b"]'),
    "bad-label empty": ({"": wasm()}, '[""]'),
    "missing-label": ({"a": wasm({"from": "b"})}, "a.input[0].from"),
    "missing-label on": ({"a": wasm(on={"success": ["b"]})}, "a.on.success[0]"),
    "duplicate-label": ({"a": wasm(on={"error": [wasm()]}), "a.on.error.0": wasm()}, '["a.on.error.0"]'),
    "bad-cid": ({"a": {"type": "wasm/1.0", "with": "bafyrubbish"}}, "a.with"),
    "bad-cid link": ({"a": wasm({"x": {"/": "bafyrubbish"}})}, "a.input[0].x"),
    "bad-cid proof": ({"header": {"prf": ["nope"]}, "jobs": {"a": wasm()}}, "header.prf[0]"),
    "bad-bytes": ({"a": wasm({"/": {"bytes": "*"}})}, "a.input[0]"),
    "reserved-key": ({"a": wasm({"/": 1})}, "a.input[0]"),
    "bad-uri": ({"a": effect(uri="example.com")}, "a.with"),
    "bad-uri file": ({"a": {"type": "wasm/1.0", "with": "file:"}}, "a.with"),
    "bad-ability": ({"a": effect("Crud Read")}, "a.do"),
    "bad-limit gas": ({"a": wasm(maxGas=0)}, "a.maxGas"),
    "bad-limit huge gas": ({"a": wasm(maxGas=1 << 63)}, "a.maxGas"),
    "bad-limit memory": ({"a": wasm(**{"ipvm/config": {"memory": -1}})}, 'a["ipvm/config"].memory'),
    "bad-check": ({"a": wasm(**{"ipvm/config": {"check": "hope"}})}, 'a["ipvm/config"].check'),
    "unknown-version": ({"header": {"v": "9.0.0"}, "jobs": {"a": wasm()}}, "header.v"),
    "conflict inputs": ({"a": wasm(1, args=[])}, "a.args"),
    "conflict with": ({"a": effect(using="dns://y")}, "a.using"),
    "conflict gas": ({"a": wasm(maxGas=1, **{"ipvm/config": {"gas": 2}})}, "a.maxGas"),
    "conflict value": ({"a": effect(inputs={"value": 1}, value=2)}, "a.value"),
    "conflict names": ({"a": effect(inputs=[{"x": 1}, {"x": 2}])}, "a.inputs[1].x"),
    "no-jobs": ({}, ""),
    "no-jobs in an envelope": ({"header": {}}, "jobs"),
}


@pytest.mark.parametrize("name", ONE_FAULT)
def test_each_mistake_is_one_fault_at_its_path(name):
    """A document with one mistake has one fault, with its code and path, whether it is text or DAG-CBOR."""
    document, path = ONE_FAULT[name]

    fault = only_fault(document)

    assert (fault.code, fault.path) == (name.split()[0], path)
    assert fault.line == 1
    assert fault.column is not None


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ({"a": wasm(maxgas=1)}, "'maxGas'"),
        ({"a": {"type": "wasm/1.O", "with": MODULE}}, "'wasm/1.0'"),
        ({"fullName": wasm(), "b": wasm({"from": "fulName"})}, "'fullName'"),
        ({"jobs": {"a": wasm()}, "headr": {}}, "'header'"),
        ({"a": wasm(**{"ipvm/config": {"time": [1, "minuts"]}})}, "'minutes'"),
    ],
)
def test_near_misses_are_suggested(written, hint):
    """A misspelt field, type, label, part or unit is answered with the one that was probably meant."""
    assert f"did you mean {hint}" in (only_fault(written).hint or "")


def test_what_is_known_is_listed_when_nothing_is_near():
    """An unknown type far from every known one lists them all."""
    hint = only_fault({"a": {"type": "docker"}}).hint or ""

    assert "wasm/1.0" in hint
    assert "ipvm/effect" in hint


def test_all_faults_are_told_together_in_the_order_of_the_text():
    """One reading finds every fault; lines and columns point into the text."""
    text = """{
  "a": {"type": "wasm/1.0", "with": "bafyrubbish", "maxGas": 0},
  "a/b": {"type": "wasm/9", "do": "x"},
  "c": {"type": "wasm/1.0",
        "with": "MODULE", "input": [{"from": "d"}], "inptu": []}
}""".replace("MODULE", MODULE)

    found = [(fault.code, fault.line, fault.column) for fault in faults_of(text)]

    assert found == [
        ("bad-cid", 2, 37),
        ("bad-limit", 2, 62),
        ("bad-label", 3, 3),
        ("unknown-type", 3, 19),
        ("missing-label", 5, 99),
        ("unknown-field", 5, 106),
    ]


def test_the_excerpt_is_the_source_line():
    """A fault shows the line it stands on."""
    fault = only_fault('{"a":\n  {"type": "wasm/1.0", "with": 5}\n}')

    assert fault.excerpt == '  {"type": "wasm/1.0", "with": 5}'


def test_duplicate_keys_are_faults_at_each_place():
    """A name that stands twice in a map is told where it stands again, beside other faults."""
    job = json.dumps(wasm())
    last = f'"type": "wasm/1.0", "with": "{MODULE}", "meta": {{"x": 1, "x": 2}}, "maxGas": 0'
    text = f'{{"a": {job},\n"a": {job},\n"b": {{{last}}}}}'

    found = [(fault.code, fault.path, fault.line) for fault in faults_of(text)]

    assert found == [("duplicate-key", "a", 2), ("duplicate-key", "b.meta.x", 3), ("bad-limit", "b.maxGas", 3)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        ("  \n ", "empty"),
        ("jobs: []", "not-json"),
        ('{"a": ', "not-json"),
        (b"\xff\xfe", "not-json"),
        ('{"a": "\\ud800"}', "not-ipld"),
        (b"\xa1\x61", "not-dag-cbor"),
        (encode({"a": 1}) + b"\0", "not-dag-cbor"),
        ("[]", "wrong-type"),
        ("null", "wrong-type"),
        ('{"a":' * 70 + "1" + "}" * 70, "too-deep"),
        ('{"a":' * 200_000, "too-deep"),
        (b"\x81" * 100, "not-json"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_fault(data, code):
    """Text that is no document is refused with one code."""
    assert only_fault(data).code == code


def test_broken_json_is_told_with_its_place():
    """A syntax error has line, column and excerpt."""
    fault = only_fault('{"a": 1,\n "b": ]}')

    assert (fault.code, fault.line, fault.column, fault.excerpt) == ("not-json", 2, 7, ' "b": ]}')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_are_finite(number):
    """JSON's dialects for infinite numbers are refused where they stand."""
    fault = only_fault(f'{{"a": {{"type": "wasm/1.0", "with": "{MODULE}", "input": [1, {number}]}}}}')

    assert (fault.code, fault.path) == ("not-finite", "a.input[1]")


def test_whole_numbers_fit_in_64_bits():
    """A number that IPLD cannot hold is refused where it stands."""
    assert only_fault({"a": wasm(1 << 70)}).path == "a.input[0]"


def test_a_document_of_50_megabytes_is_refused_unread():
    """Size comes first: the text is not even JSON."""
    fault = only_fault("x" * 50_000_000)

    assert fault.code == "too-large"
    assert "8388608" in fault.message


def test_the_number_of_values_is_limited():
    """Bytes that would become more in memory than any honest document does are refused as too large."""
    document = encode({"header": {}, "jobs": {"a": {"type": "wasm/1.0", "input": [{}] * 2_100_000}}})

    assert only_fault(document).code == "too-large"


def test_the_number_of_jobs_is_limited():
    """One job more than the limit is refused; in-place jobs count."""
    jobs = {f"j{index}": wasm() for index in range(3)}

    assert only_fault(jobs, tasks=2).code == "too-many-tasks"
    assert only_fault({"a": wasm(on={"error": [wasm(), wasm()]})}, tasks=2).code == "too-many-tasks"


def test_depth_is_a_setting():
    """A document of more levels than allowed is refused, and read with a higher limit."""
    deep = 1
    for _ in range(80):
        deep = [deep]
    text = json.dumps({"a": wasm(deep)})

    assert only_fault(text).code == "too-deep"
    assert read(text, limits=DocumentLimits(depth=100)).tasks["a"].args[0] == deep


def test_a_thousand_faults_are_shown_and_the_rest_counted():
    """A document full of faults does not flood its reader."""
    faults = faults_of({f"j{index}": 0 for index in range(1500)})

    assert len(faults) == 1001
    assert faults[-1].code == "too-many-faults"
    assert "500" in faults[-1].message


def test_faults_of_dag_cbor_have_a_path_and_no_line():
    """There is no line in binary documents."""
    fault = only_fault(encode({"a": wasm(maxGas=0)}))

    assert (fault.code, fault.path, fault.line) == ("bad-limit", "a.maxGas", None)


def test_the_error_names_the_document():
    """The name that the caller gave stands in the message."""
    with pytest.raises(DocumentError, match=r"job\.json"):
        read("", name="job.json")


def test_faults_found_later_get_their_place():
    """A fault of a task that was found after reading is placed by the task's path, in text alone."""
    text = json.dumps({"header": {}, "jobs": {"a": wasm(on={"error": [wasm()]}), 'odd "label"': wasm()}}, indent=1)
    tasks = read(text).tasks
    lines = text.splitlines()

    placed = place([Fault("export", "no such export", path=task.path) for task in tasks.values()], text.encode())

    assert [lines[fault.line - 2 : fault.line] for fault in placed] == [
        [' "jobs": {', '  "a": {'],
        ['    "error": [', "     {"],
        ["  },", '  "odd \\"label\\"": {'],
    ]
    assert place(placed, encode({"jobs": {}})) is placed


def test_every_code_is_documented():
    """The table of docs/job.md has each code that a document is refused with."""
    _, _, table = (ROOT / "docs" / "job.md").read_text().partition("## What is refused")
    told = {code for row in re.findall(r"(?m)^\| (`.*?`) \|", table) for code in re.findall(r"`([a-z-]+)`", row)}
    room = ROOT / "ipvm_queue"
    sources = [room / "submission.py", room / "plan" / "compiler.py", *(room / "workflow").glob("*.py")]
    said = r'(?:Fault|Unfit|fault|add|refuse)\(\s*(?:task, )?"([a-z-]+)"'
    given = {code for source in sources for code in re.findall(said, source.read_text())}

    assert len(given) > 30
    assert (given | {ModuleError.code, MissingBlockError.code}) - told == set()
