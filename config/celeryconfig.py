"""Celery settings that an operator may change, for every role in workers/. The values here are good ones to begin with.

What the queue's correctness rests on is set by the application itself (`ipvm_queue.worker.app`) and is not for this
file: JSON messages only, the key prefix, no ack emulation (lost messages are published again from the ready set), no
results of Celery's own (receipts are the results), prefetch of one, early acks, no missing queues made up.
Addresses, keys and lifetimes are settings of ipvm: `IPVM_*` or ipvm.toml; `ipvm doctor` prints them.
"""

# Processes a worker; -c on the command line wins. None: one for each core. A Wasm task uses one core and no more.
worker_concurrency = None

# kB. A process that has grown beyond this is replaced when its task is done; guests are limited on their own, by job.
worker_max_memory_per_child = 600_000

# Seconds. After a cold stop (SIGQUIT) running tasks have this long before they are given back. A warm stop (SIGTERM)
# waits for running tasks and can take 30 seconds longer than they do: give the service manager 60.
worker_soft_shutdown_timeout = 20

# Lets Flower and `celery inspect` ask workers. Flower's read_only keeps its users from commanding them.
worker_enable_remote_control = True

# A broker that is away at the start or later is waited for, for ever: receipts and runs outlive the outage.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None

# One line a record on standard error; the service manager or the container keeps it.
worker_log_format = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"
worker_log_color = False
