"""What a WASI guest may have of the network: HTTP reads from the origins that its job names, done by the worker for it.

The guest asks with the DAG-CBOR of `{"with": URL, "do": "crud/read", "inputs": {…}}`, as a job would, and hears the
DAG-CBOR of a Result. All rules of `crud/read` of `http:` hold, for it is done by that handler: addresses, limits, time.
Who asked for the task must be entitled to read from each origin that it names, and to each read: a redirect is followed
where the guest might have asked itself. It may not write: what is to be written is an output, for a command of the job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, EffectError, Outcome
from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import cid_of, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import httpx

    from ipvm_queue.ipld import Value

READ: Final = "crud/read"
MAX_ORIGINS: Final = 64
_MOST: Final = 64  # requests of one guest
_MAX_ANSWER: Final = 32 << 20  # bytes: what goes into the guest's memory at once


def origin_uri(text: str) -> str:
    """Return an origin, `https://example.com` or with a port, as the URI that a right to it is looked for with.

    Raises `EffectError` `wasi/argument`.
    """
    from ipvm_queue.effects.http_request import read_url  # noqa: PLC0415 - only whose job has a network pays

    try:
        url = read_url(text)
        if url.raw_path == b"/":
            return f"{url.scheme}://{url.netloc.decode('ascii')}/"
    except EffectError:
        pass
    message = f"{text[:80]!r} is no origin: https://example.com, http://example.com:8080"
    raise EffectError("wasi/argument", message, "requestor", sent=False)


def check_origins(args: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the origins that a call names."""
    try:
        for text in args.get("network", ()):
            origin_uri(text)
    except EffectError as error:
        return error.message
    return None


def uses(args: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    """Give what a call asks for beside itself, as far as it is known: a read of each origin that it names."""
    named = args.get("network")
    for text in named[:MAX_ORIGINS] if isinstance(named, list) else ():
        if isinstance(text, str):
            try:
                yield f"/{READ}", {"uri": origin_uri(text)}
            except EffectError:
                continue  # nobody is asked: the call is wrong, and says so before it does anything


class Network:
    """Answers one guest; `evidence` is what its receipt says of each request."""

    def __init__(self, context: Context, call: Call, origins: Sequence[str]) -> None:
        self._context = context
        self._call = call
        self._origins = frozenset(map(origin_uri, origins))
        self.evidence: list[Value] = []

    @property
    def answer(self) -> Callable[[bytes], bytes] | None:
        """What answers the guest, None where no origin is named."""
        return self._answer if self._origins else None

    def _answer(self, asked: bytes) -> bytes:
        try:
            answer = encode(self._do(*_read(asked)))
        except EffectError as error:
            return encode({"error": error.error})
        except Exception as error:  # noqa: BLE001 - a handler's; the guest hears of it
            return encode({"error": {"code": "wasi/effect", "message": repr(error)[:300], "fault": "runner"}})
        if len(answer) > _MAX_ANSWER:
            message = f"the answer has {len(answer)} bytes; a guest hears at most {_MAX_ANSWER}"
            return encode({"error": {"code": "wasi/too-large", "message": message, "fault": "requestor"}})
        return answer

    def _do(self, uri: str, args: dict[str, Any]) -> dict[str, Value]:
        from ipvm_queue.effects.http import read  # noqa: PLC0415 - only who asks pays
        from ipvm_queue.effects.http_request import read_url  # noqa: PLC0415
        from ipvm_queue.effects.registry import check  # noqa: PLC0415 - it imports every family, this one too

        if len(self.evidence) >= _MOST:
            raise EffectError("wasi/too-many", f"a guest asks at most {_MOST} times", "requestor", sent=False)
        url = read_url(uri)
        refusal = self._refusal(url, args)
        if refusal is not None:
            return {"error": refusal}
        wrong = next(check(str(url), READ, args), None)
        if wrong is not None:
            raise EffectError("wasi/argument", f"{READ}: {wrong}", "requestor", sent=False)
        kept: dict[str, Value] = {"with": str(url.copy_with(query=None))}
        self.evidence.append(kept)
        task = cid_of([self._call.task, len(self.evidence)])
        given = self._call._replace(uri=str(url), ability=READ, args=args, task=task)
        done: Outcome = read(self._context, given, self._follow)
        kept["evidence"] = done.evidence
        return done.out

    def _follow(self, ahead: httpx.URL) -> None:
        """Raise `EffectError` for a redirect to where the guest might not have gone."""
        refusal = self._refusal(ahead, {})
        if refusal is not None:
            message = f"led on to {ahead.host[:80]}: {refusal['message']}"
            raise EffectError("wasi/not-granted", message, "requestor")

    def _refusal(self, url: httpx.URL, args: dict[str, Any]) -> dict[str, Value] | None:
        """Return the error of a read that the job does not name, or that who asked for it may not have done."""
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}/"
        if origin not in self._origins:
            message = f"{origin[:80]} is not among {', '.join(sorted(self._origins))}"
            return {"code": "wasi/not-granted", "message": message, "fault": "requestor"}
        return self._call.objection(f"/{READ}", {"uri": str(url), **args})


def _read(asked: bytes) -> tuple[str, dict[str, Any]]:
    """Return URL and args of what a guest asks; raises `wasi/argument` and `wasi/not-granted`."""
    try:
        value = decode(asked)
    except CodecError as error:
        raise EffectError("wasi/argument", f"the guest asked with {error.message}", "requestor", sent=False) from error
    match value:
        case {"with": str() as uri, "do": str() as ability, **rest} if not rest.keys() - {"inputs"}:
            args = rest.get("inputs", {})
            if ability != READ or not uri.lower().startswith(("http:", "https:")):
                message = f"a guest may {READ} http: and https:, not {ability[:80]} {uri[:80]}"
                raise EffectError("wasi/not-granted", message, "requestor", sent=False)
            if isinstance(args, dict) and "uri" not in args:
                return uri, args
    raise EffectError("wasi/argument", "a guest asks with {with, do, inputs?}", "requestor", sent=False)
