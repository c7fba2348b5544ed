"""HTTP: the crud abilities and the methods by name, on `http:` and `https:` URIs (effects 4).

Resource of a command is its origin: one command at a time. What belongs to running one is imported when it runs.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, EffectError, Outcome, Safety
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
CONFIG: Final = {
    "http": {
        "allow_private": {**_TEXTS, "description": "addresses that are not public and may be reached all the same"},
        "timeout": {"type": "number", "description": "seconds of a whole request"},
        "max_bytes": {"type": "integer", "description": "largest body of an answer"},
        "max_request_bytes": {"type": "integer", "description": "largest body of a request"},
        "redirects": {"type": "integer", "description": "followed by a read"},
        "ca_file": {"type": "string", "description": "certificates trusted beside the public ones"},
        "headers": {**_TEXTS, "description": "request headers that a job may set beside the usual ones"},
        "user_agent": {"type": "string"},
        "origins": {
            "type": "object",
            "description": "by origin: headers that its requests get, and where to ask about an act",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "reconcile": {"type": "string", "description": "a URL with {key} in it"},
                },
            },
        },
    }
}
_ASKING: Final = {
    "headers": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 8192},
        "description": "request headers of those that a job may set",
    },
    "query": {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "string"}, _TEXTS]},
        "description": "added to the URL's own",
    },
    "as": {"enum": ["auto", "json", "text", "bytes"], "default": "auto", "description": "what the body becomes"},
}
_TELLING: Final = {
    **_ASKING,
    "value": {"description": "what is sent: any value as JSON, bytes as they are"},
    "form": {"enum": ["auto", "json", "text", "bytes", "form"], "default": "auto", "description": "how it is sent"},
}


def _do(name: str, context: Context, call: Call, **more: Any) -> Any:
    """Run a part of the family; a fault of its configuration is the runner's."""
    try:
        return getattr(import_module("ipvm_queue.effects.http_act"), name)(context, call, **more)
    except UsageError as error:
        raise EffectError("http/bad-config", error.message, "runner", sent=False) from None


def read(context: Context, call: Call, follow: Callable[[httpx.URL], None]) -> Outcome:
    """Do a read for another family; `follow` raises `EffectError` for a redirect that is not to be followed."""
    outcome: Outcome = _do("act", context, call, follow=follow)
    return outcome


def _check(uri: str, args: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a URL, before any server is asked."""
    del args
    from ipvm_queue.effects.http_request import read_url  # noqa: PLC0415 - as the module says

    try:
        read_url(uri)
    except EffectError as error:
        return error.message
    return None


def _origin(context: Context, call: Call) -> str:
    del context
    from ipvm_queue.effects.http_request import read_url  # noqa: PLC0415 - as the module says
    from ipvm_queue.effects.http_settings import origin_of  # noqa: PLC0415

    return origin_of(read_url(call.uri))


def _read(scheme: str, ability: str, summary: str) -> Effect:
    schema = {"type": "object", "properties": _ASKING}
    return Effect(scheme, ability, Safety.QUERY, partial(_do, "act"), schema, summary, check=_check)


def _command(scheme: str, ability: str, summary: str) -> Effect:
    value = () if ability in ("crud/destroy", "http/delete") else ("value",)
    return Effect(
        scheme,
        ability,
        Safety.COMMAND,
        partial(_do, "act"),
        {"type": "object", "required": list(value), "properties": _TELLING},
        summary,
        idempotency_key=True,  # an origin with a `reconcile` address keeps keys; without one nothing is done again
        reconcile=partial(_do, "reconcile"),
        resource=_origin,
        check=_check,
    )


EFFECTS: Final = tuple(
    effect
    for scheme in ("http", "https")
    for effect in (
        _read(scheme, "crud/read", "reads what is at a URL (GET)"),
        _command(scheme, "crud/create", "makes something (POST), with an Idempotency-Key"),
        _command(scheme, "crud/update", "puts something in the place of what is there (PUT)"),
        _command(scheme, "crud/destroy", "takes away what is at a URL (DELETE)"),
        _read(scheme, "http/get", "GET"),
        _read(scheme, "http/head", "HEAD"),
        _command(scheme, "http/post", "POST, with an Idempotency-Key"),
        _command(scheme, "http/put", "PUT"),
        _command(scheme, "http/patch", "PATCH, with an Idempotency-Key"),
        _command(scheme, "http/delete", "DELETE"),
    )
)
