"""What is remembered about tokens, and what is forgotten first."""

from __future__ import annotations

from ipvm_queue.ipld import cid_of
from ipvm_queue.ucan.memo import Memo

ONE, TWO, THREE = map(cid_of, (1, 2, 3))


def test_what_was_asked_for_longest_ago_goes_first():
    """A flood of new tokens does not push out the ones in use."""
    memo: Memo[str] = Memo(2 * (1024 + 8 * 100))
    memo.put(ONE, "one", 100)
    memo.put(TWO, "two", 100)
    assert memo.get(ONE) == "one"
    memo.put(THREE, "three", 100)

    assert (memo.get(ONE), memo.get(TWO), memo.get(THREE)) == ("one", None, "three")


def test_the_same_token_takes_its_room_once():
    """Putting a finding again replaces it."""
    memo: Memo[str] = Memo(2 * (1024 + 8 * 100))
    memo.put(TWO, "two", 100)
    for _ in range(5):
        memo.put(ONE, "one", 100)

    assert (memo.get(ONE), memo.get(TWO), len(memo)) == ("one", "two", 2)


def test_what_is_larger_than_all_the_room_is_not_kept():
    """A token that would fill the memory leaves it empty, and usable."""
    memo: Memo[str] = Memo(2000)
    memo.put(ONE, "one", 60_000)
    assert len(memo) == 0
    memo.put(TWO, "two", 10)

    assert memo.get(TWO) == "two"
