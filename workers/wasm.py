"""Workers that run Wasm: `celery -A workers.wasm worker -c 4`."""

from config import celeryconfig
from ipvm_queue.plan import WASM_QUEUE
from ipvm_queue.worker import add_steps, make_app

app = make_app([WASM_QUEUE])
app.conf.update({name: value for name, value in vars(celeryconfig).items() if name.islower() and name[0] != "_"})
add_steps(app)
