"""A clock that is wrong: a process that has this directory on its path sees the time shifted by SKEW seconds."""

import os
import time

_skew = float(os.environ.get("SKEW", "0"))
_right = time.time
time.time = lambda: _right() + _skew
