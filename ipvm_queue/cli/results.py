"""How a run came out: the contract's object for programs, a line a value for people, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvm_queue.cli import words
from ipvm_queue.cli.answer import answer, brief, is_json, line
from ipvm_queue.cli.exits import IN_DOUBT, INTERRUPTED, OK, RUN_FAILED, InterruptedByUserError, failure
from ipvm_queue.cli.progress import follow
from ipvm_queue.embedded import log_of
from ipvm_queue.errors import InDoubtError, IpvmError, UnavailableError, UsageError, WaitTimeoutError
from ipvm_queue.ucan.secret import VEIL

if TYPE_CHECKING:
    from ipvm_queue.client import Client
    from ipvm_queue.ipld import Value
    from ipvm_queue.run import Run, TaskResult

MAX_LINES: Final = 20
HIDDEN: Final = "(secret)"
_MAX_NAMED: Final = 5
_BAD: Final = ("error", "in-doubt")
_CODES: Final = {"ok": OK, "in-doubt": IN_DOUBT, "running": OK}


class TaskFailedError(IpvmError):
    """Raised when a run ended with an error that no other task handled."""

    code = "failed"


class CancelledError(IpvmError):
    """Raised when a run was ended before its time."""

    code = "cancelled"


def wait(run: Run, client: Client, timeout: float | None, *, as_json: bool, reveal: bool = False) -> int:
    """Follow a run, print how it came out, and return the exit code."""
    try:
        ended = _over(run, client, timeout)
        return conclude(run, as_json=as_json, reveal=reveal, ended=ended)
    except UnavailableError as error:
        if as_json:
            answer(_unknown(run, error))
        words.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        watch = f"ipvm run watch {run.id}"
        words.say(f"\ninterrupted; run {run.id} goes on: {watch}{only_while_up(client)}")
        if as_json:
            answer(_unknown(run, InterruptedByUserError(f"interrupted; run {run.id} goes on", hint=watch)))
        return INTERRUPTED


def _over(run: Run, client: Client, timeout: float | None) -> WaitTimeoutError | None:
    """Follow a run to its end; return why it is not known, where the wait has ended before."""
    try:
        follow(run, timeout, None if client.settings.broker_url else log_of(client.settings, "worker"))
    except WaitTimeoutError as error:
        return error if run.status == "running" else None
    return None


def _unknown(run: Run, fault: IpvmError) -> dict[str, Value]:
    """Return the object that `--json` prints of a run whose end nobody waited for, or could."""
    return {"run": run.id, "workflow": run.workflow, **failure(fault), "tasks": {}}


def only_while_up(client: Client) -> str:
    """Return what is to be known of a run on a stack that stops with this command."""
    if client.settings.broker_url is not None:
        return ""
    return "\nit goes on while a stack is up: start one that stays with ipvm up"


def conclude(run: Run, *, as_json: bool, reveal: bool = False, ended: IpvmError | None = None) -> int:
    """Print how a run came out, or stands when the wait `ended` it, and return the exit code.

    What is secret is opened with `reveal` only; raises `UsageError` where it is another's.
    """
    status = run.status
    results = run.results()
    outcome = run.outcome if reveal else run.seen_outcome
    if reveal:
        results = {label: result.reveal() for label, result in results.items()}
    fault = ended or fault_of(run, status, results, outcome)
    if as_json:
        answer(as_object(run, status, results, fault, outcome))
    else:
        show_values(run, results, outcome)
    if fault is not None:
        words.error(fault)
    return fault.exit_code if fault is not None else _CODES.get(status, RUN_FAILED)


def as_object(
    run: Run, status: str, results: dict[str, TaskResult], fault: IpvmError | None, outcome: Value
) -> dict[str, Value]:
    """Return the object that `--json` prints."""
    shown = {"cancelled": "error"}.get(status, status)
    if fault is not None and fault.code == "timeout":
        shown = "timeout"
    found: dict[str, Value] = {"run": run.id, "workflow": run.workflow, "status": shown}
    if fault is not None:
        found["error"] = fault.as_dict()
    if outcome is not None:
        found["outcome"] = outcome
    found["tasks"] = {label: _task(result) for label, result in results.items()}
    return found


def _task(result: TaskResult) -> dict[str, Value]:
    found: dict[str, Value] = {"task": result.task, "state": result.state, "secret": result.secret}
    if result.receipt is None:
        return found
    settled = {"receipt": result.receipt, "cached": result.cached, "worker": result.worker, "meta": result.meta}
    if is_json(result.out):
        return found | settled | {"out": result.out}
    words.say(f"the result of {result.label!r} has no DAG-JSON form; it is in its receipt, {result.receipt}")
    return found | settled


def fault_of(run: Run, status: str, results: dict[str, TaskResult], outcome: Value) -> IpvmError | None:
    """Return why a run did not end well."""
    hint = f"ipvm run show {run.id}"
    if status == "cancelled":
        why = f": {run.reason}" if run.reason else ""
        return CancelledError(f"run {run.id} was cancelled{why}", hint=hint, run=run.id)
    if status == "in-doubt":
        return _doubt(run, results)
    if status != "error":
        return None
    nodes = list(run.plan)[: run.plan.count]
    failed = [node.label for node in nodes if results[node.label].state == "error" and not node.handled]
    failed.sort(key=lambda label: _code(results[label]) == "transaction/aborted")  # these did not fail by themselves
    if not failed:
        return TaskFailedError(f"run {run.id} ended with an error: {brief(outcome)}", hint=hint, run=run.id)
    first = results[failed[0]]
    others = f" (and {words.plural(len(failed) - 1, 'other')})" if len(failed) > 1 else ""
    message = f"task {first.label!r} failed{others}: {reason(_seen(first))}"
    return TaskFailedError(message, hint=hint, run=run.id, task=first.label)


def _doubt(run: Run, results: dict[str, TaskResult]) -> InDoubtError:
    doubtful = [result for result in results.values() if result.state == "in-doubt"]
    if not doubtful:
        return InDoubtError(f"run {run.id} has an effect that may or may not have happened", run=run.id)
    first, others = doubtful[0], words.plural(len(doubtful) - 1, "other")
    also = f" (and {others})" if len(doubtful) > 1 else ""
    message = f"task {first.label!r}{also}: {reason(_seen(first))}"
    return InDoubtError(message, hint="ipvm effect list --in-doubt", run=run.id, task=first.label)


def _code(result: TaskResult) -> str:
    error = _seen(result)
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def reason(error: Any) -> str:
    """Return an error Result's value for people: code and message where it has them."""
    if error == VEIL:
        return HIDDEN
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        code = f"{error['code']}: " if isinstance(error.get("code"), str) else ""
        return f"{code}{error['message']}"
    return brief(error)


