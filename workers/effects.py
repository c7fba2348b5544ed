"""Workers that do effects: `celery -A workers.effects worker -c 8`. They wait for the world more than they compute."""

from config import celeryconfig
from ipvm_queue.plan import EFFECT_QUEUE
from ipvm_queue.worker import add_steps, make_app

app = make_app([EFFECT_QUEUE])
app.conf.update({name: value for name, value in vars(celeryconfig).items() if name.islower() and name[0] != "_"})
add_steps(app)
