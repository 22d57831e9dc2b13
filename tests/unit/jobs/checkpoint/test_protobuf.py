"""Messages of protocol buffers: what is written is read again, and what is cut is told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint.protobuf import BYTES, VARINT, Field, encode, read_fields, readable_values

_NUMBERS = st.integers(1, 1 << 20)
_FIELDS: st.SearchStrategy[list[Field]] = st.lists(
    st.tuples(_NUMBERS, st.just(VARINT), st.integers(0, (1 << 64) - 1))
    | st.tuples(_NUMBERS, st.just(BYTES), st.binary(max_size=300))
    | st.tuples(_NUMBERS, st.just(1), st.binary(min_size=8, max_size=8))
    | st.tuples(_NUMBERS, st.just(5), st.binary(min_size=4, max_size=4))
)


@given(_FIELDS)
def test_fields_are_read_as_they_were_written(fields: list[Field]) -> None:
    """Every kind of field, in its order."""
    assert list(read_fields(encode(fields))) == fields


@given(st.binary(max_size=200))
def test_any_bytes(message: bytes) -> None:
    """Bytes are a message, or a `ValueError`; what can be read of them is read without an error."""
    readable_values(message)
    try:
        fields = list(read_fields(message))
    except ValueError:
        return
    assert sum(map(len, readable_values(message).values())) == sum(kind in (0, 2) for _, kind, _ in fields)


def test_a_message_that_is_cut() -> None:
    """It is an error, or its beginning is read: the last bytes as far as they are there."""
    message = encode([(1, VARINT, 7), (2, BYTES, b"abcdef")])
    with pytest.raises(ValueError, match="beyond the end"):
        list(read_fields(message[:-2]))
    assert readable_values(message[:-2]) == {1: [7], 2: [b"abcd"]}
    with pytest.raises(ValueError, match="without an end"):
        list(read_fields(b"\x08\x80"))
    assert readable_values(b"\x08\x80") == {}
