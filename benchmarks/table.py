"""Print the tables of docs/performance.md from a result of run.py: `python benchmarks/table.py out.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CONTENDERS = ("ipvm", "celery", "pool")


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|" + "---|" * len(cells)]


def rate(figures: dict[str, Any] | None) -> str:
    """Write tasks per second, or that none of the runs ended."""
    if figures is None:
        return "-"
    text = f"{figures['tasks_per_s']:,.0f}" if "tasks_per_s" in figures else "hung"
    hung, runs = figures["hung"], len(figures["all_tasks_per_s"])
    return f"{text} ({hung} of {runs} hung)" if hung and text != "hung" else text


def ratio(best: float | None, middle: float | None) -> str:
    """Write the ratio of the fastest runs, and the median of those side by side."""
    return " ".join(text for text in (best and f"{best:,.2f}x", middle and f"({middle:,.2f}x)") if text) or "-"


def rates(cases: dict[str, Any]) -> list[str]:
    lines = head("case", "ipvm", "celery", "pool", "ipvm/celery", "ipvm/pool")
    for name, case in cases.items():
        found = case["contenders"]
        names = [f"ipvm/{other}" for other in ("celery", "pool")]
        shown = [ratio(case["ratios"].get(name), case["median_ratios"].get(name)) for name in names]
        lines.append(row(f"({name}) {case['title']}", *[rate(found.get(each)) for each in CONTENDERS], *shown))
    return lines


def costs(cases: dict[str, Any]) -> list[str]:
    lines = head(
        "case", "contender", "CPU ms a task", "submitter / worker / broker", "bytes", "commands", "worker RSS MB"
    )
    for name, case in cases.items():
        for contender in CONTENDERS:
            figures = case["contenders"].get(contender, {})
            if "cpu_ms_per_task" not in figures:
                continue
            spent = figures["cpu_ms_per_task"]
            parts = " / ".join(
                f"{spent[part]:.2f}" if part in spent else "-" for part in ("submitter", "worker", "broker")
            )
            traffic = [f"{figures[key]:,.0f}" if key in figures else "-" for key in ("broker_bytes_per_task",)]
            commands = f"{figures['commands_per_task']:.1f}" if "commands_per_task" in figures else "-"
            memory = ", ".join(f"{each:.0f}" for each in figures["worker_rss_mb"])
            lines.append(row(f"({name})", contender, f"{spent['all']:.2f}", parts, *traffic, commands, memory))
    return lines


def latencies(figures: dict[str, Any]) -> list[str]:
    lines = head("contender", "median ms", "p95 ms")
    lines += [row(name, figures[name]["median_ms"], figures[name]["p95_ms"]) for name in CONTENDERS if name in figures]
    return lines


def growths(table: dict[str, Any]) -> list[str]:
    lines = head("shape", "contender", "tasks", "broker bytes a task", "commands a task")
    for shape, contenders in table.items():
        for contender, sizes in contenders.items():
            for size, figures in sizes.items():
                cost = [figures.get(key, "hung") for key in ("broker_bytes_per_task", "commands_per_task")]
                lines.append(row(shape, contender, f"{int(size):,}", *[f"{each:,}" for each in cost]))
    return lines


def rerun(figures: dict[str, Any]) -> list[str]:
    first, again, messages = figures["first"]["seconds"], figures["again"]["seconds"], figures["messages_consumed"]
    return [f"First run {first:.2f} s; again {again:.2f} s, in which the workers took {messages} messages."]


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    machine = report["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    print(
        f"`{report['command']}`, {machine['when']}, {machine['cpus']} cores, Python {machine['python']}, {packages}, "
    )
    print(f"DAG-CBOR by {machine['dag_cbor_codec']}, load average before it {machine['load_average'][0]:.1f}.\n")
    parts = {
        "Tasks per second": rates(report.get("cases", {})),
        "What a task costs": costs(report.get("cases", {})),
        "Latency of one warm task": latencies(report.get("latency", {})),
        "Growth": growths(report.get("growth", {})),
        "Re-run of a finished job": rerun(report["rerun"]) if "rerun" in report else [],
    }
    for title, lines in parts.items():
        print(f"### {title}\n", *lines, "", sep="\n")


if __name__ == "__main__":
    main()
