"""What a cache keeps."""

from __future__ import annotations

import os
from types import SimpleNamespace

from ipvm_queue.cache import Cache


def test_a_small_file_system_is_filled_to_a_quarter(tmp_path, monkeypatch):
    """What was used longest ago goes before that; mounting one takes rights, so its size alone is made up here."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=6400))
    cache = Cache(tmp_path)
    for number in range(40):
        path = tmp_path / f"{number:02}"
        path.write_bytes(bytes(100))
        os.utime(path, (number, number))
        cache.added(path, 100)

    kept = sorted(path.name for path in tmp_path.iterdir())

    assert kept == [f"{number:02}" for number in range(40 - len(kept), 40)]
    assert 1400 <= 100 * len(kept) <= 1600


def test_a_directory_that_is_gone_has_no_room(tmp_path):
    """It may be deleted at any time."""
    Cache(tmp_path / "gone").added(tmp_path / "gone" / "file", 1)
