"""The deployable roles: `celery -A workers.wasm worker`."""
