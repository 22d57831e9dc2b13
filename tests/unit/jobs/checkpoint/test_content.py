"""Whether two files are equal is told by a digest of what is read of them in bounded time."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.content import (
    MAX_ENTRIES,
    NEAR_BYTES,
    SAMPLE_BYTES,
    Budget,
    digest_of,
    listing_of,
    samples,
)
from tests.unit.scratch import scratch


class ContentTests(SynchronousTestCase):
    def _digest(self, data: bytes, whole: bool = True, near: int = 0) -> str:
        path = Path(scratch(self))
        path.write_bytes(data)
        number = os.open(path, os.O_RDONLY)
        try:
            return digest_of(number, len(data), whole, near)
        finally:
            os.close(number)

    def test_a_byte_makes_a_difference(self) -> None:
        """Of a file that is read whole, any one; of a sampled one, the first, the last, and the next."""
        data = bytes(20 << 20)
        self.assertEqual(self._digest(data), self._digest(data))
        for whole, place in ((True, 12345678), (False, 0), (False, len(data) - 1), (False, 7_000_000)):
            changed = bytearray(data)
            changed[place] = 1
            same = self._digest(data, whole, 7_000_000) == self._digest(bytes(changed), whole, 7_000_000)
            self.assertFalse(same, place)
        self.assertNotEqual(self._digest(b""), self._digest(b"\0"))

    @given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
    def test_samples_are_in_the_file(self, size: int, near: int) -> None:
        """And they are few, whatever its size is; they begin and end where it does."""
        found = list(samples(size, near))
        self.assertLessEqual(sum(length for _begin, length in found), 64 * SAMPLE_BYTES + 2 * NEAR_BYTES)
        self.assertTrue(all(begin >= 0 and begin + length <= size for begin, length in found))
        self.assertEqual(found[1][0], 0)
        self.assertEqual(sum(found[-1]), size)

    def test_a_budget(self) -> None:
        """Of bytes and of time."""
        now = [0.0]
        budget = Budget(10, 1.0, lambda: now[0])
        self.assertEqual([budget.allows(size) for size in (6, 6, 4)], [True, False, True])
        budget = Budget(10, 1.0, lambda: now[0])
        now[0] = 2.0
        self.assertFalse(budget.allows(1))

    def test_a_directory(self) -> None:
        """Its entries count, their times if they are files, and one with too many is not compared."""
        path = Path(scratch(self))
        (path / "sub").mkdir(parents=True)
        (path / "file").write_text("one")
        os.utime(path / "file", (1, 1))

        def listing() -> str:
            number = os.open(path, os.O_RDONLY)
            try:
                return listing_of(number)
            finally:
                os.close(number)

        before = listing()
        os.utime(path / "sub", (5, 5))
        self.assertEqual(listing(), before)
        os.utime(path / "file", (2, 1))
        self.assertEqual(listing(), before)
        os.utime(path / "file", (2, 2))
        self.assertNotEqual(listing(), before)
        for number in range(MAX_ENTRIES):
            (path / f"n{number}").symlink_to("x")
        self.assertEqual(listing(), "")
