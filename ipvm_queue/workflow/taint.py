"""Which results are secret: those that a job says are, those of private effects, and whatever is made of them.

(effects 5.1: "setting public: false will set all downstream to nonpublic as well, since they're now all tainted")
Values flow through promises alone: in arguments, `with` and `func`. `on` passes no value on, so it taints nothing; how
a task ended can be seen by everyone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ipvm_queue.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ipvm_queue.workflow.model import Task, Workflow


class Taint(IntEnum):
    """What a task has to do with secrets: nothing; it takes some, and publishes what it makes of them; it makes one."""

    NONE = 0
    TAKES = 1
    SECRET = 2


def every_effect(task: Task) -> bool:
    """Take every effect for private: what to go by where nobody knows better."""
    return task.kind == "effect"


def find_taints(
    workflow: Workflow,
    order: Iterable[str],
    inputs: Mapping[str, Sequence[str]],
    private: Callable[[Task], bool] = every_effect,
) -> dict[str, Taint]:
    """Return the taint of each task that has one, by label.

    `order` are the labels so that each stands behind its `inputs`, the labels whose results it takes; `private` says
    which effects are so unless a job says otherwise. Raises `DocumentError` for a job that would publish the result of
    such an effect without `force`.
    """
    taints: dict[str, Taint] = {}
    secret: set[str] = set()
    faults: list[Fault] = []
    for label in order:
        task = workflow.tasks[label]
        takes = bool(secret) and not secret.isdisjoint(inputs[label])
        by_nature = task.kind == "effect" and private(task)
        if task.public:
            if by_nature and not task.force:
                faults.append(unforced(task))
            if takes:
                taints[label] = Taint.TAKES
        elif by_nature or takes or says_secret(task):
            taints[label] = Taint.SECRET
            secret.add(label)
    if faults:
        raise DocumentError(faults)
    return taints


def taint_of_catch(catch: Task, taints: Mapping[str, Taint]) -> Taint:
    """Return the taint of `catch`: it may be handed any task's failure, so one secret task is enough."""
    takes = Taint.SECRET in taints.values()
    if catch.public:
        return Taint.TAKES if takes else Taint.NONE
    return Taint.SECRET if takes or says_secret(catch) else Taint.NONE


def says_secret(task: Task) -> bool:
    """Whether a job says of its own result that it is secret; `public` goes before what it has from the header."""
    return task.public is False or (task.config.secret is True and not task.public)


def unforced(task: Task) -> Fault:
    """Return what is wrong with a job that publishes, without `force`, what is private by nature."""
    return Fault(
        "private",
        f"job {task.label!r} would publish the result of {task.ability}, which is private by nature",
        path=task.path,
        hint='where that is meant, say "public": true and "force": true',
    )
