"""Reads and commands over HTTP, and what their answers mean.

The value of every success is `{"status": 200, "headers": {…}, "body": …}` with the headers of `SHOWN`.

| answer | a read | a command |
|---|---|---|
| 2xx, 304 | the value | the value: it has happened |
| 303 | followed | the value: it has happened, and where to look stands in `location` |
| other 3xx | followed | `http/redirected`: it has not happened there |
| 4xx | `http/status`, the requestor's fault | the same: the server refused |
| 429, 503 | `http/busy`, worth another try | `http/busy`: the server refused |
| 502, 504 | `http/gateway`, worth another try | `http/gateway`, in doubt: whoever stands between does not know |
| other 5xx | `http/status`, the world's fault | the same: the server says that it failed |
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from ipvm_queue.effects.contract import EffectError, NotDoneError, Outcome
from ipvm_queue.effects.http_body import value_of
from ipvm_queue.effects.http_exchange import Exchange, exchange, shown
from ipvm_queue.effects.http_request import READS, Request, read_url, request_of
from ipvm_queue.effects.http_settings import KEY_FIELD, origin_of, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from ipvm_queue.effects.contract import Call, Context, Fault
    from ipvm_queue.ipld import Value

SHOWN: Final = ("content-type", "content-language", "etag", "last-modified", "location", "date", "link", "retry-after")
_NOT_MODIFIED: Final = 304
_SEE_OTHER: Final = 303
_BUSY: Final = frozenset({429, 503})
_GATEWAY: Final = frozenset({502, 504})
_NONE: Final = frozenset({404, 410})


def act(context: Context, call: Call, follow: Callable[[httpx.URL], None] | None = None) -> Outcome:
    """Do a read or a command; raises `http/…` errors, and what `follow` raises for a redirect.

    Without a `follow`, a read is led on to where who asked might have read by themselves, and no further.
    """
    settings = read_settings(context.config("http"))
    request = request_of(call, settings)
    deadline = min(call.deadline, monotonic() + settings.timeout)
    answer = exchange(request, settings, deadline, call.max_bytes, follow or partial(_follow, call))
    error = _error(answer, request)
    if error is None:
        return Outcome({"ok": _value(answer, call.args.get("as", "auto"), request)}, answer.evidence)
    code, fault, transient, doubt = error
    message = f"{request.method} {answer.url.copy_with(query=None)}: the server answered {answer.status}"
    if (request.method in READS and transient) or doubt:
        raise EffectError(code, message, fault, evidence=answer.evidence, transient=transient, sent=True)
    return Outcome({"error": {"code": code, "message": message, "fault": fault}}, answer.evidence)


def reconcile(context: Context, call: Call) -> Outcome | None:
    """Ask the origin's `reconcile` address about the act: 2xx means it happened, 404 or 410 that it did not.

    The value is then the answer of that address. None where no address is configured or it does not know either.
    """
    settings = read_settings(context.config("http"))
    origin = settings.origins.get(origin_of(read_url(call.uri)))
    if origin is None or origin.reconcile is None:
        return None
    url = read_url(origin.reconcile.replace(KEY_FIELD, str(call.task)))
    try:
        request = Request("GET", url, {}, b"", None)
        deadline = monotonic() + settings.timeout  # the act's own may be over
        answer = exchange(request, settings, deadline, call.max_bytes, partial(_stay, url))
        if answer.status in _NONE:
            raise NotDoneError(f"{url} knows of no such act")
        if not _is_success(answer.status):
            return None
        evidence = {**answer.evidence, "reconciled": str(url)}
        return Outcome({"ok": _value(answer, call.args.get("as", "auto"), request)}, evidence)
    except EffectError:
        return None


def _follow(call: Call, ahead: httpx.URL) -> None:
    """Raise `http/not-granted` for a redirect to what who asked may not read."""
    refusal = call.objection(f"/{call.ability}", {**call.args, "uri": str(ahead)})
    if refusal is not None:
        raise EffectError("http/not-granted", f"led on to {shown(ahead)}: {refusal['message']}", "requestor")


def _stay(url: httpx.URL, ahead: httpx.URL) -> None:
    """Raise `http/redirects` where the address for acts leads to another origin: nobody has said that it knows."""
    if origin_of(ahead) != origin_of(url):
        raise EffectError("http/redirects", f"{shown(url)} leads to another origin, {shown(ahead)}", "world")


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110 15


def _error(answer: Exchange, request: Request) -> tuple[str, Fault, bool, bool] | None:
    """Return code, fault, whether another try may help, and whether it is in doubt; None for a success."""
    status, reads = answer.status, request.method in READS
    if _is_success(status) or status == _NOT_MODIFIED or (status == _SEE_OTHER and not reads):
        return None
    if status in _BUSY:
        return "http/busy", "world", True, False
    if status in _GATEWAY:
        return "http/gateway", "world", True, not reads
    if status < 200:  # noqa: PLR2004
        return "http/bad-answer", "world", False, not reads
    if status < 400:  # noqa: PLR2004 - RFC 9110 15
        return "http/redirected", "requestor", False, False
    return "http/status", "requestor" if status < 500 else "world", False, False  # noqa: PLR2004


def _value(answer: Exchange, form: str, request: Request) -> dict[str, Value]:
    """Return the value; a command that has happened has one, also where its body is not what was asked for."""
    headers = {name: answer.headers[name] for name in SHOWN if name in answer.headers}
    kind = answer.headers.get("content-type", "")
    try:
        body = None if answer.lost else value_of(answer.body, kind, form)
    except EffectError as error:
        error.evidence = answer.evidence
        if request.method in READS:
            raise
        body = answer.body
    return {"status": answer.status, "headers": headers, "body": body}
