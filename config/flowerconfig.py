"""Flower, as an operator should have it: celery -A workers.wasm flower --conf=config/flowerconfig.py.

It reads events alone. What it shows of a task is its label and short CIDs: no argument and no result is in an event.
"""

import os

from flower.views import BaseHandler

from ipvm_queue.plan import EFFECT_QUEUE, WASM_QUEUE

# Loopback: put a TLS proxy in front for anyone else. A container publishes its port on the host's loopback instead.
address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")
port = int(os.environ.get("FLOWER_PORT", "5555"))

# user:password, several divided by commas. Without it /api/* is shut, and the pages are open to whoever reaches them.
basic_auth = [pair for pair in os.environ.get("FLOWER_BASIC_AUTH", "").split(",") if pair]
if not basic_auth and address not in ("127.0.0.1", "::1", "localhost"):
    raise SystemExit(f"Flower would be open to whoever reaches {address}: set FLOWER_BASIC_AUTH=user:password")

# Nothing can be started, stopped or revoked here; that is for `ipvm run cancel`, which leaves receipts behind.
read_only = True

# The id is <run>:<node>, the arguments are the label and the short Task CID. Results and kwargs would only add width.
tasks_columns = "name,args,uuid,state,received,runtime,worker"
natural_time = True

# A view of now, not the history: that is in the receipts. 10,000 tasks are about 30 MB.
persistent = False
max_tasks = 10_000
max_workers = 1_000
# A worker that was scaled away leaves its row, and its series, after this many seconds.
purge_offline_workers = 300

# Buckets for tasks of milliseconds; the default's first is 5 ms and hides them all.
task_runtime_metric_buckets = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0]

_active_queue_names = BaseHandler.get_active_queue_names


def _our_queue_names(handler: BaseHandler) -> list[str]:
    """Return all queues of ours beside those that a worker consumes: work may wait where no worker is."""
    return sorted({WASM_QUEUE, EFFECT_QUEUE, *_active_queue_names(handler)})


BaseHandler.get_active_queue_names = _our_queue_names
