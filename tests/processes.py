"""What runs on this machine for a stack, read from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path


def processes(directory):
    """Return the pids of every process in the session of whatever works inside this directory."""
    running = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, *_rest, session = (entry / "stat").read_text().rpartition(") ")[2].split()[:4]
                running[int(entry.name)] = (state, int(session), str((entry / "cwd").readlink()))
            except OSError:
                continue  # it has ended meanwhile
    own = running[os.getpid()][1]
    inside = {session for _, session, cwd in running.values() if cwd.startswith(str(directory)) and session != own}
    return {pid for pid, (state, session, _) in running.items() if session in inside and state != "Z"}


def state_of(pid):
    """Return the state letter of a process; Z for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "Z"


def wait_until_gone(pids):
    """Wait until none of these processes runs any more; fail after ten seconds."""
    deadline = time.monotonic() + 10
    left = set(pids)
    while left:
        left = {pid for pid in left if state_of(pid) != "Z"}
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
