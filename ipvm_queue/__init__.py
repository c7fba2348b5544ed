"""The task queue for content-addressed, capability-secured work.

```python
from ipvm_queue import Client

with Client() as client:
    run = client.submit(document)
    run.wait()
    print(run["count"].ok)
```
"""

from __future__ import annotations

import typing

from ipvm_queue._version import __version__
from ipvm_queue.errors import IpvmError

if typing.TYPE_CHECKING:
    from ipvm_queue.client import Client
    from ipvm_queue.run import Run, RunEvent, TaskResult

__all__ = ["Client", "IpvmError", "Run", "RunEvent", "TaskResult", "__version__"]


def __getattr__(name: str) -> typing.Any:
    """Bring the client when it is first named: commands that need no broker start without it."""
    if name == "Client":
        from ipvm_queue.client import Client  # noqa: PLC0415

        return Client
    if name in ("Run", "RunEvent", "TaskResult"):
        from ipvm_queue import run  # noqa: PLC0415

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
