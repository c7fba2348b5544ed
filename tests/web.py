"""Real HTTP servers for tests, on free ports of the loopback: one with routes, and raw ones that misbehave."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class _Handler(BaseHTTPRequestHandler):
    """Answers by the server's `routes`, and keeps every request."""

    protocol_version = "HTTP/1.1"
    server: Web

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, self.path, dict(self.headers.items()), body))
        found = self.server.routes.get((self.command, path)) or self.server.routes.get(path)
        status, headers, answer = found(self.path, body) if callable(found) else found or (404, {}, b"nothing here")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_args):
        """Say nothing."""


class Web(ThreadingHTTPServer):
    """A server; `routes` maps a path, or (method, path), to (status, headers, body) or to a function that gives it."""

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes = {}
        self.requests = []
        self.address = f"127.0.0.1:{self.server_port}"
        self.url = (
            f"{'http' if tls is None else 'https'}://{'127.0.0.1' if tls is None else 'localhost'}:{self.server_port}"
        )
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up."""

    def stop(self):
        """End it."""
        self.shutdown()
        self._thread.join()
        self.server_close()


@contextmanager
def raw_server(serve):
    """Run a server that does `serve(connection, done)` for each connection; give its address."""
    done, threads = Event(), []
    server = socket.create_server(("127.0.0.1", 0))

    def handle(connection):
        with connection, suppress(OSError):
            serve(connection, done)

    def accept():
        while not done.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(Thread(target=handle, args=(connection,)))
            threads[-1].start()

    threads.append(Thread(target=accept))
    threads[0].start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        done.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in threads:
            thread.join()


def read_request(connection):
    """Read one request from a connection, its body too: closing with bytes unread is a reset to who sent them."""
    received = b""
    while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
        received += part
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", received)
    whole = received.find(b"\r\n\r\n") + 4 + int(length[1] if length else 0)
    while len(received) < whole and (part := connection.recv(65536)):
        received += part
    return received
