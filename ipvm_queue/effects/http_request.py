"""What is asked of an HTTP server: method, URL, headers and body, from a call's URI and args."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from urllib.parse import urlencode

import httpx

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.http_body import ACCEPTED
from ipvm_queue.effects.http_settings import SCHEMES, origin_of
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import Link, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.effects.contract import Call
    from ipvm_queue.effects.http_settings import HttpSettings
    from ipvm_queue.ipld import Value

METHODS: Final = {
    "crud/read": "GET",
    "crud/create": "POST",
    "crud/update": "PUT",
    "crud/destroy": "DELETE",
    "http/get": "GET",
    "http/head": "HEAD",
    "http/post": "POST",
    "http/put": "PUT",
    "http/patch": "PATCH",
    "http/delete": "DELETE",
}
READS: Final = frozenset({"GET", "HEAD"})
MAX_URL: Final = 8192
MAX_HEADERS: Final = 64
MAX_HEADER: Final = 8192
# What a job may say. Who it is, and whom it speaks to, is for the worker and its operator.
HEADERS: Final = frozenset(
    {
        "accept", "accept-language", "cache-control", "content-language", "content-type", "if-match",
        "if-modified-since", "if-none-match", "if-unmodified-since", "prefer", "range",
    }
)  # fmt: skip
KEY_HEADER: Final = "idempotency-key"
_PORTS: Final = 1 << 16
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")


class Request(NamedTuple):
    """One request; `headers` are those of the job, in lower case, `key` the act's idempotency key where it is one."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes
    key: str | None

    def headers_for(self, url: httpx.URL, settings: HttpSettings) -> dict[str, str]:
        """Return all headers for one URL: the job's, the worker's, and those that the operator gives its origin.

        The job's go to the origin it named and to no other that a redirect leads to.
        """
        own = self.headers if origin_of(url) == origin_of(self.url) else {}
        origin = settings.origins.get(origin_of(url))
        return {
            "accept": "*/*",
            "accept-encoding": ACCEPTED,
            "user-agent": settings.user_agent,
            **own,
            **({} if self.key is None else {KEY_HEADER: self.key}),
            **({} if origin is None else {name.lower(): value for name, value in origin.headers.items()}),
        }


def request_of(call: Call, settings: HttpSettings) -> Request:
    """Read a call; raises `http/bad-uri`, `http/bad-header`, `http/bad-value` and `http/no-value`."""
    method = METHODS[call.ability]
    url = read_url(call.uri)
    if query := call.args.get("query"):
        url = url.copy_merge_params(query)
    headers = read_headers(call.args.get("headers", {}), settings.headers)
    body, kind = read_body_args(call.args, method)
    if len(body) > settings.max_request_bytes:
        message = f"the value has {len(body)} bytes; this worker sends at most {settings.max_request_bytes}"
        raise EffectError("http/bad-value", message, "requestor", sent=False)
    if kind is not None:
        headers.setdefault("content-type", kind)
    return Request(method, url, headers, body, None if method in READS else str(call.task))


def read_url(text: str) -> httpx.URL:
    """Read an address; raises `http/bad-uri`."""
    if len(text) > MAX_URL:
        _refuse("bad-uri", f"the URL has {len(text)} characters; at most {MAX_URL} are read")
    try:
        url = httpx.URL(text)
        known = url.scheme in SCHEMES and bool(url.host) and url.port != 0 and (url.port or 1) < _PORTS
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        _refuse("bad-uri", f"{text[:80]!r} is no URL: {error}")
    if not known:
        _refuse("bad-uri", f"{text[:80]!r} is no http: or https: URL with a host")
    if url.userinfo:
        _refuse("bad-uri", "a URL in a job has no password in it: the operator sets headers for an origin")
    return url.copy_with(fragment=None)


def read_headers(given: Mapping[str, str], more: frozenset[str]) -> dict[str, str]:
    """Return a job's headers in lower case; raises `http/bad-header` for one that a job may not set."""
    if len(given) > MAX_HEADERS:
        _refuse("bad-header", f"there are {len(given)} headers; at most {MAX_HEADERS} are sent")
    headers: dict[str, str] = {}
    for name, value in given.items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            _refuse("bad-header", f"{name[:40]!r} is no header with a value of printable ASCII")
        if lower not in HEADERS and lower not in more:
            known = ", ".join(sorted(HEADERS | more))
            _refuse("bad-header", f"a job may not set the header {name[:40]!r} here; it may set {known}")
        if lower in headers or len(value) > MAX_HEADER:
            _refuse("bad-header", f"{name[:40]!r} is given twice, or longer than {MAX_HEADER} characters")
        headers[lower] = value.strip()
    return headers


def read_body_args(args: Mapping[str, Value], method: str) -> tuple[bytes, str | None]:
    """Return the body of a request and its content type (None: no body); raises `http/bad-value`, `http/no-value`.

    `value` goes as JSON; bytes as they are; with `form` `text` or `form`, as UTF-8 text or as a form's fields.
    """
    if method in READS:
        return b"", None
    if "value" not in args:
        if method == "DELETE":
            return b"", None
        _refuse("no-value", "this needs a 'value': what is to be sent")
    value, form = args["value"], args.get("form", "auto")
    if form == "form":
        return _form(value), "application/x-www-form-urlencoded"
    if form == "text":
        if not isinstance(value, str):
            _refuse("bad-value", "'form': \"text\" sends a text")
        return value.encode(), "text/plain; charset=utf-8"
    if form == "bytes" or (form == "auto" and isinstance(value, bytes)):
        if not isinstance(value, bytes):
            _refuse("bad-value", "'form': \"bytes\" sends bytes")
        return value, "application/octet-stream"
    return _json(value), "application/json"


def _form(value: Value) -> bytes:
    fields = value.items() if isinstance(value, dict) else None
    if fields is None or not all(
        isinstance(item, str) or (isinstance(item, list) and all(isinstance(each, str) for each in item))
        for _, item in fields
    ):
        _refuse("bad-value", "a form is a map from names to texts or lists of texts")
    return urlencode(value, doseq=True).encode()


def _json(value: Value) -> bytes:
    try:
        check(value)
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_no_json).encode()
    except (TypeError, ValueError, CodecError) as error:
        _refuse("bad-value", f"the value has no JSON form: {error}")


def _no_json(value: Any) -> Any:
    kind = "a link" if isinstance(value, Link) else type(value).__name__
    raise TypeError(f"{kind} is in it")


def _refuse(code: str, message: str) -> NoReturn:
    raise EffectError(f"http/{code}", message, "requestor", sent=False)
