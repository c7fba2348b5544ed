"""What an operator sees: logs, and the words for tasks in events."""

from ipvm_queue.observe.logs import dress, logger
from ipvm_queue.observe.words import describe

__all__ = ["describe", "dress", "logger"]
