"""The JSON Schema of job documents, made of the same declarations that the reader checks with.

`python -m ipvm_queue.workflow.schema` writes it to `job.schema.json` beside this file; it ships with the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.workflow.config import CONFIG
from ipvm_queue.workflow.document import PARTS
from ipvm_queue.workflow.fields import EFFECT, HEADER, ON, WASM
from ipvm_queue.workflow.promises import AWAITS, UCAN
from ipvm_queue.workflow.shapes import LINK_SCHEMA, either
from ipvm_queue.workflow.units import BYTES, SECONDS

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

FILE: Final = Path(__file__).with_name("job.schema.json")
_TEXT: Final = {"type": "string"}


def job_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a Job v0.1.0 document in DAG-JSON: with its envelope, or a bare map."""
    parts = {"header": _ref("header"), "jobs": _ref("jobs"), "signature": _ref("bytes")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "IPVM job v0.1.0",
        "description": "A job document: labelled jobs, alone or with header and signature. Values are DAG-JSON.",
        "if": {"required": ["jobs"], "properties": {"jobs": {"not": {"required": ["type"]}}}},
        "then": _map({part: parts[part] for part in PARTS}, "jobs"),
        "else": _ref("jobs"),
        "$defs": {
            "link": {**_map({"/": _TEXT}, "/"), "description": "a CID"},
            "bytes": {**_map({"/": _map({"bytes": _TEXT}, "bytes")}, "/"), "description": "bytes, in base64"},
            "label": {"type": "string", "minLength": 1, "pattern": "^[^/]*$"},
            "promise": {**either(*_promises()), "description": "a value that is still to come"},
            "wasm": WASM.schema,
            "effect": EFFECT.schema,
            "job": _job(),
            "jobs": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _ref("label"),
                "additionalProperties": _ref("job"),
            },
            "header": HEADER.schema,
            "on": ON.schema,
            "config": CONFIG.schema,
            "time": SECONDS.schema,
            "size": BYTES.schema,
        },
    }


def _job() -> dict[str, Value]:
    """Return the schema of a job: judged as what its type says, so that an editor shows the faults of that alone."""
    kinds = WASM.fields["type"].shape.schema
    return {
        "type": "object",
        "if": {"required": ["type"], "properties": {"type": kinds}},
        "then": _ref("wasm"),
        "else": _ref("effect"),
    }


def _promises() -> list[dict[str, Value]]:
    local = _map({"from": _TEXT, "out": {"type": "integer", "minimum": 0}}, "from")
    path = {"type": "array", "prefixItems": [{"const": "/"}, _TEXT], "minItems": 2, "maxItems": 2}
    named = _map({UCAN: path}, UCAN)
    awaits = (_map({tag: either(LINK_SCHEMA, local, named)}, tag) for tag in AWAITS)
    return [local, named, *awaits]


def _map(properties: dict[str, Value], *required: str) -> dict[str, Value]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _ref(name: str) -> dict[str, Value]:
    return {"$ref": f"#/$defs/{name}"}


def text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(job_schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
