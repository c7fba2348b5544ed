"""The witness: an HTTP server outside of everything, that counts each act that reaches it.

`POST /act/NAME` (or `PUT`) is an act, counted under its Idempotency-Key; `/act/once-NAME` counts a key once.
`GET /acts/KEY` says whether it has happened, `GET /value/NAME` gives a value. What it does before and after counting
can be set.
"""

from __future__ import annotations

from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Sink:
    """A witness on a free port of the loopback. `before` and `after` are called around the counting of an act."""

    def __init__(self) -> None:
        self.acts: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.bodies: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.unwilling = 0  # how many questions are answered with 503 first
        self.most_at_once: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _key: None
        self.after: Callable[[str], None] = lambda _key: None
        self._lock = Lock()
        self._now: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def uri(self, name: str) -> str:
        """Return the address of a name."""
        return f"witness://127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, name: str, key: str, body: str) -> str:
        """Count an act; return what is answered."""
        with self._lock:
            self._now[name] += 1
            self.most_at_once[name] = max(self.most_at_once[name], self._now[name])
        try:
            self.before(key)
            with self._lock:
                if not (name.startswith("once-") and self.acts[key]):
                    self.acts[key] += 1
                    self.names[name] += 1
                self.bodies[key] = body
            self.after(key)
        finally:
            with self._lock:
                self._now[name] -= 1
        return f"done: {body}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length).decode()
                if body == "refuse":
                    self._answer(403, "not that")
                    return
                try:
                    said = sink.count(self.path.removeprefix("/act/"), self.headers["Idempotency-Key"], body)
                except ConnectionAbortedError:
                    return  # and no answer
                self._answer(200, said)

            do_PUT = do_POST  # noqa: N815

            def do_GET(self) -> None:
                kind, _, name = self.path.removeprefix("/").partition("/")
                if kind == "acts":
                    self._answer(*((200, f"done: {sink.bodies[name]}") if sink.acts[name] else (404, "")))
                    return
                sink.asked[name] += 1
                if sink.unwilling > 0:
                    sink.unwilling -= 1
                    self._answer(503, "later")
                else:
                    self._answer(*((200, sink.values[name]) if name in sink.values else (404, "")))

            def _answer(self, status: int, text: str) -> None:
                data = text.encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, *_: object) -> None:
                pass

        return Handler
