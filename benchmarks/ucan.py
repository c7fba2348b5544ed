"""What validating a chain of two costs: `python benchmarks/ucan.py [ROUNDS]` prints medians in microseconds as JSON."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from typing import TYPE_CHECKING

import cryptography

from ipvm_queue.crypto import SUITES, Signer
from ipvm_queue.ipld import CODEC, cid_of
from ipvm_queue.ucan import Container, Delegation, Encoding, Invocation, MemoryReplays, Validator

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 300
NOW = 1_800_000_000
POLICY = [["==", ".to[0]", "x"], ["like", ".from", "*@example.com"], ["<", ".n", 10]]
ARGS = {"to": ["x", "y"], "from": "a@example.com", "n": 2, "later": {"await/ok": cid_of("task")}}


def main() -> None:
    """Measure, and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    measured = {suite: chain_of_two(suite, rounds) for suite in SUITES}
    about = {"python": platform.python_version(), "cryptography": cryptography.__version__, "codec": CODEC}
    print(json.dumps({"unit": "microseconds, median", "rounds": rounds, **about, "chain of two": measured}, indent=2))


def chain_of_two(suite: str, rounds: int) -> dict[str, float]:
    """Return the medians of one suite."""
    queue, service, user = (Signer.generate(suite) for _ in range(3))
    one = Delegation.issue(queue, service.did, queue.did, "/msg", POLICY, expiration=NOW + 100)
    two = Delegation.issue(service, user.did, queue.did, "/msg/send", POLICY, expiration=NOW + 100)
    asked = Invocation.issue(user, queue.did, "/msg/send", ARGS, [one.link, two.link], expiration=NOW + 100)
    tokens = Container.of([one.data, two.data, asked.data])
    packed = tokens.write(Encoding.BYTES)
    warm = Validator()
    proofs = Validator()
    proofs.form(one.data)
    proofs.form(two.data)
    fresh = [
        Invocation.issue(user, queue.did, "/msg/send", ARGS, [one.link, two.link], expiration=NOW + 100).data
        for _ in range(rounds)
    ]
    replays = MemoryReplays(lambda: NOW)
    ahead = iter(fresh)
    return {
        "issue": median(lambda: Delegation.issue(queue, service.did, None, "/", expiration=None, nonce=b""), rounds),
        "signature": median(lambda: asked.token.verify(user.did), rounds),
        "cold": median(lambda: Validator().invocation(asked.data, tokens.tokens, now=NOW), rounds),
        "proofs memoised": median(
            lambda: proofs.invocation(next(ahead), tokens.tokens, now=NOW, replays=replays), rounds
        ),
        "memoised": median(lambda: warm.invocation(asked.data, tokens.tokens, now=NOW), rounds),
        "read container": median(lambda: Container.read(packed), rounds),
    }


def median(act: Callable[[], object], rounds: int) -> float:
    """Return the median duration of an act."""
    durations = []
    for _ in range(rounds):
        begun = time.perf_counter()
        act()
        durations.append(time.perf_counter() - begun)
    return round(statistics.median(durations) * 1e6, 1)


if __name__ == "__main__":
    main()
