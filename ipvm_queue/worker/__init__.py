"""What a Celery worker does with a node. `celery -A ipvm_queue.worker worker` runs one that takes every queue."""

from ipvm_queue.worker.app import make_app, settings
from ipvm_queue.worker.bootsteps import add_steps

app = make_app()
add_steps(app)

__all__ = ["add_steps", "app", "make_app", "settings"]
