"""An HTTP server on loopback that gives what a test has put on it, by path, and remembers what was asked."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Shelf:
    """What is given: bytes (with status 200) or a status by path and query; `pause` seconds before each byte."""

    url: str = ""
    things: dict[str, bytes | int] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    pause: float = 0.0


@contextmanager
def shelf(certificate=None):
    """Serve a shelf on a free port of loopback; with a certificate of trustme's, over TLS."""
    it = Shelf()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked.append((self.command, self.path))
            it.headers.append(dict(self.headers))
            thing = it.things.get(self.path, 404)
            status, body = (thing, b"") if isinstance(thing, int) else (200, thing)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status in (301, 302):
                self.send_header("Location", it.url + "/elsewhere")
            self.end_headers()
            try:
                for byte in body if it.pause else (body,):
                    time.sleep(it.pause)
                    self.wfile.write(bytes([byte]) if it.pause else byte)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # who does not trust it hangs up
    it.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
