"""Where the commands and the example that they are tried on are."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PIPELINE = ROOT / "examples" / "pipeline" / "job.json"


def on_terminal(command: list[str | Path], **variables: str) -> tuple[bytes, bytes]:
    """Run a command whose standard error is a terminal; return its standard output, and what stands there then."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", **variables}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break  # the other side is closed
        shown += part
    os.close(master)
    out, _ = running.communicate(timeout=30)
    return out, shown
