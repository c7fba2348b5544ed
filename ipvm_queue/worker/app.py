"""The Celery application and its settings, each with its reason.

Correctness is `begin`, `settle` and the sweeper, not the broker: so everything of Celery's that would do the same
job again, slower, is off.
"""

from __future__ import annotations

from functools import cache
from ssl import CERT_REQUIRED
from typing import TYPE_CHECKING, Any, Final

from celery import Celery
from kombu import Queue

from ipvm_queue.plan import EFFECT_QUEUE, WASM_QUEUE
from ipvm_queue.settings import Settings
from ipvm_queue.store import Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_BROKER: Final = "redis://127.0.0.1:6379/0"
_HARD_SECONDS: Final = 3600


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()


def make_app(queues: Sequence[str] = (WASM_QUEUE, EFFECT_QUEUE)) -> Celery:
    """Return the application of a worker that consumes `queues`."""
    app = Celery("ipvm_queue", include=["ipvm_queue.worker.tasks"])
    app.conf.update(defaults(settings(), queues))
    return app


def defaults(given: Settings, queues: Sequence[str]) -> dict[str, Any]:
    """Return the Celery configuration of a queue."""
    prefix = Keys(given.queue).prefix
    broker_url = given.broker_url or DEFAULT_BROKER
    return {
        "broker_url": broker_url,
        # Without a word of it, a broker is believed to be who it says.
        "broker_use_ssl": {"ssl_cert_reqs": CERT_REQUIRED} if broker_url.startswith("rediss:") else None,
        "result_backend": "ipvm_queue.worker.backend.ReceiptBackend",
        # Messages are references: a run and a node. Nothing else is ever unpickled or decoded.
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_queues": [Queue(name, routing_key=name) for name in queues],
        "task_default_queue": queues[0],
        "task_create_missing_queues": False,
        "broker_transport_options": {
            "global_keyprefix": prefix,
            # Lost messages are published again from the ready set, so the broker need not keep copies: 2 commands
            # a message instead of 10.
            "ack_emulation": False,
            # By kombu's default a channel's name begins with the database's number, which users.acl cannot know.
            "fanout_prefix": "/0.",
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 15,
        },
        # Results are receipts, stored by `settle`; Celery's own rows would be two more round trips a task.
        "task_ignore_result": True,
        "task_acks_late": False,
        # A message may stay for a budget of seconds and one task; its own time limit comes in its header.
        "task_time_limit": _HARD_SECONDS,
        "worker_prefetch_multiplier": 1,  # more only ages messages in a worker that is busy
        # Flower's source, told by batch (worker/announce.py). Where they are off, Flower turns them on when it comes.
        "worker_send_task_events": given.events,
        "task_send_sent_event": False,  # labelled by client: new series in Prometheus for every submitter
        "worker_lost_wait": 1.0,  # how late a process's death is told; the default of 10 s is for results in a pipe
        "worker_max_memory_per_child": 600_000,  # kB; wasmtime-py leaks a few bytes for each lifted option
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_soft_shutdown_timeout": 20,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_limit": 16,  # opened when needed; Flower asks workers four things at once, two connections each
        "broker_pool_acquire_timeout": 10,  # raise instead of waiting for ever
        "enable_utc": True,
    }
