"""Amounts with units."""

import pytest
from documents import only_fault, read_json, wasm

TIMES = [
    ([45, "minutes"], 2700.0),
    ([1, "minute"], 60.0),
    ([500, "milli", "seconds"], 0.5),
    ([400, "nano", "seconds"], 4e-7),
    ([2, "hours"], 7200.0),
    ([1, "day"], 86400.0),
    ([2, "weeks"], 1209600.0),
    (1.5, 1.5),
]
SIZES = [
    ([500, "kilo", "bytes"], 500_000),
    ([500, "kibi", "bytes"], 512_000),
    ([1, "mebi", "byte"], 1 << 20),
    ([20, "mega", "bytes"], 20_000_000),
    ([8, "bits"], 1),
    ([4, "nibbles"], 2),
    ([0.5, "kilo", "bytes"], 500),
    (4096, 4096),
]


def with_config(**config):
    """Return a document whose one job has this configuration."""
    return {"a": wasm(**{"ipvm/config": config})}


@pytest.mark.parametrize(("written", "seconds"), TIMES)
def test_times_are_read_as_seconds(written, seconds):
    """Units and SI prefixes of time."""
    assert read_json(with_config(time=written)).tasks["a"].config.time == seconds


@pytest.mark.parametrize(("written", "size"), SIZES)
@pytest.mark.parametrize("field", ["memory", "disk"])
def test_sizes_are_read_as_bytes(written, size, field):
    """Units, SI and binary prefixes of size."""
    config = read_json(with_config(**{field: written})).tasks["a"].config

    assert getattr(config, field) == size


@pytest.mark.parametrize(
    ("config", "code", "path"),
    [
        ({"time": [1, "fortnights"]}, "bad-unit", "time[1]"),
        ({"time": [1, "kilo", "bytes"]}, "bad-unit", "time[2]"),
        ({"time": [1, "killo", "seconds"]}, "bad-unit", "time[1]"),
        ({"time": ["1", "seconds"]}, "bad-unit", "time"),
        ({"time": [1]}, "bad-unit", "time"),
        ({"time": {"minutes": "30"}}, "bad-unit", "time"),
        ({"time": True}, "bad-unit", "time"),
        ({"time": 0}, "bad-limit", "time"),
        ({"time": [-1, "seconds"]}, "bad-limit", "time"),
        ({"time": [2, "years"]}, "bad-limit", "time"),
        ({"memory": [378, "exa", "bytes"]}, "bad-limit", "memory"),
        ({"memory": [3, "bits"]}, "bad-limit", "memory"),
        ({"memory": [1, "meters"]}, "bad-unit", "memory[1]"),
        ({"disk": None}, "bad-unit", "disk"),
        ({"gas": 0}, "bad-limit", "gas"),
        ({"gas": 1.5}, "wrong-type", "gas"),
        ({"secret": "yes"}, "wrong-type", "secret"),
    ],
)
def test_bad_amounts_are_faults_where_they_stand(config, code, path):
    """Unknown units, negative, absurd and fractional amounts are each refused."""
    fault = only_fault(with_config(**config))

    assert (fault.code, fault.path) == (code, f'a["ipvm/config"].{path}')
