"""The file of the database: damaged, foreign, locked by others, on a full disk or one of the network."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from gomd.history.sqlite import SqliteHistory
from gomd.history.sqlite.file import Unusable, file_system_of, on_network, take_lock
from gomd.history.sqlite.schema import VERSION
from libgomd.errors import NotPossible, SourceUnavailable
from tests.unit.history.contract import EVENT, NODE, SAMPLE, write_samples
from tests.unit.history.sqlite_case import LOCAL, SqliteCase

NETWORK = "23 22 0:21 / /srv/my\\040data rw - nfs4 server:/export rw\n"


@implementer(ILogObserver)
class Listening:
    """:ivar heard: is set once the log has said ``words``."""

    def __init__(self, words: str) -> None:
        self.heard = threading.Event()
        self._words = words

    def __call__(self, event: LogEvent) -> None:
        if self._words in formatEvent(event):
            self.heard.set()


class FileTests(SqliteCase):
    """Whatever is wrong with the file costs history at most, and the log says it."""

    def test_a_damaged_file_is_set_aside(self) -> None:
        """It keeps its content under a name that the log says, and a new one is begun at once."""
        self.path.parent.mkdir(mode=0o700)
        self.path.write_bytes(b"this was a database once" * 1000)
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
        [aside] = self.path.parent.glob("history.sqlite.damaged-20231114T*Z")
        self.assertTrue(aside.read_bytes().startswith(b"this was"))
        self.assertIn(f"it is kept as {aside}, and a new one is begun", self.said[0])

    def test_damage_in_the_middle_is_found_by_a_reader(self) -> None:
        """The answer says so, and the writer sets the file aside with its next record."""
        log = self.make()
        write_samples(log, 1_699_999_200.0, 1500)
        log.close()
        size = self.path.stat().st_size
        with self.path.open("r+b") as file:
            for page in range(8192, size, 4096):
                file.seek(page)
                file.write(b"\xee" * 200)
        log = self.make()
        self.assertRaises(
            SourceUnavailable, log.reader.values, 7, ["load"], 1_699_999_200.0, 1_700_000_700.0, 100
        )
        log.write_event(EVENT, False)
        log.close()
        again = self.make()
        again.write_event(EVENT, False)
        again.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(1,)])
        self.assertEqual(len([*self.path.parent.glob("history.sqlite.damaged-*")]), 1)

    def test_a_file_of_a_newer_gomd_is_refused(self) -> None:
        """Nothing in it changes, and whoever asks is told what to do."""
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
        self.assertIn("was written by a newer gomd", self.said[-1])
        self.assertIn("install that gomd again", self.said[-1])
        error = self.assertRaises(NotPossible, log.reader.values, 7, ["load"], 0.0, 1.0, 1)
        self.assertIn("was written by a newer gomd", str(error))

    def test_the_database_of_another_program_is_left_alone(self) -> None:
        """A wrong path costs nobody their data."""
        self.path.parent.mkdir(mode=0o700)
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE theirs(x)")
        connection.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT name FROM sqlite_master"), [("theirs",)])
        self.assertIn("is a database of another program", self.said[-1])

    def test_a_disk_that_cannot_be_written_costs_history_only(self) -> None:
        """What is lost is counted; the log says it once, and again when it is over."""
        self.path.parent.touch()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 1)
        self.assertIn("the history is not kept in", self.said[0])

    def test_a_file_that_is_taken_away_is_begun_again(self) -> None:
        """Where it was, so that the rest of the history is not written into nowhere."""
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        self.path.rename(self.parent / "elsewhere")
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(1,)])

    def test_no_write_ahead_log_on_a_network_disk(self) -> None:
        """It needs memory that nodes do not share; the log says it."""
        log = self.make(mounts=lambda: LOCAL + f"24 22 0:22 / {self.parent} rw - nfs4 server:/export rw\n")
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("PRAGMA journal_mode"), [("delete",)])
        self.assertIn("lies on a network file system", self.said[0])

    def test_where_a_file_lies(self) -> None:
        """The longest mount point that contains it decides, spaces and later mounts included."""
        self.assertEqual(file_system_of("/var/lib/gomd", LOCAL + NETWORK), "ext4")
        self.assertEqual(file_system_of("/srv/my data/gomd", LOCAL + NETWORK), "nfs4")
        self.assertEqual(file_system_of("/srv/my database", LOCAL + NETWORK), "ext4")
        self.assertEqual(file_system_of("/x", LOCAL + "25 1 0:23 / / rw - overlay none rw\n"), "overlay")
        self.assertEqual(file_system_of("/x", "nonsense\n- - -\n"), "")

        def unreadable() -> str:
            raise FileNotFoundError("/proc is not mounted")

        self.assertFalse(on_network("/x/y", unreadable))

    def test_two_daemons_do_not_write_one_file(self) -> None:
        """The second one is told to use another file; when the first has ended, it may."""
        first = take_lock(str(self.path))
        error = self.assertRaises(Unusable, take_lock, str(self.path))
        self.assertIn("another daemon writes the history", str(error))
        os.close(first)
        os.close(take_lock(str(self.path)))

    def test_another_programs_lock_costs_nothing(self) -> None:
        """What it kept from being written is written when the lock is gone."""
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN EXCLUSIVE")
        log = self.make()
        self.addCleanup(log.close)
        listener = Listening("waits: another program has locked it")
        globalLogPublisher.addObserver(listener)
        self.addCleanup(globalLogPublisher.removeObserver, listener)
        log.write_event(EVENT, False)
        self.assertTrue(listener.heard.wait(30.0))
        other.execute("ROLLBACK")
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(3,)])
        self.assertEqual(self.counter(log, "history_lost"), 0)

    def test_a_reader_that_holds_a_transaction(self) -> None:
        """Nothing waits for it and nothing is lost, until the log has its largest size; then it is named."""
        log = self.make(max_bytes=1 << 20)
        log.write_event(EVENT, False)
        log.close()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchone()
        log = self.make(max_bytes=1 << 20)
        write_samples(log, 1_699_999_200.0, 1000)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 0)
        self.assertEqual(len(log.reader.values(7, ["load"], 1_699_999_200.0, 1_700_000_200.0, 1000)), 1000)
        for _chunk in range(10):
            log = self.make(max_bytes=1 << 20)
            for _at in range(200):
                log.write_event(replace(EVENT, time=2.0, reason="x" * 5000), False)
            log.close()
            if self.counter(log, "history_lost"):
                break
        self.assertGreater(self.counter(log, "history_lost"), 0)
        self.assertIn("another program holds a transaction open", " ".join(self.said))
        self.assertLess(Path(f"{self.path}-wal").stat().st_size, 6 << 20)
        other.execute("COMMIT")
        log = self.make(max_bytes=1 << 20)
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 0, self.said)

    def test_tables_that_are_not_all_there(self) -> None:
        """Whatever took one away, or the number of their version: the file is set aside as damaged."""
        for statement, reason in (
            ("DROP TABLE minutes", "its table minutes is missing"),
            ("PRAGMA user_version = 0", "it has tables, but their version is 0"),
            ("PRAGMA user_version = -5", "it has tables, but their version is -5"),
        ):
            log = self.make()
            log.write(NODE, SAMPLE)
            log.close()
            connection = sqlite3.connect(self.path)
            connection.execute(statement)
            connection.close()
            for _daemon in range(2):
                log = self.make()
                log.write(NODE, SAMPLE)
                log.close()
            self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
            self.assertIn(reason, self.said[-1])

    def test_a_lock_that_could_not_be_taken_at_the_start(self) -> None:
        """It is taken when the disk can be written, so that no second daemon comes in."""
        self.path.parent.touch()
        log = SqliteHistory(
            str(self.path), 7, 1 << 26, lambda: self.now, monotonic=lambda: 10.0 * next(self.ticks),
            read_mounts=lambda: LOCAL, locks_later=True,
        )  # fmt: skip
        self.addCleanup(log.close)
        self.path.parent.unlink()
        listener = Listening("is not kept in")
        log.write(NODE, SAMPLE)
        for _try in range(200):
            if self.path.exists():
                break
            listener.heard.wait(0.05)
        self.assertRaises(Unusable, take_lock, str(self.path))
        log.close()
        os.close(take_lock(str(self.path)))
