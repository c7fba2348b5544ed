"""Further jobs: a task has its queue run another job, in the name of who asked for its own (job 3, "actors").

`job/run` of `ipvm:queue` is a query: doing it again has the same pure Tasks, and asks the world again. So a further job
has neither commands nor secrets, and no further job itself. What comes out is the value of each of its tasks by label;
the receipt carries the receipts beneath it. A worker runs such a job only for who has let it
(`ipvm delegate DID --push --command /ipvm/run`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.effects.contract import Call, Context, Effect, Outcome, Safety

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipvm_queue.effects.contract import Schema

QUEUE: Final = "ipvm:queue"
ABILITY: Final = "job/run"
_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["job"],
    "properties": {
        "job": {
            "anyOf": [{"type": "object"}, {"type": "string", "minLength": 2}],
            "description": "a job document without signature, as a map or as the text of one",
        }
    },
}


def _run(context: Context, call: Call) -> Outcome:
    return context.run_job(call.args["job"], call)


def _check(uri: str, _: Mapping[str, Any]) -> str | None:
    return None if uri == QUEUE else f"the queue that a job is on is called {QUEUE}, not {uri[:80]!r}"


_SUMMARY: Final = "the values of a further job's tasks, by label; run in the name of who asked for this one"

EFFECTS: Final = (Effect("ipvm", ABILITY, Safety.QUERY, _run, _SCHEMA, _SUMMARY, check=_check),)
