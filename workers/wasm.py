"""Workers that run Wasm: `celery -A workers.wasm worker -c 4`."""

from ipvm_queue.plan import WASM_QUEUE
from ipvm_queue.worker import add_steps, make_app

app = make_app([WASM_QUEUE])
add_steps(app)
