"""One executor for all tests of a module: compiling is what costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wasm_guests import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return an executor over blocks in memory."""
    bench = Bench(tmp_path_factory.mktemp("artefacts"))
    yield bench
    bench.executor.close()
