"""What identifies work: the Task CID.

`{sub, cmd, args, nonce}` and nothing else, so that equal pure work has one address for everyone on a queue.
(UCAN Invocation 1.0 `Task`; UCAN Promise 1.1.1 `ActID`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipvm_queue.ipld import DAG_CBOR, Link, encode_own

if TYPE_CHECKING:
    from ipvm_queue.ipld import Value

WASM_RUN: Final = "/wasm/run"


def task_link(subject: str, command: str, args: Value, nonce: bytes) -> Link:
    """Return the Task CID of a command on a subject's resource; `args` must be IPLD."""
    task = encode_own({"sub": subject, "cmd": command, "args": args, "nonce": nonce})
    return Link.of(task, DAG_CBOR)
