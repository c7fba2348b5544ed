"""Write shout.wasm from its source, and job.json, which names it by CID."""

from __future__ import annotations

import json
from pathlib import Path

import wasmtime

from ipvm_queue.ipld import Link

HERE = Path(__file__).resolve().parent
WORDS = "hello from a program\n"


def main() -> None:
    """Write both files."""
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