def show_values(run: Run, results: dict[str, TaskResult], outcome: Value) -> None:
    """Print a line for each task; of a large run only for what nothing else consumes and for what failed."""
    shown = list(results.values())
    if len(shown) > MAX_LINES:
        last = {node.label for node in run.plan if not node.targets}
        shown = [result for result in shown if result.label in last or result.state in _BAD][:MAX_LINES]
    for result in shown:
        line(f"{words.one_line(result.label)}: {_value(result)}")
    if outcome is not None:
        line(f"outcome: {HIDDEN if outcome == VEIL else brief(outcome)}")
    if len(shown) < len(results):
        words.say(f"… and {words.plural(len(results) - len(shown), 'more task')}; --json shows them all")


def _value(result: TaskResult) -> str:
    value = HIDDEN if result.sealed is not None else brief(_seen(result))
    if result.state == "ok":
        return value
    return f"{result.state} {value}" if result.state in _BAD else str(result.state)


def _seen(result: TaskResult) -> Any:
    """Return the value of a result as far as it may be shown."""
    return None if result.out is None else next(iter(result.out.values()))


def attach(client: Client, run: str) -> Run:
    """Return a run by its id, or by the beginning of one that is clear; raises `UsageError` for one that is not."""
    try:
        return client.run(run)
    except UsageError:
        matches = client.runs_beginning(run, _MAX_NAMED)
        if not matches:
            raise
    if len(matches) > 1:
        raise UsageError(f"several runs begin with {run!r}", hint=f"say more of it, as in {', '.join(matches)}")
    return client.run(matches[0])
