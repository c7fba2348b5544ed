"""The JSON Schema that ships with the package."""

import json
from pathlib import Path

import pytest
from documents import MODULE, effect, wasm
from jsonschema import Draft202012Validator
from test_document_faults import ONE_FAULT

from ipvm_queue.workflow import read
from ipvm_queue.workflow.schema import FILE, job_schema, text

VALIDATOR = Draft202012Validator(job_schema())
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.json"))
GOOD = [
    {
        "a": wasm({"firstName": "Boris"}, {"x": {"from": "a0", "out": 0}}),
        "a0": wasm(maxGas=4600),
        "b": wasm(on={"error": [wasm()]}),
    },
    {"header": {"v": "0.1.0", "config": {"time": [5, "minutes"]}, "catch": wasm()}, "jobs": {"a": effect(value=1)}},
    {"a": {"using": "docker:1:Qm1", "do": "executable/run", "inputs": {"env": {"$A": "b"}}}},
    {"a": {"type": "wasm/1.0", "with": {"await/ok": {"/": MODULE}}, "func": {"ucan/promise": ["/", "b"]}}, "b": wasm()},
    {"a": effect("crypto/sign", "did:key:z6Mk", inputs=[{"value": "x"}], public=False, nonce={"/": {"bytes": "AA"}})},
    {"a": wasm(**{"ipvm/config": {"memory": [1, "mebi", "bytes"], "check": {"optimistic": 2}, "secret": None}})},
    {"jobs": wasm()},
]
# What a schema cannot see: labels elsewhere in the document, texts that must parse, amounts that need arithmetic.
BEYOND = ("missing-label", "duplicate-label", "bad-cid", "bad-bytes", "reserved-key", "conflict gas", "conflict value",
          "conflict names", "wrong-type promise as inputs", "bad-uri file", "bad-check", "unknown-version",
          "bad-cid link", "bad-cid proof", "wrong-type input", "missing-label on")  # fmt: skip


def test_the_shipped_file_is_up_to_date():
    """The file is what `python -m ipvm_queue.workflow.schema` writes today."""
    assert FILE.read_text(encoding="utf-8") == text()


def test_it_is_a_valid_schema():
    """The schema itself is one of draft 2020-12."""
    Draft202012Validator.check_schema(job_schema())


@pytest.mark.parametrize("document", GOOD, ids=range(len(GOOD)))
def test_what_the_reader_takes_the_schema_takes(document):
    """Documents that are read without a fault validate."""
    read(json.dumps(document))
    VALIDATOR.validate(document)


@pytest.mark.parametrize("name", [name for name in ONE_FAULT if name not in BEYOND])
def test_what_the_reader_refuses_the_schema_refuses(name):
    """Faults of form are faults to the schema too."""
    assert not VALIDATOR.is_valid(ONE_FAULT[name][0])


def test_examples_validate():
    """Every job document among the examples is valid."""
    for example in EXAMPLES:
        if example.name == "result.json":  # what an example's README writes
            continue
        VALIDATOR.validate(json.loads(example.read_text(encoding="utf-8")))
