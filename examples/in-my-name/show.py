"""Print what `ipvm-submit --json`, or `ipvm receipt verify --json`, says of each task: pipe it in."""

from __future__ import annotations

import json
import sys
from typing import Any


def result(out: dict[str, Any]) -> str:
    """Return a value, or the code of an error."""
    return json.dumps(out["ok"], sort_keys=True) if "ok" in out else f"error {out['error']['code']}"


def standing(receipt: dict[str, Any]) -> str:
    """Return whether a receipt holds, who asked for its task, in whose name it is signed, and what it carries."""
    verdicts = {step["name"]: step["verdict"] for step in receipt["steps"]}
    holds = "holds" if set(verdicts.values()) <= {"ok", "unknown"} else "does not hold"
    name = "the service's name" if verdicts["service"] == "ok" else "nobody's name"
    asker = "the worker" if receipt["requestor"] == receipt["worker"] else "the user"
    beneath = [step["detail"] for step in receipt["steps"] if step["name"] == "beneath"]
    carries = "".join(f", carries {detail.partition(' of a further job')[0]}" for detail in beneath)
    return f"{holds}, asked for by {asker}, signed in {name}{carries}"


def main() -> None:
    """Read the answer on standard input and print it."""
    answer = json.load(sys.stdin)
    if "tasks" in answer:
        found = {label: result(task["out"]) for label, task in answer["tasks"].items()}
    else:
        found = {label: standing(each) for each in answer["receipts"] for label in each["labels"]}
    for label, text in sorted(found.items()):
        print(f"{label}: {text}")


if __name__ == "__main__":
    main()
