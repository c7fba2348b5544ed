"""Connections of the HTTP handlers: to allowed addresses only, each with one deadline for everything on it.

A name is resolved once, each address is judged, and the connection is made to that address. Whatever happens on it
(handshake, a slow answer, a byte a second) ends at the deadline.
"""

from __future__ import annotations

import socket
import time
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import httpcore

from ipvm_queue.effects.contract import EffectError
from ipvm_queue.effects.http_address import may_connect, read_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from ipvm_queue.effects.http_address import Hole

_MOST_ADDRESSES: Final = 8


class Network(httpcore.NetworkBackend):
    """Makes connections until `deadline` (monotonic); `sent` turns true with the first byte of a request."""

    def __init__(self, holes: tuple[Hole, ...], deadline: float) -> None:
        self._holes = holes
        self._deadline = deadline
        self.sent = False
        self.peer: str | None = None

    def left(self, timeout: float | None = None) -> float:
        """Return the seconds that are left; raises `TimeoutError` where none are."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Connect to the first address of `host` that may be reached and answers."""
        del local_address, socket_options
        try:
            addresses = self._addresses(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not found in time") from None
        error: Exception = httpcore.ConnectError(f"{host} cannot be reached")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                connection = socket.create_connection((address, port), self.left(timeout))
            except TimeoutError:
                error = httpcore.ConnectTimeout(f"{host} ({address}) did not answer in time")
            except OSError as cause:
                error = httpcore.ConnectError(f"{host} ({address}): {cause.strerror or cause}")
            else:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.peer = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                return Stream(self, connection)
        raise error

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` that may be connected to; raises `http/private-address` if none may."""
        found = list(dict.fromkeys(_resolve(host, port, self.left())))
        allowed = [text for text in found if may_connect(read_address(text), port, self._holes)]
        if not allowed:
            message = f"{host} is at {', '.join(found)}: no public address, and this worker is not set to reach it"
            raise EffectError("http/private-address", message, fault="requestor", sent=self.sent)
        return allowed


def _resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return a name's addresses; the system's resolver knows no deadline, so it is waited for from outside."""
    answer: list[str] = []
    errors: list[OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            errors.append(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            answer.extend(str(sockaddr[0]) for *_, sockaddr in found)

    thread = Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise httpcore.ConnectError(f"{host} was not found: {errors[0].strerror or errors[0]}")
    if not answer:
        raise TimeoutError
    return answer


class Stream(httpcore.NetworkStream):
    """One connection, plain or TLS; every wait on it ends at its network's deadline."""

    def __init__(self, network: Network, connection: socket.socket) -> None:
        self._network = network
        self._connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, at most `max_bytes`."""
        try:
            self._connection.settimeout(self._network.left(timeout))
            return self._connection.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("the answer did not come in time") from None
        except OSError as error:
            raise httpcore.ReadError(error.strerror or str(error)) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`."""
        left = memoryview(buffer)
        try:
            while left:
                self._connection.settimeout(self._network.left(timeout))
                self._network.sent = True
                left = left[self._connection.send(left) :]
        except TimeoutError:
            raise httpcore.WriteTimeout("the request was not taken in time") from None
        except OSError as error:
            raise httpcore.WriteError(error.strerror or str(error)) from None

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        """Return the connection inside TLS, once the server has proved who it is."""
        try:
            self._connection.settimeout(self._network.left(timeout))
            inside = ssl_context.wrap_socket(self._connection, server_hostname=server_hostname)
        except TimeoutError:
            self.close()
            raise httpcore.ConnectTimeout("the TLS handshake did not end in time") from None
        except OSError:  # also ssl.SSLError, which the caller tells apart
            self.close()
            raise
        return Stream(self._network, inside)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what is known about the connection: `ssl_object` and `socket` are, the rest is None."""
        if info == "ssl_object":
            return self._connection if hasattr(self._connection, "getpeercert") else None
        return self._connection if info == "socket" else None
