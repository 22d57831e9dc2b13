"""What the journal is told of a line's importance."""

from __future__ import annotations

import io
import os
import tempfile

from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.journald import goes_to_journal, with_priority
from gomd.services.logging import DaemonLog


class JournalStreamTests(SynchronousTestCase):
    """JOURNAL_STREAM names the connection; a program whose output was redirected inherits it all the same."""

    def setUp(self) -> None:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
        self.file = io.FileIO(descriptor)
        self.addCleanup(self.file.close)
        found = os.fstat(self.file.fileno())
        self.name = f"{found.st_dev}:{found.st_ino}"

    def test_the_very_file(self) -> None:
        """Device and inode are those of the stream."""
        self.assertTrue(goes_to_journal(self.file, {"JOURNAL_STREAM": self.name}))

    def test_another_file(self) -> None:
        """Another inode, no variable, nonsense, or a stream without a descriptor."""
        device, _, inode = self.name.partition(":")
        for text in (f"{device}:{inode}1", f"1{device}:{inode}", "", ":", device, "x:y"):
            self.assertFalse(goes_to_journal(self.file, {"JOURNAL_STREAM": text}))
        self.assertFalse(goes_to_journal(self.file, {}))
        self.assertFalse(goes_to_journal(io.StringIO(), {"JOURNAL_STREAM": self.name}))
        self.assertFalse(goes_to_journal(None, {"JOURNAL_STREAM": self.name}))


class PriorityTests(SynchronousTestCase):
    """Each line has its event's priority: the journal takes every line by itself."""

    def written(self, log_format: str, level: str, message: str) -> str:
        """Return what an event of that level is written as."""
        out, publisher = io.StringIO(), LogPublisher()
        publisher.addObserver(DaemonLog(out, log_format, "debug", priorities=True))
        getattr(Logger("gomd.test", observer=publisher), level)("{message}", message=message)
        return out.getvalue()

    def test_every_level(self) -> None:
        """As syslog(3) numbers them."""
        for level, number in (("debug", 7), ("info", 6), ("warn", 4), ("error", 3), ("critical", 2)):
            for log_format in ("text", "json"):
                self.assertTrue(self.written(log_format, level, "x").startswith(f"<{number}>"))

    def test_every_line(self) -> None:
        """A message of several lines, and one that pretends to be more important."""
        lines = self.written("text", "error", "one\n<0>two\nthree").splitlines()
        self.assertEqual([line[:3] for line in lines], ["<3>"] * 3)
        self.assertIn("<0>two", lines[1])

    def test_an_event_without_a_level_is_information(self) -> None:
        """Twisted's old log knows none."""
        self.assertEqual(with_priority("x\n", None), "<6>x\n")

    def test_an_event_without_text_is_nothing(self) -> None:
        """No line of a priority alone."""
        out = io.StringIO()
        DaemonLog(out, "text", priorities=True)({"log_format": "", "log_time": 1.0})
        self.assertEqual(out.getvalue(), "")


class Kept(io.StringIO):
    """A file whose text can be read when it is closed."""

    text = ""

    def close(self) -> None:
        self.text = self.getvalue()
        super().close()


class ReopenTests(SynchronousTestCase):
    """Log rotation."""

    def test_it_goes_on_in_the_new_file(self) -> None:
        """The old one is closed, and nothing is lost."""
        first, second = Kept(), Kept()
        publisher = LogPublisher()
        log = DaemonLog(first, "text", again=lambda: second)
        publisher.addObserver(log)
        logger = Logger("gomd.test", observer=publisher)
        logger.info("first")
        log.reopen()
        logger.info("second")
        self.assertIn("first", first.text)
        self.assertNotIn("second", first.text)
        self.assertIn("second", second.getvalue())

    def test_one_that_cannot_be_opened_changes_nothing(self) -> None:
        """The old file is used on."""
        out = io.StringIO()

        def full() -> io.StringIO:
            raise OSError(28, "No space left on device")

        log = DaemonLog(out, "text", again=full)
        with self.assertRaises(OSError):
            log.reopen()
        self.assertFalse(out.closed)

    def test_a_terminal_has_no_name_to_open(self) -> None:
        """USR1 and HUP are nothing to it."""
        out = io.StringIO()
        DaemonLog(out, "text").reopen()
        self.assertFalse(out.closed)
