"""Where a migration stood is known after a crash at any byte; a full disk never stops one in the middle."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.journal import (
    FILE_BYTES,
    MalformedRecord,
    MigrationJournal,
    Parsed,
    Record,
    decode,
    encode,
    last,
    parse,
)
from gomd.jobs.migration.protocol import SourceState, State, TargetState
from tests.unit.scratch import scratch

_RECORD = Record("1-7-ab", SourceState.ASKING, "1-7", 2, "", 1000.5)
_STATES = st.sampled_from([*SourceState, *TargetState])


class RecordTests(SynchronousTestCase):
    @settings(max_examples=200)
    @given(_STATES, st.text(max_size=2000), st.integers(1, 65535))
    def test_what_is_written_is_read(self, state: State, reason: str, other: int) -> None:
        """Any state and any reason come back, a long reason cut; six of them fit into the room."""
        record = replace(_RECORD, state=state, reason=reason, other=other)
        line = encode(record)
        read = decode(line)
        self.assertTrue(reason.startswith(read.reason))
        self.assertEqual(read, replace(record, reason=read.reason))
        self.assertLessEqual(6 * len(line), FILE_BYTES)

    @settings(max_examples=300)
    @given(st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b'{"side":"source"}', b"[" * 9000]))
    def test_any_other_bytes_are_no_record(self, junk: bytes) -> None:
        """A broken file ends in one named error."""
        self.assertRaises(MalformedRecord, decode, junk)

    def test_a_torn_line_does_not_count(self) -> None:
        """Cut at any byte, a file gives the last record that was whole; its end may be missing."""
        lines = [encode(replace(_RECORD, state=state)) for state in (SourceState.ASKING, SourceState.DECIDED)]
        whole = b"".join(lines)
        for cut in range(len(whole) + 1):
            found = last(whole[:cut] + bytes(40))
            expected = [None, SourceState.ASKING, SourceState.DECIDED][
                (cut >= len(lines[0]) - 1) + (cut >= len(whole) - 1)
            ]
            self.assertEqual(found.state if found else None, expected)

    def test_no_bit_that_flips_changes_where_it_stood(self) -> None:
        """Of any record, in any place: the last one is found, or it is said that it is not known."""
        for states in ([SourceState.ASKING], [SourceState.ASKING, SourceState.DECIDED, SourceState.MOVED]):
            data = b"".join(encode(replace(_RECORD, state=state)) for state in states) + bytes(600)
            for at in range(len(data.rstrip(b"\0"))):
                for bit in range(8):
                    found = parse(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
                    if not found.damaged:
                        self.assertIsNotNone(found.record, (at, bit))
                        self.assertIs(found.record and found.record.state, states[-1], (at, bit))

    def test_records_without_checksums_are_read(self) -> None:
        """As the version before wrote them, and what comes behind them from then on."""
        asking, decided, moved = (
            replace(_RECORD, state=state)
            for state in (SourceState.ASKING, SourceState.DECIDED, SourceState.MOVED)
        )
        old = encode(asking).partition(b" ")[2] + encode(decided).partition(b" ")[2]
        self.assertEqual(old[:1], b"{")
        self.assertEqual(parse(old + bytes(900)), Parsed(decided, len(old), 0))
        self.assertEqual(last(old + encode(moved) + bytes(900)), moved)
        self.assertEqual(parse(old[:-9] + bytes(900)).record, asking)


class MoveLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = scratch(self)
        self.log = MigrationJournal(self.directory)
        self.assertEqual(self.log.load(), [])

    def test_a_daemon_that_starts_finds_each_migration_where_it_stood(self) -> None:
        """Both sides of one, and others; what is settled is forgotten."""
        other = replace(_RECORD, migration="2-9-cd", state=TargetState.RECEIVING)
        here = replace(_RECORD, state=TargetState.HOLDING)
        for record in (_RECORD, other, here, replace(_RECORD, state=SourceState.DECIDED)):
            self.log.write(record)
        again = MigrationJournal(self.directory)
        decided = replace(_RECORD, state=SourceState.DECIDED)
        self.assertEqual(again.load(), [decided, here, other])
        again.forget(other)
        again.write(replace(_RECORD, state=SourceState.MOVED))
        states = [record.state for record in MigrationJournal(self.directory).load()]
        self.assertEqual(states, [SourceState.MOVED, TargetState.HOLDING])

    def test_later_records_need_no_more_room(self) -> None:
        """The file is as long at the beginning as it ever gets."""
        self.log.write(_RECORD)
        [path] = Path(self.directory).iterdir()
        before = path.stat()
        for state in SourceState:
            if state is not SourceState.ASKING and len(encode(_RECORD)) < 1000:
                self.log.write(replace(_RECORD, state=state))
        self.assertEqual(path.stat().st_size, before.st_size)
        self.assertEqual(path.stat().st_blocks, before.st_blocks)

    def test_a_migration_that_could_not_begin_leaves_nothing(self) -> None:
        """A file of that name that is there already is another's: the write is refused."""
        Path(self.directory, "1-7-ab.source").symlink_to("/nonexistent/elsewhere")
        self.assertRaises(OSError, self.log.write, _RECORD)

    def test_a_damaged_file_is_kept_aside(self) -> None:
        """Nothing else is lost for it, a directory and an odd name neither; the start goes on."""
        other = replace(_RECORD, migration="2-9-cd", state=TargetState.RECEIVING)
        for record in (_RECORD, replace(_RECORD, state=SourceState.MOVED), other):
            self.log.write(record)
        path = Path(self.directory, "1-7-ab.source")
        path.write_bytes(path.read_bytes().replace(b'"moved"', b'"mowed"'))
        Path(self.directory, "3-1-ef.target").mkdir()
        Path(self.directory, "odd name").write_bytes(encode(_RECORD))
        again = MigrationJournal(self.directory)
        self.assertEqual(again.load(), [other])
        self.assertEqual(again.damaged, {("1-7-ab", "source"), ("3-1-ef", "target")})
        self.assertEqual(
            sorted(each.name for each in Path(f"{self.directory}.bad").iterdir()),
            ["1-7-ab.source", "3-1-ef.target", "odd name"],
        )
        self.assertEqual(MigrationJournal(self.directory).load(), [other])

    def test_what_is_torn_is_written_over(self) -> None:
        """After a crash in the middle of a record the next one takes its place."""
        self.log.write(_RECORD)
        path = os.path.join(self.directory, "1-7-ab.source")
        with open(path, "r+b") as file:
            file.seek(len(encode(_RECORD)))
            file.write(b'{"side":"sou')
        again = MigrationJournal(self.directory)
        self.assertEqual(again.load(), [_RECORD])
        stayed = replace(_RECORD, state=SourceState.STAYED, reason="the target went down")
        again.write(stayed)
        self.assertEqual(MigrationJournal(self.directory).load(), [stayed])
