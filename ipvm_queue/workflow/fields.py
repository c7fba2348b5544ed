"""The fields of a Job v0.1.0 document, declared once: for the reader that checks and for the JSON Schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, Value
from ipvm_queue.workflow.config import CONFIG, GAS
from ipvm_queue.workflow.faults import Path, kind_of
from ipvm_queue.workflow.promises import fill, read_promise, stands_for_promise
from ipvm_queue.workflow.shapes import (
    FLAG,
    LINK,
    LINK_SCHEMA,
    META,
    NONCE,
    RAW,
    TEXT,
    Field,
    Names,
    Reading,
    Record,
    Shape,
    checked,
    either,
    list_of,
    nullable,
    parse_cid,
    read_link,
)

if TYPE_CHECKING:
    from ipvm_queue.workflow.model import Promise

VERSION: Final = "0.1.0"
WASM_TYPES: Final = ("wasm/1.0", "ipvm/wasm")
EFFECT_TYPE: Final = "ipvm/effect"
FILE: Final = "file:"
ARGUMENTS: Final = ("input", "inputs", "args")
RESOURCES: Final = ("with", "using")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f]+")
_ABILITY: Final = re.compile(r"[a-z0-9_.*-]+(/[a-z0-9_.*-]+)*")
_PROMISE: Final = {"$ref": "#/$defs/promise"}
MAX_DID: Final = 256
_PARENT_LENGTH: Final = 2


def _read_module(value: Value, path: Path, reading: Reading) -> Link | str | Promise | None:
    if type(value) is str and value.startswith(FILE):
        if len(value) > len(FILE):
            return value
        reading.faults.add("bad-uri", "'file:' is followed by a path", path)
        return None
    if type(value) is str:
        try:
            return parse_cid(value)
        except CodecError as error:
            hint = "Wasm is named by its CID, by ipfs://CID, or by file:PATH when submitting"
            reading.faults.add("bad-cid", error.message, path, hint=hint)
            return None
    return _link_or_promise(value, path, reading, "the CID of a Wasm module, or a promise of one")


def _read_uri(value: Value, path: Path, reading: Reading) -> str | Promise | None:
    if type(value) is str:
        if _URI.fullmatch(value):
            return value
        hint = "an effect is about a URI: dns://example.com?TYPE=TXT, did:key:z6Mk…, https://…"
        reading.faults.add("bad-uri", f"{value[:80]!r} is not a URI", path, hint=hint)
        return None
    found = _link_or_promise(value, path, reading, "a URI, or a promise of one")
    return f"ipfs://{found}" if isinstance(found, Link) else found


def _link_or_promise(value: Value, path: Path, reading: Reading, words: str) -> Link | Promise | None:
    if stands_for_promise(value):
        return read_promise(value, path, reading)
    if type(value) is Link:
        return value
    reading.faults.add("wrong-type", f"{path[-1]!r} is {words}; this is {kind_of(value)}", path)
    return None


def _read_func(value: Value, path: Path, reading: Reading) -> str | Promise | None:
    if type(value) is str and value:
        return value
    if stands_for_promise(value):
        return read_promise(value, path, reading)
    reading.faults.add("wrong-type", f"{path[-1]!r} names a function of the module, or is a promise of a name", path)
    return None


def read_positional(value: Value, path: Path, reading: Reading) -> list[Value]:
    """Return the arguments of a Wasm job, in order, with promises in their place."""
    if type(value) is list:
        filled: list[Value] = fill(value, path, reading)
        return filled
    hint = 'write [{"from": "label"}]' if stands_for_promise(value) else 'write [{"name": value}, …], or [value, …]'
    reading.faults.add("wrong-type", f"{path[-1]!r} of a Wasm job is a list, this is {kind_of(value)}", path, hint=hint)
    return []


def _read_named(value: Value, path: Path, reading: Reading) -> dict[str, Value]:
    if type(value) is list:
        named: dict[str, Value] = {}
        for index, entry in enumerate(value):
            for key, item in _read_names(entry, (*path, index), reading).items():
                if key in named:
                    reading.faults.add(
                        "conflict", f"the input {key!r} is given twice", (*path, index, key), at_key=True
                    )
                named[key] = item
        return named
    return _read_names(value, path, reading)


def _read_names(value: Value, path: Path, reading: Reading) -> dict[str, Value]:
    if type(value) is dict and not stands_for_promise(value):
        return {key: fill(item, (*path, key), reading) for key, item in value.items()}
    hint = 'write {"value": {"from": "label"}}' if stands_for_promise(value) else 'write {"value": …}'
    reading.faults.add("wrong-type", "the inputs of an effect have names: a map, or a list of maps", path, hint=hint)
    return {}


def _read_follower(value: Value, path: Path, reading: Reading) -> Value:
    if type(value) is str:
        reading.followers.append((value, path))
        return value
    if type(value) is dict:
        return value
    reading.faults.add("wrong-type", f"'on' lists labels or jobs, this is {kind_of(value)}", path)
    return None


def _read_parent(value: Value, path: Path, reading: Reading) -> Link | None:
    if type(value) is list and len(value) == _PARENT_LENGTH and type(value[1]) is str:
        return read_link(value[0], (*path, 0), reading)
    return read_link(value, path, reading)


def _read_job_type(value: Value, path: Path, reading: Reading) -> str | None:
    if type(value) is str and (value in WASM_TYPES or value == EFFECT_TYPE or is_family(value)):
        return value
    known = (*WASM_TYPES, EFFECT_TYPE)
    if type(value) is str:
        hint = reading.faults.suggest(value, known) or f"known are: {', '.join(known)}, {EFFECT_TYPE}/<family>"
        reading.faults.add("unknown-type", f"{value[:80]!r} is no type of job", path, hint=hint)
    else:
        reading.faults.add("wrong-type", f"'type' is a text, this is {kind_of(value)}", path)
    return None


def is_family(name: str) -> bool:
    """Whether `name` is `ipvm/effect/<family>`."""
    return name.startswith(f"{EFFECT_TYPE}/") and len(name) > len(EFFECT_TYPE) + 1


TYPE: Final = Shape(_read_job_type, {"type": "string"})
PARENT: Final = Shape(
    _read_parent,
    either(
        LINK.schema, {"type": "array", "prefixItems": [LINK.schema, {"type": "string"}], "minItems": 2, "maxItems": 2}
    ),
)
DID: Final = checked(
    TEXT,
    lambda did: None if did.startswith("did:") and len(did) <= MAX_DID else f"{did[:80]!r} is not a DID",
    "bad-did",
    pattern="^did:",
    maxLength=MAX_DID,
)
ABILITY: Final = checked(
    TEXT,
    lambda name: None if _ABILITY.fullmatch(name) else f"{name[:80]!r} is no ability: it looks like crud/read",
    "bad-ability",
    pattern=f"^{_ABILITY.pattern}$",
)
_FOLLOWERS: Final = list_of(
    Shape(_read_follower, either({"type": "string"}, {"$ref": "#/$defs/wasm"}, {"$ref": "#/$defs/effect"}))
)
ON: Final = Record(
    "'on'",
    {
        "success": Field(_FOLLOWERS, "jobs that run when this one ends well: labels, or jobs written in place"),
        "error": Field(_FOLLOWERS, "jobs that run when this one fails"),
    },
)
POSITIONAL: Final = Shape(read_positional, {"type": "array"})
NAMED: Final = Shape(_read_named, either({"type": "object"}, {"type": "array", "items": {"type": "object"}}))
ANY: Final = Shape(fill, {})

_COMMON: Final = {
    "v": Field(TEXT, "version of the job's own schema"),
    "on": Field(ON.shape("on"), "what runs after this job, by how it ends"),
    "public": Field(FLAG, "whether others may see the result; without it: unless it is made of secrets"),
    "force": Field(FLAG, "with public: that the result of an effect that is private by nature is published"),
    "nonce": Field(NONCE, "tells one doing of the same work from another"),
    "meta": Field(META, "anything; not part of what the work is"),
    "ipvm/config": Field(CONFIG.shape("config"), "what the job may use"),
}
WASM: Final = Record(
    "a Wasm job",
    {
        "type": Field(Shape(_read_job_type, {"enum": list(WASM_TYPES)}), "that this is a Wasm job", required=True),
        "with": Field(
            Shape(_read_module, either({"type": "string"}, LINK_SCHEMA, _PROMISE)),
            "the module: a CID, ipfs://CID, file:PATH when submitting, or a promise of a link",
            required=True,
        ),
        "func": Field(
            Shape(_read_func, either({"type": "string", "minLength": 1}, _PROMISE)),
            "the export to call; by default the one named like the label",
        ),
        **{name: Field(POSITIONAL, "the arguments, in order; {name: value} names one") for name in ARGUMENTS},
        "maxGas": Field(GAS, "most gas; the same as gas in ipvm/config"),
        **_COMMON,
    },
    Names(ARGUMENTS),
)
_RESOURCE: Final = Field(
    Shape(_read_uri, either({"type": "string", "pattern": f"^{_URI.pattern}$"}, LINK_SCHEMA, _PROMISE)),
    "what the effect is about: a URI, or a promise of one",
)
EFFECT: Final = Record(
    "an effect job",
    {
        "type": Field(
            Shape(_read_job_type, {"type": "string", "pattern": f"^{EFFECT_TYPE}(/.+)?$"}), "that this is an effect"
        ),
        **dict.fromkeys(RESOURCES, _RESOURCE),
        "do": Field(ABILITY, "the ability: crud/read, msg/send, crypto/sign, …", required=True),
        "value": Field(ANY, "the new value, of an effect that changes something"),
        **{name: Field(NAMED, "the inputs, by name") for name in ARGUMENTS},
        **_COMMON,
    },
    Names(RESOURCES, required=True),
    Names(ARGUMENTS),
)
HEADER: Final = Record(
    "the header",
    {
        "v": Field(
            checked(TEXT, lambda v: None if v == VERSION else f"version {v[:80]!r} is not known", "unknown-version"),
            f"version of the document: {VERSION}",
        ),
        "requestor": Field(DID, "did:key of who asks for the work and signs the document"),
        "nonce": Field(NONCE, "tells one doing of the same document from another"),
        "meta": Field(META, "anything"),
        "config": Field(CONFIG.shape("config"), "what the workflow may use; each job starts from it"),
        "defaults": Field(CONFIG.shape("config"), "what each job may use, over config"),
        "catch": Field(Shape(RAW.read, {"$ref": "#/$defs/wasm"}), "called with a failure"),
        "parent": Field(nullable(PARENT), "the workflow, or the workflow and label, that started this one"),
        "prf": Field(list_of(LINK), "UCAN delegations"),
    },
)
