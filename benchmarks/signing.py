"""What signing and verifying cost: `python benchmarks/signing.py [REPEAT]` prints the share of tasks/s as JSON.

The cases of run.py on two stacks in turn, one of which signs nothing and verifies nothing (unsigned.py). Each figure is
that of the fastest of REPEAT runs, as there.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, nullcontext
from typing import Any, Final

from measure import tidy_when_stopped
from on_ipvm import Ipvm
from run import CASES, fastest, machine, once, say
from unsigned import unsigned

MEASURED: Final = ("a", "b", "c", "d")
REPEAT: Final = 7


class Unsigned(Ipvm):
    """The product without signatures."""

    name = "unsigned"
    celery = ("benchmarks/unsigned.py",)


def main() -> None:
    """Measure, and print."""
    tidy_when_stopped()
    repeat = int(sys.argv[1]) if len(sys.argv) > 1 else REPEAT
    report: dict[str, Any] = {"machine": machine(), "cases": {}}
    with ExitStack() as stack:
        signed = stack.enter_context(Ipvm())
        with unsigned():
            plain = stack.enter_context(Unsigned())
        for name in MEASURED:
            report["cases"][name] = measure(name, {"signed": signed, "unsigned": plain}, repeat)
    print(json.dumps(report, indent=2))


def measure(name: str, stacks: dict[str, Ipvm], repeat: int) -> dict[str, Any]:
    """Run a case on both stacks in turn."""
    case = CASES[name]
    runs: dict[str, list[dict[str, Any]]] = {each: [] for each in stacks}
    for _ in range(repeat):
        for each, ipvm in stacks.items():
            with unsigned() if each == "unsigned" else nullcontext():
                runs[each].append(once(ipvm, case.make(), case.timeout))
    rates = {each: fastest(some) for each, some in runs.items()}
    lost = 1 - rates["signed"]["tasks_per_s"] / rates["unsigned"]["tasks_per_s"]
    say(f"  {name}: {lost:.1%} of tasks per second")
    kept = {
        each: {key: some[key] for key in ("tasks_per_s", "all_tasks_per_s", "cpu_ms_per_task")}
        for each, some in rates.items()
    }
    return {"title": case.title, **kept, "lost": round(lost, 3)}


if __name__ == "__main__":
    main()
