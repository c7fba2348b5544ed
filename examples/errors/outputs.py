"""Print what `ipvm-submit --json` answered, one line a job: pipe it in."""

from __future__ import annotations

import json
import sys
from typing import Any


def words(value: Any) -> str:
    """Return a value on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def line(out: dict[str, Any]) -> str:
    """Return `ok` and the value, or `error` and the error; of the executor's own errors only code and message."""
    if "ok" in out:
        return f"ok {words(out['ok'])}"
    error = out["error"]
    if isinstance(error, dict) and "code" in error:
        return f"error {error['code']}: {error['message']}"
    if isinstance(error, dict):
        error = {key: value for key, value in error.items() if key != "from"}  # a receipt's CID, new on each machine
    return f"error {words(error)}"


def main() -> None:
    """Read the answer on standard input and print it."""
    answer = json.load(sys.stdin)
    for label, task in sorted(answer.get("tasks", {}).items()):
        print(f"{label}: {line(task['out'])}")
    if "outcome" in answer:
        print(f"outcome: {line(answer['outcome'])}")
    print(f"status: {answer['status']}")


if __name__ == "__main__":
    main()
