"""What is compressed once for many streams is, in each of them, what it was."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as some

from gomd.web.shared_gzip import HEADER, GzipStream, SharedText

PARTS = some.lists(some.tuples(some.booleans(), some.text(max_size=200)), max_size=8)


@given(PARTS)
def test_any_parts_make_a_whole_stream(parts: list[tuple[bool, str]]) -> None:
    """With the right length and the right CRC, which gzip checks."""
    stream, sent, said = GzipStream(), HEADER, b""
    for is_shared, text in parts:
        sent += stream.shared(SharedText(text)) if is_shared else stream.own(text.encode())
        said += text.encode()
    assert gzip.decompress(sent + stream.end()) == said


def test_each_part_can_be_read_as_it_comes() -> None:
    """A browser shows a message before the next one; long parts of one stream, too."""
    text = SharedText('{"rows": [' + ", ".join(['{"id": 1, "name": "alpha"}'] * 1000) + "]}")
    assert len(text.packed) < len(text.plain) / 20
    for own in (b"id: 1\n", b"x" * 200_000):
        reader, stream = zlib.decompressobj(zlib.MAX_WBITS | 16), GzipStream()
        assert reader.decompress(HEADER + stream.own(own)) == own
        assert reader.decompress(stream.shared(text)) == text.plain
