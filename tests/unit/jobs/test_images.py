"""The images of a job are small, or it stays: a daemon reads them into its memory."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.images import MAX_SIZE, Images
from libgomd.errors import CannotMove
from tests.unit.scratch import scratch


class ImagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(scratch(self)).parent

    def test_they_are_read_and_written(self) -> None:
        """What is no image of criu's is left where it is; nothing is written over, no link followed."""
        for name in ("core-300.img", "handover.json", "dump.log", "ask"):
            (self.directory / name).write_text(name)
        images = Images.read(str(self.directory))
        self.assertEqual(images.files, {each: each.encode() for each in ("core-300.img", "handover.json")})
        self.assertRaises(FileExistsError, images.write, str(self.directory))
        there = self.directory / "there"
        there.mkdir()
        images.write(str(there))
        self.assertEqual(Images.read(str(there)), images)
        self.assertRaises(CannotMove, Images({"../job": b""}).write, str(there))

    def test_many_that_are_large_together(self) -> None:
        """Thousands of deleted files, each of them small enough: no more is read than may be sent."""
        for number, size in enumerate((MAX_SIZE // 2, MAX_SIZE // 2)):
            (self.directory / f"ghost-file-{number}.img").touch()
            os.truncate(self.directory / f"ghost-file-{number}.img", size)
        self.assertEqual(sum(map(len, Images.read(str(self.directory)).files.values())), MAX_SIZE)
        (self.directory / "one-more.img").write_text("x")
        self.assertRaises(CannotMove, Images.read, str(self.directory))
