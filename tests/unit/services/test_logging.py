"""The daemon's log: one event a line, whatever is in it."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.services.logging import DaemonLog


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Unprintable:
    """Something whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class DaemonLogTests(SynchronousTestCase):
    """What stands in the journal."""

    def setUp(self) -> None:
        self.out = io.StringIO()
        self.publisher = LogPublisher()
        self.logger = Logger("gomd.test", observer=self.publisher)

    def install(self, log_format: str, log_level: str = "info") -> DaemonLog:
        log = DaemonLog(self.out, log_format, log_level)
        verifyObject(ILogObserver, log)
        self.publisher.addObserver(log)
        return log

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def test_text_has_time_origin_level_and_message(self) -> None:
        """A line as every Twisted program writes it."""
        self.install("text")
        self.logger.warn("lost {what}", what="a source")
        self.assertRegex(
            self.out.getvalue(), r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* \[gomd.test#warn\] lost a source\n\Z"
        )

    def test_json_is_one_object_a_line(self) -> None:
        """A program reads time, level, namespace and message."""
        self.install("json")
        self.logger.info("node {id} is up", id=7)
        [record] = self.records()
        self.assertIsInstance(record.pop("time"), float)
        self.assertEqual(record, {"level": "info", "namespace": "gomd.test", "message": "node 7 is up"})

    def test_an_input_cannot_forge_a_line(self) -> None:
        """New lines of a message are indented, escape sequences and carriage returns escaped."""
        self.install("text")
        self.logger.info("{junk}", junk="x\n2026-01-01T00:00:00 [gomd#info] root came in\r\x1b[2J\x9b\u2028")
        first, second = self.out.getvalue().split("\n")[:-1]
        self.assertTrue(first.endswith("] x"))
        self.assertEqual(
            second, "\t2026-01-01T00:00:00 [gomd#info] root came in\\x0d\\x1b[2J\\xc2\\x9b\\xe2\\x80\\xa8"
        )

    def test_an_input_cannot_forge_a_json_line(self) -> None:
        """Every record is one line of plain ASCII and comes back as it was."""
        self.install("json")
        junk = 'x"}\n{"message": "forged"}\r\x1b\x7f\x9b\u2028\udc80é'
        self.logger.info("{junk}", junk=junk)
        text = self.out.getvalue()
        self.assertEqual(text.count("\n"), 1)
        self.assertTrue(text[:-1].isprintable() and text.isascii(), text)
        self.assertEqual(self.records()[0]["message"], junk)

    def test_a_failure_has_its_traceback(self) -> None:
        """A bug is told with where it happened, in both formats, as one event."""
        for log_format in ("text", "json"):
            log = self.install(log_format)
            try:
                raise RuntimeError("broken\x1b")
            except RuntimeError:
                self.logger.failure("collecting failed", Failure())
            self.publisher.removeObserver(log)
        text, _, record = self.out.getvalue().rpartition("\n{")
        lines = text.split("\n")
        self.assertTrue(lines[0].endswith("[gomd.test#critical] collecting failed"))
        self.assertTrue(all(line.startswith("\t") for line in lines[1:]))
        self.assertEqual(lines[-1], "\tbuiltins.RuntimeError: broken\\x1b")
        found = json.loads("{" + record)
        self.assertEqual((found["level"], found["message"]), ("critical", "collecting failed"))
        self.assertTrue(found["traceback"].startswith("Traceback"))
        self.assertTrue(found["traceback"].endswith("builtins.RuntimeError: broken\x1b"))

    def test_what_is_less_important_is_left_out(self) -> None:
        """Junk from the network is debug, and not logged unless asked for; SIGHUP can ask."""
        log = self.install("text")
        self.logger.debug("junk")
        self.assertEqual(self.out.getvalue(), "")
        log.set_level("debug")
        self.logger.debug("junk")
        log.set_level("error")
        self.logger.warn("a source is lost")
        self.logger.critical("broken")
        lines = self.out.getvalue().splitlines()
        self.assertEqual([line.rpartition(" ")[2] for line in lines], ["junk", "broken"])

    def test_an_event_that_cannot_be_formatted_is_still_one_line(self) -> None:
        """A mistake in a log call costs its text, never the daemon."""
        for log_format in ("text", "json"):
            self.install(log_format)
        self.logger.info("{missing}")
        self.logger.info("{it}", it=Unprintable())
        lines = self.out.getvalue().splitlines()
        self.assertEqual(len([line for line in lines if not line.startswith("\t")]), 4)
        self.assertIn("Unable to format event", lines[0])

    def test_a_full_disk_or_a_closed_pipe_is_borne(self) -> None:
        """The log being gone is no reason to go."""
        closed = io.StringIO()
        closed.close()
        for out in (Full(), closed):
            for log_format in ("text", "json"):
                DaemonLog(out, log_format)({"log_format": "x", "log_level": LogLevel.info, "log_time": 1.0})

    def test_a_terminal_without_utf_8_gets_what_it_can_show(self) -> None:
        """LANG=C does not lose the message."""
        raw = io.BytesIO()
        log = DaemonLog(io.TextIOWrapper(raw, "ascii"), "text")
        log({"log_format": "größe", "log_level": LogLevel.info, "log_time": 1.0, "log_namespace": "n"})
        self.assertTrue(raw.getvalue().endswith(b"[n#info] gr\\xf6\\xdfe\n"))

    def test_a_file_of_bytes_gets_utf_8(self) -> None:
        """twistd's own log file takes bytes."""
        raw = io.BytesIO()
        DaemonLog(raw, "text")({"log_format": "größe", "log_level": LogLevel.info, "log_time": 1.0})
        self.assertTrue(raw.getvalue().endswith("größe\n".encode()))

    def test_an_event_without_text_is_no_line(self) -> None:
        """Twisted sends some of these."""
        for log_format in ("text", "json"):
            DaemonLog(self.out, log_format)({"log_level": LogLevel.info, "log_time": 1.0})
        self.assertEqual(self.out.getvalue(), "")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=50), st.sampled_from(["text", "json"]))
def test_any_text_is_one_event(text: str, log_format: str) -> None:
    """Exactly one line that does not begin with a tab, without a control character in it."""
    out = io.StringIO()
    DaemonLog(out, log_format)(
        {"log_format": "x{text}", "text": text, "log_level": LogLevel.info, "log_time": 1.0}
    )
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert len([line for line in lines if not line.startswith("\t")]) == 1
    assert all(line.replace("\t", "").isprintable() for line in lines)
