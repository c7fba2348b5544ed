"""The guide to job documents tells what the readers do."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ipvm_queue.workflow import read
from ipvm_queue.workflow.fields import EFFECT, HEADER, WASM
from ipvm_queue.workflow.schema import job_schema

GUIDE = (Path(__file__).parents[3] / "docs" / "job.md").read_text(encoding="utf-8")
SOURCES = Path(__file__).parents[3] / "ipvm_queue" / "workflow"
DOCUMENTS = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_every_example_is_a_job(document):
    """Each document of the guide is read without a fault and fits the schema."""
    assert read(document).tasks
    Draft202012Validator(job_schema()).validate(json.loads(document))


@pytest.mark.parametrize("field", sorted({*WASM.fields, *EFFECT.fields, *HEADER.fields}))
def test_every_field_is_explained(field):
    """No field of a job or header is missing in the guide."""
    assert f"`{field}`" in GUIDE


def test_every_fault_is_listed():
    """Every code that a reader gives to a fault is in the table."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py"))
    codes = re.findall(r'(?:faults\.add|_fault|_refuse|Unfit|Fault)\(\s*"([a-z-]+)"', sources)

    assert len(set(codes)) > 20
    assert [code for code in sorted(set(codes)) if f"`{code}`" not in GUIDE] == []
