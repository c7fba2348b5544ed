"""Ask the world, as often as it takes within a task's time; say of a handler that broke that it did (effects 2.2).

A query may be retried: each attempt is attested. What comes out is looked at before anybody believes it.
"""

from __future__ import annotations

import traceback
from random import uniform
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects import EffectError, WaitingError
from ipvm_queue.errors import CodecError, IpvmError, LimitError
from ipvm_queue.ipld import check_depth, encode
from ipvm_queue.observe import logger
from ipvm_queue.worker.execute import MAX_RESULT_DEPTH, Done

if TYPE_CHECKING:
    from ipvm_queue.effects import Call, Context, Effect, Outcome
    from ipvm_queue.ipld import Value

_log = logger(__name__)
_MOST: Final = 6
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_ROOM: Final = 4096  # bytes that a Result may have around the answer itself


def ask(effect: Effect, context: Context, call: Call) -> Done:
    """Do a query; `meta` is `{attempts: [{at, ms, error?}…], evidence: {…}}` (`at` in ms since 1970).

    Raises `WaitingError` where the answer has to be waited for.
    """
    attempts: list[Value] = []
    for number in range(1, _MOST + 1):
        at, started = time(), monotonic()
        attempt: dict[str, Value] = {"at": int(at * 1000)}
        attempts.append(attempt)
        try:
            outcome = effect.run(context, call._replace(attempt=number))
        except WaitingError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a fact about this task
            failure = broken(effect, error)
            attempt |= {"ms": _since(started), "error": failure.code}
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**number) * uniform(0.5, 1.0)  # noqa: S311 - politeness
            if not failure.transient or number == _MOST or monotonic() + pause >= call.deadline:
                return Done({"error": failure.error}, _meta(attempts, failure.evidence), reusable=False)
            sleep(pause)
        else:
            attempt["ms"] = _since(started)
            out, evidence = examine(outcome, call)
            return Done(out, _meta(attempts, evidence), reusable=False)
    raise AssertionError  # the last attempt has returned


def broken(effect: Effect, error: Exception) -> EffectError:
    """Return what a handler raised as an `EffectError`; of a bug only its kind, for its message may hold secrets."""
    if isinstance(error, EffectError):
        return error
    if isinstance(error, IpvmError):
        return EffectError(f"effect/{error.code}", error.message, "runner")
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{effect.ability} of {effect.scheme}:"
    _log.error("a handler broke", effect=what, kind=type(error).__name__, file=place.filename, line=place.lineno)
    return EffectError("effect/handler", f"the handler of {what} broke with {type(error).__name__}", "runner")


def examine(outcome: Outcome, call: Call) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return an outcome's Result and evidence if they can stand in a receipt, an error in their place if not."""
    out, evidence = outcome
    problem = None
    try:
        if not isinstance(out, dict) or len(out) != 1 or not out.keys() & {"ok", "error"}:
            problem = "its handler answered no Result"
        else:
            check_depth(out, max_depth=MAX_RESULT_DEPTH)
            size = len(encode(out))
            if size > call.max_bytes + _ROOM:
                problem = f"the answer has {size} bytes, at most {call.max_bytes} are allowed"
            encode(evidence)
    except LimitError as error:
        problem = f"the answer is {error.message}"
    except CodecError as error:
        problem = f"the answer is no IPLD: {error.message}"
    if problem is None:
        return out, evidence
    return {"error": {"code": "effect/answer", "message": problem, "fault": "runner"}}, {}


def _since(started: float) -> int:
    return int((monotonic() - started) * 1000)


def _meta(attempts: list[Value], evidence: dict[str, Value]) -> dict[str, Any]:
    return {"attempts": attempts, "evidence": evidence}
