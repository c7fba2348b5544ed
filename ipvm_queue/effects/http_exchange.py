"""One HTTP exchange: connected to an allowed address, verified, redirected within limits, read to its end in time."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import httpcore
import httpx

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.http_body import read_body
from ipvm_queue.effects.http_network import Network
from ipvm_queue.effects.http_request import READS, read_url
from ipvm_queue.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipvm_queue.effects.http_request import Request
    from ipvm_queue.effects.http_settings import HttpSettings
    from ipvm_queue.ipld import Value

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Exchange(NamedTuple):
    """An answer that has been read. `url` is where it came from in the end, `peer` the address behind it.

    `lost` is why the body of a command's answer could not be read, although its status could.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL
    peer: str | None
    certificate: bytes | None
    redirects: tuple[str, ...] = ()
    lost: EffectError | None = None

    @property
    def evidence(self) -> dict[str, Value]:
        """What the receipt keeps: status, digests of headers and body, who answered and when by its own clock."""
        names = sorted((name.lower(), value) for name, value in self.headers.multi_items())
        canonical = "".join(f"{name}: {value}\n" for name, value in names).encode()
        evidence: dict[str, Value] = {
            "status": self.status,
            "headers_sha256": sha256(canonical).digest(),
            "body_sha256": sha256(self.body).digest(),
            "body_bytes": len(self.body),
        }
        if self.peer is not None:
            evidence["peer"] = self.peer
        if "date" in self.headers:
            evidence["date"] = self.headers["date"]
        if self.certificate is not None:
            evidence["certificate_sha256"] = sha256(self.certificate).digest()
        if self.lost is not None:
            evidence["body_lost"] = self.lost.code
        if self.redirects:
            evidence["redirects"] = list(self.redirects)
        return evidence


def exchange(
    request: Request,
    settings: HttpSettings,
    deadline: float,
    max_bytes: int,
    follow: Callable[[httpx.URL], None],
) -> Exchange:
    """Do a request; a read follows redirects, each of which is first shown to `follow`, which may raise.

    Raises `http/…` errors, `sent` once bytes have gone out.
    """
    url = request.url
    seen: list[str] = []
    while True:
        answer = _once(request, url, settings, deadline, max_bytes)
        location = answer.headers.get("location")
        if request.method not in READS or answer.status not in _REDIRECTS or location is None:
            return answer._replace(redirects=tuple(seen))
        if len(seen) >= settings.redirects:
            message = f"{shown(request.url)} leads on more than {settings.redirects} times"
            raise EffectError("http/redirects", message, "world", evidence=answer.evidence)
        url = _next(url, location, answer)
        follow(url)
        seen.append(shown(url))


def shown(url: httpx.URL) -> str:
    """Return a URL as errors and evidence say it: without its query, where keys and names stand."""
    return str(url.copy_with(query=None))


def _next(url: httpx.URL, location: str, answer: Exchange) -> httpx.URL:
    try:
        ahead = read_url(str(url.join(location)))
    except (EffectError, httpx.InvalidURL, ValueError):
        message = f"{shown(url)} leads to what is no address"
        raise EffectError("http/redirects", message, "world", evidence=answer.evidence) from None
    if url.scheme == "https" and ahead.scheme == "http":
        message = f"{shown(url)} leads out of TLS, to {shown(ahead)}"
        raise EffectError("http/redirects", message, "world", evidence=answer.evidence)
    return ahead


def _once(request: Request, url: httpx.URL, settings: HttpSettings, deadline: float, max_bytes: int) -> Exchange:
    network = Network(settings.holes, deadline)
    pool = httpcore.ConnectionPool(
        ssl_context=_tls(settings.ca_file) if url.scheme == "https" else None,
        network_backend=network,
        max_connections=1,
    )
    headers = httpx.Headers(request.headers_for(url, settings))
    built = httpx.Request(request.method, url, headers=headers, content=request.body or None)
    with _faults(url, network), pool:
        response = pool.handle_request(
            httpcore.Request(
                method=built.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=built.headers.raw,
                content=request.body,
            )
        )  # fmt: skip
        stream = httpx.Response(response.status, headers=response.headers, stream=_Chunks(response))
        body, lost = _body(stream, min(max_bytes, settings.max_bytes), request, network)
        certificate = _certificate(response)
        response.close()
    return Exchange(response.status, stream.headers, body, url, network.peer, certificate, lost=lost)


def _body(stream: httpx.Response, most: int, request: Request, network: Network) -> tuple[bytes, EffectError | None]:
    """Return the body, or why it is lost: what a command did stands in its status, whatever comes after it."""
    try:
        with _faults(request.url, network):
            return read_body(stream, most), None
    except EffectError as error:
        if request.method in READS:
            raise
        return b"", error


class _Chunks(httpx.SyncByteStream):
    """The raw bytes of a body as they come."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()


@contextmanager
def _faults(url: httpx.URL, network: Network) -> Iterator[None]:
    """Turn what goes wrong on the way into an error that says whose fault it is and whether something was sent."""
    host = url.host
    try:
        yield
    except EffectError as error:
        error.sent = network.sent
        raise
    except ssl.SSLCertVerificationError as error:
        message = f"{host} does not prove to be {host}: {error.verify_message}"
        raise EffectError("http/tls", message, "world", sent=network.sent) from None
    except ssl.SSLError as error:
        message = f"no TLS with {host}: {error.reason or error}"
        raise EffectError("http/tls", message, "world", sent=network.sent) from None
    except httpcore.TimeoutException as error:
        message = f"{host} took too long: {error}"
        raise EffectError("http/timeout", message, "network", transient=True, sent=network.sent) from None
    except (httpcore.ConnectError, OSError) as error:
        message = f"{error}" if host in str(error) else f"{host}: {error}"
        raise EffectError("http/unreachable", message, "network", transient=True, sent=network.sent) from None
    except httpcore.NetworkError as error:
        message = f"the connection to {host} broke: {error}"
        raise EffectError("http/cut", message, "network", transient=True, sent=network.sent) from None
    except (httpcore.ProtocolError, httpx.HTTPError) as error:
        message = f"{host} does not speak HTTP as it should: {error}"
        raise EffectError("http/bad-answer", message, "world", transient=True, sent=network.sent) from None


@lru_cache(maxsize=8)
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context that every server has to prove itself to; made once, as reading the authorities is slow."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"http.ca_file: {ca_file} has no certificates: {error}") from None
    return context


def _certificate(response: httpcore.Response) -> bytes | None:
    connection = response.extensions["network_stream"].get_extra_info("ssl_object")
    if connection is None:
        return None
    certificate: bytes | None = connection.getpeercert(binary_form=True)
    return certificate
