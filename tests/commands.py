"""Where the commands and the example that they are tried on are."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PIPELINE = ROOT / "examples" / "pipeline" / "job.json"
