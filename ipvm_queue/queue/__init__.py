"""The WorkQueue agent, named as the spec names it."""

from ipvm_queue.queue.push import Pushed, WorkQueue

__all__ = ["Pushed", "WorkQueue"]
