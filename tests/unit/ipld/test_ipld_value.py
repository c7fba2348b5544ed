"""The two checks of values: kinds and depth, without recursion."""

from __future__ import annotations

from typing import Any

import pytest

from ipvm_queue.errors import CodecError, LimitError
from ipvm_queue.ipld import Link, check
from ipvm_queue.ipld.value import check_depth


def wrapped(inner: Any, depth: int) -> Any:
    """Return `inner` in `depth` maps and lists."""
    for level in range(depth):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


@pytest.mark.parametrize("inner", [0, "a", [], {}, Link.of(b"")], ids=repr)
def test_both_checks_count_the_same_depth(inner: object) -> None:
    """Levels are lists and maps that hold something."""
    for probe in (check, check_depth):
        probe(wrapped(inner, 3), max_depth=3)
        with pytest.raises(LimitError, match="more than 3 deep"):
            probe(wrapped(inner, 4), max_depth=3)


def test_depth_zero_allows_only_what_holds_nothing() -> None:
    """With `max_depth=0` a scalar and an empty list pass, a list of one does not."""
    for probe in (check, check_depth):
        for value in (1, [], {}):
            probe(value, max_depth=0)
        with pytest.raises(LimitError):
            probe([1], max_depth=0)


@pytest.mark.parametrize("value", [2**64, float("nan"), "\ud800", {"\ud800": 1}, {1: 1}, (1,), {1}, object()], ids=repr)
def test_what_is_not_ipld_is_named(value: object) -> None:
    """What is no IPLD value is refused wherever it stands."""
    with pytest.raises(CodecError):
        check({"a": [value]})


def test_a_deep_value_is_checked_without_recursion() -> None:
    """A value a hundred thousand levels deep passes when that is allowed, and is refused when not."""
    value = wrapped(1, 100_000)

    check(value, max_depth=100_000)
    check_depth(value, max_depth=100_000)
    with pytest.raises(LimitError):
        check(value)
