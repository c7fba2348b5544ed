"""UCAN 1.0: envelopes, Task CIDs, promises and receipts."""

from ipvm_queue.ucan.envelope import Envelope, seal, unseal
from ipvm_queue.ucan.promise import PromiseError, form, resolve
from ipvm_queue.ucan.receipt import Receipt, issue, read
from ipvm_queue.ucan.task import WASM_RUN, task_link

__all__ = [
    "WASM_RUN",
    "Envelope",
    "PromiseError",
    "Receipt",
    "form",
    "issue",
    "read",
    "resolve",
    "seal",
    "task_link",
    "unseal",
]
