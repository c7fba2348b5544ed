"""The default that needs no server: Valkey and workers of one's own.

Commands *join* a stack by holding a connection to its supervisor. The supervisor starts with the first holder and
stops everything when the last one is gone. The kernel closes a connection whatever ends the process that held it, and
each part is killed when the supervisor ends, so nothing is ever left running.

::

    ipvm-submit ──holds──► supervisor ──► Valkey
    ipvm up     ──holds──►            ──► celery worker ──► its children
"""

from ipvm_queue.embedded.join import Embedded, log_of

__all__ = ["Embedded", "log_of"]
