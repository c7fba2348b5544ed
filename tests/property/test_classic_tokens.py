"""JWTs of any content, and image archives: what is written reads back, and no bytes bring a reader down."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from container_images import image
from hypothesis import given
from hypothesis import strategies as st
from principals import ALICE, BOB, MALLORY, principal

from ipvm_queue.effects import EffectError
from ipvm_queue.effects.image import without_names
from ipvm_queue.ucan import UcanError
from ipvm_queue.ucan.classic import PUSH, mint, walk
from ipvm_queue.ucan.jwt import HEADER, Jwt, encode_part

QUEUE = principal("queue")
RESOURCE = f"queue:{QUEUE.did}"
LATER = 4_000_000_000
ARCHIVE = image()

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=20)
LETTERS = st.characters(max_codepoint=0x2FF)
words = st.text(LETTERS, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(names.filter(lambda name: ":" not in name), names, st.integers(0, LATER), st.none() | st.integers(0, LATER))
def test_jwts_read_back(scheme, rest, expiration, not_before):
    """Every field of a JWT comes back as it was given."""
    given = {"expiration": expiration, "not_before": not_before, "ability": "a/b"}
    read = Jwt.parse(mint(ALICE, BOB.did, f"{scheme}:{rest}", **given))

    assert (read.iss, read.aud, read.exp, read.nbf) == (ALICE.did, BOB.did, expiration, not_before)
    assert read.att == ((f"{scheme}:{rest}", "a/b"),)
    read.verify()


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "nnc", "fct", "att", "prf", "x"]), values))
def test_payloads_of_anything_grant_nothing(changes):
    """Whatever Mallory signs, she is not the queue: there is a rule that it breaks."""
    payload = {"iss": MALLORY.did, "aud": BOB.did, "exp": LATER, "att": [{"with": RESOURCE, "can": PUSH}], "prf": []}
    signed = ".".join(encode_part(json.dumps(part).encode()) for part in (HEADER, payload | changes))
    with pytest.raises(UcanError):
        walk(f"{signed}.{encode_part(MALLORY.sign(signed.encode()))}", QUEUE.did, now=int(time.time()))


@given(
    st.text(st.characters(max_codepoint=0x2FF), max_size=200)
    | st.binary(max_size=60).map(lambda data: f"{encode_part(data)}.e30.AAAA")
)
def test_any_text_is_read_or_refused(text):
    """No text is more than a rule broken."""
    with pytest.raises(UcanError):
        Jwt.parse(text)


@given(st.integers(0, len(ARCHIVE) - 1), st.binary(min_size=1, max_size=40))
def test_changed_archives_are_read_or_refused(place, change):
    """Strangers' archives: what is read keeps no name, what is not is refused with its own error."""
    with suppress(EffectError):
        _, kept = without_names(ARCHIVE[:place] + change + ARCHIVE[place + len(change) :])
        assert b"library/python" not in kept
