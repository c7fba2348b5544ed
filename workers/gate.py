"""The gate of a queue: `celery -A workers.gate worker -P solo`."""

from config import celeryconfig
from ipvm_queue.worker.gate import app

app.conf.update({name: value for name, value in vars(celeryconfig).items() if name.islower() and name[0] != "_"})
