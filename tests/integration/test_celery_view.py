"""What plain Celery sees of a run: its canvas, its results."""

from __future__ import annotations

import pytest
from modules import numbers, salt

from ipvm_queue.ipld import Link
from ipvm_queue.plan.canvas import compile_canvas
from ipvm_queue.store import Keys, RedisRuns
from ipvm_queue.worker.app import defaults

pytestmark = pytest.mark.integration

NUMBERS = Link.of(numbers())


def diamond(base):
    """Return a job with a chain, a fan-out and a fan-in."""

    def add(left, right):
        return {"type": "wasm/1.0", "with": NUMBERS, "func": "add", "input": [left, right]}

    return {
        "top": add(base, 1),
        "left": add({"from": "top"}, 1),
        "right": add({"from": "top"}, 2),
        "end": add({"from": "left"}, {"from": "right"}),
        "tail": add({"from": "end"}, 1),
    }


@pytest.fixture
def app(idle):
    """Return Celery's application of a queue of the test's own, as a submitter would make it."""
    from celery import Celery

    app = Celery("test", set_as_current=False)
    app.conf.update(defaults(idle.settings, ["ipvm.wasm"]))
    return app


def test_a_canvas_that_celery_applies_runs_the_plan(idle, app):
    """With every message of ours lost, the canvas that Celery itself publishes ends the run: it is real."""
    with idle.client() as client:
        client.blocks.put(numbers())
        base = salt()
        run = client.submit(diamond(base))
        idle.redis.delete(Keys("tests").list("ipvm.wasm"))
        for signature in compile_canvas(run.plan, app, run.id):
            signature.apply_async()
        idle.start_worker()

        assert run.wait(60)["tail"].ok == 2 * base + 6


def test_async_results_are_receipts(stack, client, numbers_cid):
    """Celery's AsyncResult of a node is PENDING before it has settled, then SUCCESS with the CID of its receipt."""
    from celery import Celery

    del numbers_cid
    run = client.submit(diamond(salt())).wait(60)
    app = Celery("test", set_as_current=False)
    app.conf.update(defaults(stack.settings, ["ipvm.wasm"]))
    runs = RedisRuns(client.blocks._redis, Keys("tests"), lease=1.0, receipt_lifetime=None)
    (record,) = runs.records(run.id, [0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ipvm_queue.worker.backend.settings", lambda: stack.settings)
        assert app.AsyncResult(f"{run.id}:0").state == "SUCCESS"
        assert app.AsyncResult(f"{run.id}:0").get(timeout=5) == str(record.receipt)
        assert app.AsyncResult(f"{run.id}:99").state == "PENDING"
