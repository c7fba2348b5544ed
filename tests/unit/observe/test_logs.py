"""Logs are of one kind, whoever writes them."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
import structlog

from ipvm_queue.observe import describe, dress, logger


@pytest.fixture
def log():
    """Return a function that dresses a logger of the standard library and gives what it writes to."""
    stream = StringIO()
    records = logging.getLogger("observed")
    handler = logging.StreamHandler(stream)
    records.addHandler(handler)
    records.setLevel(logging.INFO)
    records.propagate = False

    def write(form):
        dress(records, form)
        return stream

    yield write
    records.removeHandler(handler)
    structlog.contextvars.clear_contextvars()


def test_a_record_is_one_json_object(log):
    """A record of ours is a JSON object with its fields, those bound for the run included."""
    stream = log("json")
    structlog.contextvars.bind_contextvars(run="r1")

    logger("observed").info("settled", node=3, label="count", task="…abc")

    record = json.loads(stream.getvalue())
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "info",
        "event": "settled",
        "run": "r1",
        "node": 3,
        "label": "count",
        "task": "…abc",
        "logger": "observed",
    }


def test_records_of_others_look_the_same(log):
    """What Celery or a library logs becomes a record of the same shape."""
    stream = log("json")

    logging.getLogger("observed").warning("the %s is away", "broker")

    record = json.loads(stream.getvalue())
    assert (record["level"], record["event"], record["logger"]) == ("warning", "the broker is away", "observed")


def test_a_traceback_stays_in_its_record(log):
    """An exception is a field of its record, so that a line is a record always."""
    stream = log("json")

    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger("observed").exception("failed")

    (line,) = stream.getvalue().splitlines()
    assert "ZeroDivisionError: division by zero" in json.loads(line)["exception"]


def test_for_people_a_record_is_a_line_of_pairs(log):
    """The console form is key=value on one line, line ends written out."""
    stream = log("console")

    logger("observed").info("two\nlines", run="r1")

    (line,) = stream.getvalue().splitlines()
    assert "level=info event=two\\nlines run=r1" in line


def test_a_task_is_described_without_a_value():
    """Events name a task by its label and the end of its CID; labels cannot steer what shows them."""
    assert describe("count", "bafyreick3md7vb5mneydnuv7nfqu7h5waeqdsknq5zoupgcme35z5lqobu") == "count …5z5lqobu"
    assert describe("a\x1b[2J\n", "12345678") == "a\\x1b[2J\\n …12345678"
    assert len(describe("x" * 1000, "12345678")) == 90
