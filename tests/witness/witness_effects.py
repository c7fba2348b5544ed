"""Effects on the witness (`sink.py`), brought as another package would: by an entry point.

`witness://HOST:PORT/NAME`. Four abilities: `test/ask` only looks; `test/act` acts and can say nothing afterwards;
`test/trace` acts, and can ask what became of it; `test/once` acts on a witness that refuses a second act under a key.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from ipvm_queue.effects import Call, Context, Effect, EffectError, NotDoneError, Outcome, Safety

CONFIG = {"witness": {"name": {"type": "string"}}}
_SCHEMA = {"properties": {"value": {}, "note": {"type": "string"}}, "required": ["value"]}
_PATIENCE = 5.0


def ask(context: Context, call: Call) -> Outcome:
    """Look what the witness has under a name; what it does not have is asked for again."""
    status, body = _say(call, "GET", f"/value{urlsplit(call.uri).path}", b"")
    if status != 200:
        raise EffectError("witness/away", f"the witness answers {status}", "world", transient=status == 503)
    return Outcome(
        {"ok": body.decode()}, {"status": status, "asked by": str(context.config("witness").get("name", ""))}
    )


def act(_context: Context, call: Call) -> Outcome:
    """Act once more."""
    status, body = _say(call, "POST", f"/act{urlsplit(call.uri).path}", str(call.args["value"]).encode())
    if status >= 400:
        return Outcome({"error": {"code": "witness/refused", "message": body.decode(), "fault": "world"}})
    return Outcome({"ok": body.decode()}, {"status": status})


def once(context: Context, call: Call) -> Outcome:
    """Act on a witness that counts each key once."""
    parts = urlsplit(call.uri)
    return act(context, call._replace(uri=f"witness://{parts.netloc}/once-{parts.path.removeprefix('/')}"))


def recall(_context: Context, call: Call) -> Outcome | None:
    """Ask the witness about an act."""
    status, body = _say(call, "GET", f"/acts/{call.task}", b"")
    if status == 404:
        raise NotDoneError
    return Outcome({"ok": body.decode()}, {"status": status}) if status == 200 else None


def _say(call: Call, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(call.uri)
    seconds = max(0.1, min(_PATIENCE, call.deadline - monotonic()))
    connection = HTTPConnection(str(parts.hostname), parts.port or 80, timeout=seconds)
    try:
        connection.connect()
    except OSError as error:
        raise EffectError("witness/unreachable", str(error), "network", transient=True, sent=False) from None
    try:
        connection.request(method, path, body, {"Idempotency-Key": str(call.task)})
        response = connection.getresponse()
        return response.status, response.read(call.max_bytes)
    except (OSError, HTTPException) as error:
        raise EffectError("witness/lost", f"the connection was lost: {type(error).__name__}", "network",
                          transient=True) from None  # fmt: skip
    finally:
        connection.close()


def _row(ability: str, run: Any, summary: str, **more: Any) -> Effect:
    given = {"safety": Safety.COMMAND, "schema": _SCHEMA, **more}
    return Effect("witness", ability, run=run, summary=summary, **given)


EFFECTS = (
    _row("test/ask", ask, "look at the witness", safety=Safety.QUERY, schema={"properties": {}}),
    _row("test/act", act, "act on the witness"),
    _row("test/trace", act, "act, and can ask what became of it", reconcile=recall),
    _row("test/once", once, "act on a witness that refuses a second act", reconcile=recall, idempotency_key=True),
    _row("test/alone", act, "act, one at a time for each name", resource=lambda _, call: call.uri),
)
