"""The part of CBOR that datagrams use, read without cbor2: the same values, the same refusals."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libgomd.wire import bodies
from libgomd.wire.cbor_subset import MAX_DEPTH, decode_array

_items = st.recursive(
    st.one_of(
        st.integers(-(2**64), 2**64 - 1), st.text(max_size=300), st.binary(max_size=300), st.none(),
        st.booleans(),
    ),
    lambda inner: st.lists(inner, max_size=30).map(tuple),
    max_leaves=60,
)  # fmt: skip


def _depth(value: object) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, tuple) else 0


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@given(st.lists(_items, max_size=40).map(tuple))
@settings(max_examples=200, deadline=None)
def test_what_cbor2_writes_is_read(values: tuple[object, ...]) -> None:
    """Every length and number comes back exactly; too deep an array is refused."""
    body = cbor2.dumps(values)
    if _depth(values) > MAX_DEPTH:
        with pytest.raises(ValueError, match="nested"):
            decode_array(body)
    else:
        assert decode_array(body) == values


@given(st.binary(max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_an_array_or_a_value_error(body: bytes) -> None:
    """What is read is what cbor2 reads too; other bytes raise ValueError and nothing else."""
    for start in (b"", b"\x83", b"\x98\x02", b"\x84\x01\x61"):
        try:
            values = decode_array(start + body)
        except ValueError:
            continue
        assert _tuples(cbor2.loads(start + body)) == values


@pytest.mark.skipif(
    not hasattr(cbor2, "SemanticDecoderCallback"), reason="this cbor2 cannot be told to be strict"
)
@given(st.lists(_items, max_size=12).map(tuple), st.data())
@settings(max_examples=300, deadline=None)
def test_it_refuses_what_a_strict_cbor2_refuses(values: tuple[object, ...], data: st.DataObject) -> None:
    """A body with any byte changed, added or cut off: both read the same, or both read nothing of ours."""
    body = bytearray(cbor2.dumps(values))
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(body[: data.draw(st.integers(1, len(body)))]) + data.draw(st.binary(max_size=2))
    try:
        strict = bodies._read_strictly(changed)
    except ValueError:
        strict = None
    try:
        ours = decode_array(changed)
    except ValueError:
        ours = None
    assert ours == strict or (ours is None and _has_more(strict))


def _has_more(value: object) -> bool:
    """Whether a float, a map or a simple value is in it, which no message has."""
    if isinstance(value, tuple):
        return any(map(_has_more, value))
    return not isinstance(value, (int, bytes, str, type(None)))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x01", b"\x41a", b"\x82\x01", b"\x81\x01\x00", b"\x9f\x01\xff", b"\x81\x5f\x41a\xff",
        b"\x81\xc0\x01", b"\x81\xd9\xd9\xf7\x01", b"\xa0", b"\x81\xa0", b"\x81\xf9\x00\x00", b"\x81\xf7",
        b"\x81\xe0", b"\x81\xf8\x20", b"\x81\x1c", b"\x81\x1f", b"\x9b" + b"\xff" * 8,
        b"\x81\x5b" + b"\xff" * 8, b"\x81\x62\xc3\x28", b"\x81\x42a", b"\x81" * 5 + b"\x01", b"\x81" * 9999,
    ],
)  # fmt: skip
def test_what_no_message_has_is_refused(body: bytes) -> None:
    """Tags, maps, floats, open lengths, wrong text, endless arrays, junk behind, an end too early."""
    with pytest.raises(ValueError, match=r".+"):
        decode_array(body)
