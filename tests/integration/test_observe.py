"""What a real worker writes to its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ipvm_queue.embedded import Embedded
from ipvm_queue.settings import Settings

pytestmark = pytest.mark.integration


def test_a_worker_logs_in_the_form_that_is_set(tmp_path):
    """With log_form json, what Celery and we log is one JSON object a line."""
    settings = Settings(data_dir=tmp_path, log_form="json")
    with Embedded.join(settings, workers=False) as stack:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "ipvm_queue.worker", "worker", "-P", "solo", "-l", "INFO"],
            env=os.environ | settings.environment() | {"IPVM_BROKER_URL": stack.broker_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            line = next(line for line in worker.stderr if line.startswith("{"))
        finally:
            worker.kill()
            worker.communicate()

    assert {"timestamp", "level", "event", "logger"} <= json.loads(line).keys()
