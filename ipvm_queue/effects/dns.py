"""DNS: any records are read through a resolver; records of configured zones are changed by RFC 2136 (effects 5.2).

Resource of a change is its zone: one writer at a time. What belongs to running one is imported when it runs.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER: Final = {"type": "string", "minLength": 1, "description": "ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"}
_SERVERS: Final = {"type": "array", "items": _SERVER}
CONFIG: Final = {
    "dns": {
        "resolver": {"anyOf": [_SERVER, _SERVERS], "description": "who is asked; default: /etc/resolv.conf"},
        "servers": {**_SERVERS, "description": "those that a URI may name itself"},
        "timeout": {"type": "number", "description": "seconds that one server gets"},
        "ttl": {"type": "integer", "description": "of records that are written without one"},
        "zones": {"type": "object", "additionalProperties": _SERVER, "description": "zone → server that changes it"},
        "tsig": {
            "type": "object",
            "description": "signs changes",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "algorithm": {"enum": ["hmac-sha256", "hmac-sha384", "hmac-sha512"]},
                "secret": {"type": "string", "description": "base64"},
                "secret_file": {"type": "string"},
            },
        },
    }
}
_RECORDS: Final = {
    "anyOf": [
        {"type": "string", "maxLength": 16 * 1024},
        {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string", "maxLength": 16 * 1024}},
    ]
}
_EXPECT: Final = {
    "anyOf": [{"type": "null"}, *_RECORDS["anyOf"]],
    "description": "the records as they must be before; null: none",
}
_TTL: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "description": "seconds"}
_VALUE: Final = {**_RECORDS, "description": "the text of a record, or a list of them"}


def _schema(properties: Mapping[str, Any], *required: str) -> Mapping[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _do(module: str, name: str, context: Context, call: Call) -> Any:
    """Run a part of the family; a fault of its configuration is the runner's."""
    try:
        return getattr(import_module(f"ipvm_queue.effects.{module}"), name)(context, call)
    except UsageError as error:
        raise EffectError("dns/bad-config", error.message, "runner", sent=False) from None


def _check(uri: str, args: Mapping[str, Any], *, ability: str) -> str | None:
    """Say what is wrong with a URI and its records, before any server is asked."""
    from ipvm_queue.effects.dns_records import records_of  # noqa: PLC0415 - as the module says
    from ipvm_queue.effects.dns_uri import read_uri  # noqa: PLC0415

    try:
        rdtype = read_uri(uri).type
        for field in ("value", "expect"):
            if ability != "crud/read" and args.get(field) is not None:
                records_of(args[field], rdtype, 0, field)
    except EffectError as error:
        return error.message
    return None


def _zone(context: Context, call: Call) -> str:
    """Return the zone that a change is made in; where none is configured it is refused, and touches its name alone."""
    name: str = _do("dns_change", "zone", context, call)
    return f"dns:{name}"


def _change(ability: str, summary: str, schema: Mapping[str, Any]) -> Effect:
    return Effect(
        "dns",
        ability,
        Safety.COMMAND,
        partial(_do, "dns_change", "change"),
        schema,
        summary,
        idempotency_key=True,  # a change that is done again by itself is one with a condition that the first one broke
        reconcile=partial(_do, "dns_reconcile", "reconcile"),
        resource=_zone,
        check=partial(_check, ability=ability),
    )


def _read(context: Context, call: Call) -> Outcome:
    outcome: Outcome = _do("dns_read", "read", context, call)
    return outcome


EFFECTS: Final = (
    Effect(
        "dns",
        "crud/read",
        Safety.QUERY,
        _read,
        _schema({"as": {"enum": ["answer", "records", "text", "dnslink", "did"], "default": "answer"}}),
        "reads the records of a name: any type, DNSLink, did:dns",
        check=partial(_check, ability="crud/read"),
    ),
    _change(
        "crud/create",
        "writes records where there are none (RFC 2136)",
        _schema({"value": _VALUE, "ttl": _TTL, "expect": {"type": "null"}}, "value"),
    ),
    _change(
        "crud/update",
        "puts records in the place of what is there, or of exactly what is expected there (RFC 2136)",
        _schema({"value": _VALUE, "ttl": _TTL, "expect": _EXPECT}, "value"),
    ),
    _change("crud/destroy", "takes records away (RFC 2136)", _schema({"expect": _RECORDS})),
)
