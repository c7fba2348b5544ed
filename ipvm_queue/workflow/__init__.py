"""Documents in, one model out: readers of every kind of job document, the graph of a workflow, its signature."""

from ipvm_queue.workflow.checks import place
from ipvm_queue.workflow.graph import dependencies, find_cycles, predecessors
from ipvm_queue.workflow.limits import DocumentLimits
from ipvm_queue.workflow.model import Config, Promise, Signature, Task, Workflow
from ipvm_queue.workflow.promises import promises
from ipvm_queue.workflow.readers import read
from ipvm_queue.workflow.signing import bind, name_functions, sign

__all__ = [
    "Config",
    "DocumentLimits",
    "Promise",
    "Signature",
    "Task",
    "Workflow",
    "bind",
    "dependencies",
    "find_cycles",
    "name_functions",
    "place",
    "predecessors",
    "promises",
    "read",
    "sign",
]
