"""Write job.json: count the primes below a million in 1,000 chunks, and add the counts up in a tree.

With --check: read what `ipvm-submit --json job.json` printed and compare the total with that of a sieve.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
GUEST = "file:../guests/primes.wasm"


def batched(labels: list[str], size: int) -> Iterator[list[str]]:
    """Yield the labels in groups of at most `size`."""
    rest = iter(labels)
    while group := list(islice(rest, size)):
        yield group


def make_jobs(below: int, chunks: int, fan_in: int) -> dict[str, Any]:
    """Return the labelled jobs: one a chunk, then levels of sums until one is left, which is `total`."""
    jobs: dict[str, Any] = {}
    for chunk in range(chunks):
        start, end = (below * edge // chunks for edge in (chunk, chunk + 1))
        span = [{"start": start}, {"end": end}]
        jobs[f"chunk-{chunk}"] = {"type": "wasm/1.0", "with": GUEST, "func": "count-primes", "input": span}
    level, parts = 0, list(jobs)
    while len(parts) > 1:
        level += 1
        groups = list(batched(parts, fan_in))
        parts = [f"sum-{level}-{index}" for index in range(len(groups))] if len(groups) > 1 else ["total"]
        for label, group in zip(parts, groups, strict=True):
            counts = [{"parts": [{"from": part} for part in group]}]
            jobs[label] = {"type": "wasm/1.0", "with": GUEST, "func": "sum", "input": counts}
    return jobs


def sieve(below: int) -> int:
    """Return how many primes there are below a number: the same answer by another way."""
    prime = bytearray(b"\0\0" + b"\1" * (below - 2))
    for number in range(2, int(below**0.5) + 1):
        if prime[number]:
            prime[number * number :: number] = bytes(len(range(number * number, below, number)))
    return sum(prime)


def main() -> int:
    """Write the job, or check a result that stands on standard input."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--below", type=int, default=1_000_000)
    words.add_argument("--chunks", type=int, default=1_000)
    words.add_argument("--fan-in", type=int, default=32, help="how many counts one job adds up")
    words.add_argument("--check", action="store_true", help="check the result on standard input")
    options = words.parse_args()

    if min(options.chunks, options.fan_in, options.below) < 2:  # noqa: PLR2004 - one of anything needs no reduce
        words.error("--below, --chunks and --fan-in are at least 2")
    if options.check:
        out = json.load(sys.stdin)["tasks"]["total"]["out"]
        if "ok" not in out:
            print(f"there is no total: {out}")
            return 1
        total, right = out["ok"], sieve(options.below)
        print(f"{total} primes below {options.below}: {'right' if total == right else f'wrong, it is {right}'}")
        return 0 if total == right else 1
    jobs = make_jobs(options.below, options.chunks, options.fan_in)
    (HERE / "job.json").write_text(json.dumps(jobs, indent=1) + "\n", encoding="utf-8")
    print(f"job.json: {len(jobs)} jobs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
