"""Plan → Celery canvas: real chords and chains whose every member is `ipvm.run` with a run and a node number.

A linear run is a `chain`, a node with several predecessors the body of a `chord` whose header they are. Members are
references of constant size: results pass through receipts, never through messages. One task may stand in the headers
of several chords, which a stock result backend cannot count; ours releases a body in the same script that settles
the last of its header, so it can.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from celery import Celery
from celery.canvas import Signature, chain, chord, group

if TYPE_CHECKING:
    from ipvm_queue.ipld import Link
    from ipvm_queue.plan.model import Node, Plan

TASK_NAME: Final = "ipvm.run"
RUN_MARK: Final = "@RUN@"
NODE_MARK: Final = "@NODE@"
PLAN_MARK: Final = "@PLAN@"
_GRACE: Final = 150.0  # seconds beside the task's own: a module may have to be compiled before it


def link(app: Celery, run: str, node: int, queue: str) -> Signature:
    """Return the signature of one node: `ipvm.run(run, node)` under the task id `run:node`."""
    return Signature(TASK_NAME, args=(run, node), app=app, immutable=True, task_id=f"{run}:{node}", queue=queue)


def compile_canvas(plan: Plan, app: Celery, run: str = "run") -> list[Signature]:
    """Return the canvas of a plan: chords, chains and single signatures, none nested in another.

    Applying them all runs the plan: a member whose turn has not come leaves its work to the one that releases it.
    """
    nodes = plan.steps

    def member(number: int) -> Signature:
        return link(app, run, number, plan.queues[nodes[number].queue])

    canvas: list[Signature] = []
    for number, node in nodes.items():
        sources = node.predecessors
        if len(sources) == 1 and nodes[sources[0]].runs_into == number:
            continue  # it stands in a chain that began before it
        links = [member(each) for each in _chain(nodes, number)]
        unit = links[0] if len(links) == 1 else chain(*links, app=app)
        if len(sources) > 1:
            header = group([member(each) for each in sources], app=app)
            unit = chord(header, unit, app=app, task_id=f"{run}:g{number}")
        canvas.append(unit)
    return canvas


def _chain(nodes: dict[int, Node], start: int) -> list[int]:
    links = [start]
    while (following := nodes[links[-1]].runs_into) is not None:
        links.append(following)
    return links


def message(queue: str, plan: Link, seconds: float) -> str:
    """Return the broker message of a node as kombu's Redis transport would write it, with marks for run and node.

    Scripts splice the marks, so that a node is published in the same atomic step that releases it. `seconds` is the
    longest that a node may take.
    """
    return _template(queue, seconds).replace(PLAN_MARK, str(plan))


@lru_cache(maxsize=64)
def _template(queue: str, seconds: float) -> str:
    task_id = f"{RUN_MARK}:{NODE_MARK}"
    made = Celery("message", set_as_current=False).amqp.as_task_v2(
        task_id,
        TASK_NAME,
        args=(RUN_MARK, NODE_MARK, PLAN_MARK),
        kwargs={},
        argsrepr=task_id,
        kwargsrepr="{}",
        root_id=RUN_MARK,
        time_limit=seconds + _GRACE,
        ignore_result=True,
    )
    return json.dumps(
        {
            "body": json.dumps(made.body).replace(f'"{NODE_MARK}"', NODE_MARK),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": made.headers,
            "properties": {
                **{key: value for key, value in made.properties.items() if value},
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": task_id,
            },
        }
    )
