"""Which results are secret: those that a job says are, those of private effects, and whatever is made of them.

(effects 5.1: "setting public: false will set all downstream to nonpublic as well, since they're now all tainted")
Values flow through promises alone: in arguments, `with` and `func`. `on` passes no value on, so it taints nothing; how
a task ended can be seen by everyone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipvm_queue.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ipvm_queue.workflow.model import Task, Workflow


def every_effect(task: Task) -> bool:
    """Take every effect for private: what to go by where nobody knows better."""
    return task.kind == "effect"


def secret_tasks(
    workflow: Workflow,
    order: Iterable[str],
    inputs: Mapping[str, Sequence[str]],
    private: Callable[[Task], bool] = every_effect,
) -> set[str]:
    """Return the labels of the tasks whose results are secret.

    `order` are the labels so that each stands behind its `inputs`, the labels whose results it takes; `private` says
    which effects are so unless a job says otherwise. Raises `DocumentError` for a job that would publish the result of
    such an effect without `force`.
    """
    tainted: set[str] = set()
    faults: list[Fault] = []
    for label in order:
        task = workflow.tasks[label]
        by_nature = task.kind == "effect" and private(task)
        if task.public:
            if by_nature and not task.force:
                faults.append(_unforced(task))
        elif by_nature or says_secret(task) or not tainted.isdisjoint(inputs[label]):
            tainted.add(label)
    if faults:
        raise DocumentError(faults)
    return tainted


def is_catch_secret(catch: Task, secret: Iterable[str]) -> bool:
    """Whether what `catch` answers is secret: it is handed any task's failure, so one secret task is enough."""
    return not catch.public and (says_secret(catch) or any(True for _ in secret))


def says_secret(task: Task) -> bool:
    """Whether a job says of its own result that it is secret; `public` goes before what it has from the header."""
    return task.public is False or (task.config.secret is True and not task.public)


def _unforced(task: Task) -> Fault:
    return Fault(
        "private",
        f"job {task.label!r} would publish the result of {task.ability}, which is private by nature",
        path=task.path,
        line=task.line,
        column=task.column,
        hint='where that is meant, say "public": true and "force": true',
    )
