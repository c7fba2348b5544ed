"""Documents that the tests of the readers share."""

import json
from typing import Any

import pytest

from ipvm_queue.errors import DocumentError, Fault
from ipvm_queue.workflow import DocumentLimits, read

MODULE = "bafkreie53mk3duiynh5pzmhuzadaif6hpizod5wr6dt34canmxo7j7jfcu"
OTHER_MODULE = "bafkreiegbnixdoqsohfz5oninnhpcpwsf7rg6ewnx2lvhp7p5axejrph64"


def wasm(*args: Any, **fields: Any) -> dict[str, Any]:
    """Return a Wasm job with positional arguments."""
    return {"type": "wasm/1.0", "with": MODULE, "input": list(args), **fields}


def effect(ability: str = "crud/read", uri: str = "dns://example.com?TYPE=TXT", **fields: Any) -> dict[str, Any]:
    """Return an effect job."""
    return {"type": "ipvm/effect", "with": uri, "do": ability, **fields}


def unplaced(workflow):
    """Return the tasks of a workflow without the places in which they stood."""
    return {label: task._replace(at=()) for label, task in workflow.tasks.items()}


def read_json(document: Any, **limits: int) -> Any:
    """Read a document written as JSON text."""
    return read(json.dumps(document), limits=DocumentLimits(**limits))


def faults_of(document: Any, **limits: int) -> list[Fault]:
    """Return the faults of a document, which has some."""
    data = document if isinstance(document, str | bytes) else json.dumps(document)
    with pytest.raises(DocumentError) as caught:
        read(data, limits=DocumentLimits(**limits))
    return caught.value.faults


def only_fault(document: Any, **limits: int) -> Fault:
    """Return the one fault of a document."""
    faults = faults_of(document, **limits)
    assert len(faults) == 1, faults
    return faults[0]
