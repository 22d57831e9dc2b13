"""Pages of a node's file: everything comes once, in whatever order clocks, merges and collectors go."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gomd.history.sqlite import SqliteHistory
from gomd.history.sqlite.merging import MERGE_SAMPLES
from gomd.history.sqlite.numbers import RESERVE
from gomd.history.sqlite.schema import STEPS
from gomd.interfaces import RememberedTable
from libgomd.errors import MalformedRequest
from libgomd.model import Measure, ProcessTable
from tests.unit.history.contract import EVENT, JOB, NODE, OTHER, SAMPLE, TABLE, process

START = 1_699_999_200.0
LOCAL = "22 1 0:20 / / rw,relatime - ext4 /dev/sda1 rw\n"


class PagesTests(SynchronousTestCase):
    """What a collector is given."""

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.path = self.parent / "state" / "history.sqlite"
        self.ticks = count()

    def make(self, own_id: int = 7, now: float = START) -> SqliteHistory:
        log = SqliteHistory(
            str(self.path), own_id, 1 << 26, lambda: now, monotonic=lambda: float(next(self.ticks)),
            read_mounts=lambda: LOCAL,
        )  # fmt: skip
        self.addCleanup(log.close)
        return log

    def pages(self, log: SqliteHistory, cursor: str = "", stream: str = "own") -> tuple[str, list[Any]]:
        """Return the cursor behind everything, and all that is said until there."""
        said: list[Any] = []
        for _ in range(1000):
            page = log.reader.page(cursor, stream)
            said += [json.loads(line) for line in page.lines]
            cursor = page.cursor
            if not page.more:
                return cursor, said
        raise AssertionError("it never ends")

    def times(self, said: list[Any], field: str = "load") -> list[float]:
        """Return the times of samples that have a field, as they came."""
        samples = [each for each in said if each["kind"] == "samples" and field in each["fields"]]
        return [row[0] for each in samples for row in each["rows"]]

    def write(self, log: SqliteHistory, first: int, last: int, start: float = START) -> None:
        """Write a sample a second, and every fifteenth time measures."""
        for at in range(first, last):
            log.write(replace(NODE, load=at), replace(SAMPLE, taken_at=start + at))
            if at % 15 == 0:
                log.write_measures([Measure("open_files", float(at), kept=True)], start + at)

    def test_each_sample_once_whatever_is_merged_meanwhile(self) -> None:
        """Values are the same from single rows and from blocks; two layouts that interleave lose nothing."""
        cursor, found, measured = "", [], []
        step = MERGE_SAMPLES // 2 + 7
        for at in range(0, 6 * step, step):
            log = self.make()
            self.write(log, at, at + step)
            log.close()
            cursor, said = self.pages(log, cursor)
            found += self.times(said)
            measured += self.times(said, "open_files")
        self.assertEqual(sorted(found), [START + at for at in range(6 * step)])
        self.assertEqual(sorted(measured), [START + at for at in range(0, 6 * step, 15)])
        _cursor, said = self.pages(log)
        self.assertEqual(sorted(self.times(said)), sorted(found))
        loads = {
            row[0]: row[1 + each["fields"].index("load")]
            for each in said
            if each["kind"] == "samples" and "load" in each["fields"]
            for row in each["rows"]
        }
        self.assertEqual(loads, {START + at: at for at in range(6 * step)})
        minutes = [row for each in said if each["kind"] == "minutes" and each["field"] == "load"
                   for row in each["rows"]]  # fmt: skip
        self.assertEqual(minutes[0], [START, 0, 29.5, 59])
        self.assertEqual(len({row[0] for row in minutes}), len(minutes))

    def test_a_clock_that_steps_hides_nothing(self) -> None:
        """A day back, and forth again: what was written then comes then."""
        log = self.make()
        self.write(log, 0, 50)
        log.close()
        cursor, _said = self.pages(log)
        log = self.make()
        self.write(log, 0, 50, START - 86_400)
        self.write(log, 0, 50, START + 100)
        log.close()
        _cursor, said = self.pages(log, cursor)
        self.assertEqual(
            self.times(said),
            [START - 86_400 + at for at in range(50)] + [START + 100 + at for at in range(50)],
        )

    def test_scans_and_processes(self) -> None:
        """Hundreds of scans, some of them merged; a process comes when it begins, and when it ends."""
        cursor, scans, processes = "", [], []
        for part in range(5):
            log = self.make()
            for at in range(part * 50, part * 50 + 50):
                alive = (process(10, 1.0), process(11 + at // 90, 99.0, "spin"))
                log.write_processes(NODE, ProcessTable(START + at, alive), False, frozenset())
            log.close()
            cursor, said = self.pages(log, cursor)
            scans += [each["time"] for each in said if each["kind"] == "scan"]
            processes += [row for each in said if each["kind"] == "processes" for row in each["rows"]]
        self.assertEqual(scans, [START + at for at in range(250)])
        self.assertEqual([(row[2], row[16]) for row in processes if row[16] is not None],
                         [(11, START + 90), (12, START + 180)])  # fmt: skip
        self.assertEqual(sorted({row[2] for row in processes}), [10, 11, 12, 13])

    def test_what_happened_and_who_else_is_there(self) -> None:
        """Others' nodes, events and processes are in the stream that only this node's collector asks for."""
        log = self.make()
        log.write_event(EVENT, False)
        log.write_event(replace(EVENT, kind=type(EVENT.kind).DOWN, node=9, uid=None), False)
        log.write_jobs([JOB], 5.0)
        log.checkpoint("here", 6.0)
        log.write_nodes([NODE, OTHER], START)
        log.write_remembered(RememberedTable(9, 9, START, False, TABLE.processes, frozenset()))
        log.close()
        _cursor, own = self.pages(log)
        self.assertEqual([each["kind"] for each in own], ["events", "jobs", "marks", "nodes"])
        self.assertEqual([row[2] for row in own[0]["rows"]], [7])
        self.assertEqual([row[0] for row in own[3]["rows"]], [7])
        _cursor, seen = self.pages(log, stream="seen")
        self.assertEqual([each["kind"] for each in seen], ["events", "nodes", "remembered"])
        self.assertEqual([each["rows"][0][2 if at == 0 else 0] for at, each in enumerate(seen)], [9, 9, 9])

    def test_a_minute_comes_when_it_is_over(self) -> None:
        """Its row may change until then."""
        log = self.make()
        log.write_nodes([NODE], START)
        log.close()
        cursor, said = self.pages(log)
        self.assertEqual(len(said), 1)  # the end of the daemon ended the minute
        log = self.make()
        log.write_nodes([replace(NODE, load=500)], START + 30)
        log.close()
        _cursor, said = self.pages(log, cursor)
        self.assertEqual([row[7] for each in said for row in each["rows"]], [500])

    def test_numbers_are_never_given_twice(self) -> None:
        """Not after everything was removed, and not after a start."""
        log = self.make()
        log.checkpoint("first", 1.0)
        log.close()
        cursor, _said = self.pages(log)
        connection = sqlite3.connect(self.path)
        connection.execute("DELETE FROM marks")
        connection.commit()
        connection.close()
        for at in range(3):
            log = self.make()
            log.checkpoint(f"later {at}", 2.0)
            log.close()
        _cursor, said = self.pages(log, cursor)
        self.assertEqual([row[1] for each in said for row in each["rows"]], ["later 0", "later 1", "later 2"])
        self.assertLess(int(_cursor.split(".")[7]), 10 * RESERVE)

    def test_an_id_that_comes_to_another_machine(self) -> None:
        """A machine that gets another id does not bring its past along, to no question and no collector."""
        log = self.make(own_id=7)
        self.write(log, 0, 50)
        log.write_nodes([NODE, OTHER], START)
        log.write_processes(NODE, replace(TABLE, taken_at=START), False, frozenset())
        log.close()
        log = self.make(own_id=9, now=START + 100)
        for at in range(200, 250):
            log.write(replace(OTHER, load=1000), replace(SAMPLE, taken_at=START + at))
        log.close()
        rows = log.reader.values(9, ["load"], START - 60, START + 300, 1)
        self.assertEqual([(row.min, row.max) for row in rows], [(10, 1000)])  # 10 was heard of the other one
        rows = log.reader.values(7, ["load"], START - 60, START + 300, 1)
        self.assertEqual([(row.min, row.max) for row in rows], [(0, 49)])
        self.assertIsNone(log.reader.processes_at(9, START + 10))
        self.assertIsNotNone(log.reader.processes_at(7, START + 10))
        _cursor, said = self.pages(log)
        self.assertEqual(self.times(said), [START + at for at in range(200, 250)])

    def test_another_file_begins_at_its_start(self) -> None:
        """A cursor of a file that was lost or replaced means nothing here; one that is none is refused."""
        log = self.make()
        self.write(log, 0, 10)
        log.close()
        cursor, _said = self.pages(log)
        for path in self.path.parent.iterdir():
            path.unlink()
        log = self.make()
        self.write(log, 0, 5)
        log.close()
        _cursor, said = self.pages(log, cursor)
        self.assertEqual(len(self.times(said)), 5)
        for bad in ("a.b", "a.-1", "a." + "9" * 400, "a'; DROP TABLE seconds.1"):
            self.assertRaises(MalformedRequest, log.reader.page, bad, "own")

    def test_a_file_of_before_these_numbers(self) -> None:
        """It gets them, its minutes are given out, and nothing of it is lost."""
        self.path.parent.mkdir(mode=0o700)
        connection = sqlite3.connect(self.path)
        connection.executescript(STEPS[0])
        connection.execute("INSERT INTO fields VALUES (1, 'load')")
        connection.execute("INSERT INTO minutes VALUES (1, ?, 1, 2, 3)", (START,))
        connection.execute("INSERT INTO hours VALUES (1, ?, 1, 2, 3)", (START - START % 3600,))
        connection.execute("INSERT INTO marks VALUES (400, 1.0, 'old')")
        connection.execute("PRAGMA application_id = 1735355748")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
        connection.close()
        log = self.make()
        log.checkpoint("new", 2.0)
        log.close()
        _cursor, said = self.pages(log)
        self.assertEqual([row[1] for each in said if each["kind"] == "marks" for row in each["rows"]],
                         ["old", "new"])  # fmt: skip
        self.assertIn({"kind": "minutes", "field": "load", "rows": [[START, 1.0, 2.0, 3.0]]}, said)
