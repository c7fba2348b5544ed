"""How many jobs a gate lets in: `python benchmarks/gate.py [PUSHES] [TASKS]` prints pushes a second as JSON.

Jobs of one task, and one of TASKS, are signed ahead, left in the inbox at once, and timed until the last is answered.
One worker has a lease, so that each push is handed out too: what is timed are three signatures verified (those of the
document, 8 and 9; delegations are remembered), two made (11 and the answer), a plan made and a run opened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import guest
from measure import Broker, cpu_seconds, tidy_when_stopped

from ipvm_queue.crypto import load_signer
from ipvm_queue.ipld import CODEC, DAG_CBOR, Link
from ipvm_queue.queue import Proofs, Stall, establish
from ipvm_queue.queue.requests import pop, push
from ipvm_queue.settings import Settings
from ipvm_queue.store import Inbox, Keys, RedisBlocks, connect
from ipvm_queue.ucan import read
from ipvm_queue.workflow import read as read_job
from ipvm_queue.workflow import sign

ROOT = Path(__file__).parent.parent
PUSHES, TASKS = 4000, 10_000
BATCH = 500


class Left(NamedTuple):
    """A request that is made and not left yet: its id, container and document."""

    name: str
    container: bytes
    document: bytes


def main() -> None:
    """Measure, and print."""
    tidy_when_stopped()
    pushes, tasks = (int(given or usual) for given, usual in zip_longest(sys.argv[1:3], (PUSHES, TASKS)))
    with tempfile.TemporaryDirectory(prefix="ipvm-benchmark-") as home, Broker() as broker:
        settings = settings_in(Path(home), broker.url)
        establish(settings)
        gate = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "workers.gate", "worker", "-P", "solo", "-l", "WARNING"],
            cwd=ROOT,
            env=os.environ | settings.environment(),
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )
        try:
            bench = Bench(settings)
            bench.let_a_worker_in()
            small = bench.measure([bench.request(1, number) for number in range(pushes)], gate)
            large = bench.measure([bench.request(tasks, -1)], gate)
        finally:
            gate.terminate()
            gate.wait()
    print(json.dumps({"codec": CODEC, "one task": small, f"{tasks} tasks": large}, indent=2))


def settings_in(home: Path, url: str) -> Settings:
    """Return settings whose keys and proofs are all in one place."""
    files = {name: home / f"{name}.pem" for name in ("key", "worker_key", "queue_key", "service_key")}
    files |= {name: home / f"{name}.ucan" for name in ("proofs", "worker_proofs", "queue_proofs")}
    return Settings(broker_url=url, data_dir=home, cache_dir=home, max_document_bytes=64 << 20, pop_lease=3600, **files)


class Bench:
    """A user with many jobs before a gate."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.signer = load_signer(settings.key)
        self.proofs = Proofs.load([settings.proofs])
        self.queue = load_signer(settings.queue_key).did
        self.service = load_signer(settings.service_key).did
        self.keys = Keys(settings.queue)
        self.redis = connect(str(settings.broker_url))
        self.inbox = Inbox(self.redis, self.keys, max_bytes=settings.max_request_bytes)
        self.module = str(RedisBlocks(self.redis, self.keys).put(guest.SCALARS))

    def let_a_worker_in(self) -> None:
        """Pop once, and wait for the answer."""
        worker, proofs = load_signer(self.settings.worker_key), Proofs.load([self.settings.worker_proofs])
        asked = pop(worker, self.queue, proofs, Stall("bench@here", ["ipvm.wasm"], 1), now=int(time.time()))
        name = token_hex(16)
        self.inbox.leave(name, asked.container.write(), {})
        answer = self.inbox.answer(name, 60)
        if answer is None or "ok" not in read(answer).out:
            raise SystemExit("the gate let no worker in")

    def request(self, tasks: int, number: int) -> Left:
        """Return the request to push a job of independent tasks, made and signed."""
        task = {"type": "wasm/1.0", "with": self.module, "func": "sum2"}
        jobs = {f"t{i}": {**task, "input": [number, i]} for i in range(tasks)}
        document = sign(read_job(json.dumps(jobs)), self.signer).document
        link = Link.of(document, DAG_CBOR)
        now = int(time.time())
        asked = push(self.signer, self.queue, self.service, link, self.proofs, now=now, lifetime=3600)
        return Left(token_hex(16), asked.container.write(), document)

    def measure(self, requests: list[Left], gate: subprocess.Popen[bytes]) -> dict[str, float]:
        """Leave all requests, wait for the last answer; return pushes a second, and what one costs the gate."""
        pipeline = self.redis.pipeline(transaction=False)
        for each in requests:
            link = Link.of(each.document, DAG_CBOR)
            pipeline.hset(self.keys.request(each.name), mapping={"c": each.container, link.key: each.document})
        for start_of in range(0, len(requests), BATCH):
            pipeline.lpush(self.keys.inbox, *[each.name for each in requests[start_of : start_of + BATCH]])
        cpu, begun = cpu_seconds([gate.pid]), time.perf_counter()
        pipeline.execute()
        last = self.inbox.answer(requests[-1].name, 600)
        took = time.perf_counter() - begun
        if last is None or "ok" not in read(last).out:
            raise SystemExit(f"the gate refused a job: {last!r:.300}")
        return {
            "pushes_per_s": round(len(requests) / took, 1),
            "seconds": round(took, 3),
            "gate_cpu_ms_per_push": round((cpu_seconds([gate.pid]) - cpu) * 1000 / len(requests), 3),
        }


if __name__ == "__main__":
    main()
