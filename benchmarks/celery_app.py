"""The tasks of the Celery baseline, and its settings: Celery's own, but for JSON, no events, and a longer prefetch."""

from __future__ import annotations

import os

import guest
from celery import Celery

app = Celery("baseline", broker=os.environ["BENCHMARK_REDIS"], backend=os.environ["BENCHMARK_REDIS"])
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=16,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    result_chord_join_timeout=60,
)


@app.task(name="call")
def call(*arguments: int, function: str) -> int:
    """One call whose arguments come in the message; a chain puts the result of the step before in front."""
    return guest.call(function, list(arguments))


@app.task(name="total")
def total(results: list[int]) -> int:
    """Add up the results of a chord's header."""
    return guest.call("total", [results])


@app.task(name="node")
def node(function: str, arguments: list[int], parents: list[str]) -> int:
    """One node of a graph; it reads the results of its parents from the result backend by their task ids."""
    return guest.call(function, arguments + [app.backend.get_result(parent) for parent in parents])


@app.task(name="end")
def end() -> None:
    """Stand behind the last level, so that there is one result to wait for."""
