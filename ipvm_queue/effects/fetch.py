"""Bytes from the services that an operator has configured: gateways, relays, a Kubo node.

One deadline for all of it (name, connection, head, body), a largest size that holds before and while it is read, no
redirect, no compression. What comes is believed by nobody: the families verify it.
"""

from __future__ import annotations

import asyncio
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ipvm_queue.effects.contract import EffectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ssl import SSLContext

_T = TypeVar("_T")
_OK: Final = 200
_MISSING: Final = frozenset((404, 410))
_BUSY: Final = frozenset((408, 425, 429, 500, 502, 503, 504))


class Request(NamedTuple):
    """What to ask for: `family` names the errors, `deadline` is in `time.monotonic()`'s seconds."""

    family: str
    url: str
    deadline: float
    max_bytes: int
    accept: str = "*/*"
    method: str = "GET"


def fetch(request: Request) -> bytes:
    """Return the body of an answer with status 200.

    Raises `EffectError`: `timeout`, `unreachable`, `too-large`, `absent` (404, 410), `status` (any other).
    """
    family = request.family
    remaining = request.deadline - monotonic()
    if remaining <= 0:
        raise EffectError(f"{family}/timeout", "there was no time left to ask", "network", transient=True)
    try:
        return asyncio.run(_within(request, remaining))
    except TimeoutError as error:
        message = f"{host_of(request.url)} did not answer in time"
        raise EffectError(f"{family}/timeout", message, "network", transient=True) from error


async def _within(request: Request, seconds: float) -> bytes:
    import httpx  # noqa: PLC0415 - a submitter looks effects up too, and asks nothing

    family, host = request.family, host_of(request.url)
    headers = {"Accept": request.accept, "Accept-Encoding": "identity", "User-Agent": "ipvm-queue"}
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(timeout=None, trust_env=False, verify=_trust()) as client,  # noqa: S113 - the one deadline is around it
            client.stream(request.method, request.url, headers=headers) as response,
        ):
            if response.status_code != _OK:
                raise _refused(family, host, response.status_code)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > request.max_bytes:
                    message = f"{host} answered with more than {request.max_bytes} bytes"
                    raise EffectError(f"{family}/too-large", message, "world")
            return bytes(body)
    except httpx.TimeoutException as error:
        raise TimeoutError from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise EffectError(
            f"{family}/unreachable", f"{host} cannot be asked: {reason}", "network", transient=True
        ) from error


@cache
def _trust() -> SSLContext:
    """Return which certificates are trusted: reading them takes longer than most answers."""
    import httpx  # noqa: PLC0415 - as above

    return httpx.create_ssl_context()


def _refused(family: str, host: str, status: int) -> EffectError:
    evidence = {"answered": status, "from": host}
    if status in _MISSING:
        return EffectError(f"{family}/absent", f"{host} does not have it", "network", evidence=evidence, transient=True)
    busy = status in _BUSY
    return EffectError(f"{family}/status", f"{host} answered {status}", "network", evidence=evidence, transient=busy)


def first(family: str, table: str, sources: Iterable[str], ask: Callable[[str], _T]) -> _T:
    """Return what the first source that has an answer gives; a source whose answer is wrong is passed over.

    Raises the last source's `EffectError`, or `unconfigured` where there is none.
    """
    last: EffectError | None = None
    for source in sources:
        try:
            return ask(source.rstrip("/"))
        except EffectError as error:
            if error.fault == "requestor":
                raise
            if last is None or not last.code.endswith(_TELLING):
                last = error
    if last is not None:
        raise last
    message = f"this worker has nobody to ask: its effects_config names none in [{table}]"
    raise EffectError(f"{family}/unconfigured", message, "runner")


_TELLING: Final = ("/signature", "/expired", "/hash", "/chain", "/stale", "/sequence", "/too-large")


def share(deadline: float, sources: int) -> float:
    """Return the deadline of the next of so many sources: a silent one must not use up the time of those behind it."""
    now = monotonic()
    return now + (deadline - now) / max(1, min(sources, 2))


def host_of(url: str) -> str:
    """Return host and port of a URL, for messages: never the rest, which may hold a token."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
