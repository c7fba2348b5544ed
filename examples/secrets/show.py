"""Print what `ipvm-submit --json` says of each task."""

from __future__ import annotations

import json
import sys
from base64 import b64decode


def main() -> None:
    """Read standard input."""
    for label, task in sorted(json.load(sys.stdin)["tasks"].items()):
        value = task["out"].get("ok", task["out"])
        match value:
            case {"secret": True}:
                shown = "(secret)"
            case {"/": {"bytes": text}}:
                shown = b64decode(text + "==").decode()
            case other:
                shown = str(other)
        print(f"{label}: {shown}")


if __name__ == "__main__":
    main()
