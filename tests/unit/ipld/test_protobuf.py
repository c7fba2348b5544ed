"""Protocol buffers: the few messages that are read, strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobufs import write_protobuf

from ipvm_queue.errors import CodecError
from ipvm_queue.ipld import read_protobuf

FIELDS = st.dictionaries(
    st.integers(1, 1000), st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=200)), max_size=8
)


@given(FIELDS)
def test_what_is_written_is_read(fields: dict[int, int | bytes]) -> None:
    """Numbers and bytes come back under their field numbers."""
    assert read_protobuf(write_protobuf(fields)) == fields


@given(st.binary(max_size=60))
def test_what_is_read_has_one_form(data: bytes) -> None:
    """Bytes are a message in the one form that it has, or an error."""
    try:
        fields = read_protobuf(data)
    except CodecError:
        return
    assert write_protobuf(fields) == data


@pytest.mark.parametrize(
    "data",
    [
        "08",  # a number is missing
        "0880",  # and cut short
        "088000",  # not the shortest form
        "08ffffffffffffffffff7f",  # more than 64 bits
        "0a05616263",  # bytes are cut short
        "08010802",  # a field twice
        "0001",  # field number 0
        "0d00000000",  # a fixed-width field
        "0b0c",  # a group
    ],
)
def test_what_is_no_message_is_refused(data: str) -> None:
    """Each way of being malformed is an error, and never a guess."""
    with pytest.raises(CodecError, match="protobuf"):
        read_protobuf(bytes.fromhex(data))
