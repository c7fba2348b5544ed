"""Write shout.wasm from its source, and job.json, which names it by CID.

With --show: read what `ipvm-submit --json job.json` printed and show the lines that matter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import wasmtime

from ipvm_queue.ipld import Link

HERE = Path(__file__).resolve().parent
WORDS = "hello from a program\n"


def show(run: dict[str, Any]) -> None:
    """Print what the programs wrote, what was kept of it, and what ran them."""
    first, second = (run["tasks"][label] for label in ("first", "second"))
    print(second["out"]["ok"]["stdout"], end="")
    print("kept:", ", ".join(first["out"]["ok"]["files"]))
    print("by:", first["meta"]["evidence"]["engine"])


def main() -> None:
    """Write both files, or show a result."""
    if "--show" in sys.argv:
        show(json.load(sys.stdin))
        return
    module = bytes(wasmtime.wat2wasm((HERE / "shout.wat").read_text()))
    (HERE / "shout.wasm").write_bytes(module)
    uri = f"ipfs://{Link.of(module)}"
    shout = {"type": "ipvm/effect", "with": uri, "do": "wasi/query"}
    jobs = {
        "first": {**shout, "inputs": {"stdin": WORDS, "outputs": ["shouted.txt"]}},
        "second": {**shout, "inputs": {"stdin": {"from": "first"}}},
    }
    (HERE / "job.json").write_text(json.dumps(jobs, indent=2) + "\n")
    print(f"job.json: {len(jobs)} jobs, the program is {Link.of(module)}")


if __name__ == "__main__":
    main()
