"""The journal: what was put is there again, whatever happened to its lines; the disk holds up nobody."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.jobs.home.checksummed_lines import encode, replay
from gomd.jobs.home.journal import COMPACT_AFTER_LINES, Journal
from tests.unit.jobs.memory_parts import AtOnce
from tests.unit.services.held import HeldThreads

Changes = list[tuple[int, dict[str, Any] | None]]
values = st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
changes = st.lists(st.tuples(st.integers(1, 5), values), max_size=12)


def _opened(path: Path) -> Journal:
    journal = Journal(str(path), AtOnce())
    journal.open()
    return journal


def _old_line(key: int, value: dict[str, Any] | None) -> bytes:
    return json.dumps([key, value]).encode() + b"\n"


def _expected(made: Changes) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for key, value in made:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


@given(changes, st.integers(0, 200), st.booleans())
def test_a_torn_last_line_costs_that_line_only(made: Changes, cut: int, old: bool) -> None:
    """Whatever a crash leaves of the last line, everything before it counts; nothing is called damaged."""
    write = _old_line if old else encode
    lines = [write(key, value) for key, value in made]
    if lines:
        torn = lines[-1][: min(cut, len(lines[-1]) - 2)]
        found = replay(b"".join([*lines[:-1], torn]))
        assert (found.values, found.bad) == (_expected(made[:-1]), [])
    found = replay(b"".join(lines))
    assert (found.values, found.bad, found.old) == (_expected(made), [], old and bool(made))


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_any_bytes_are_read(lines: list[bytes]) -> None:
    """Nothing is raised."""
    for separator in (b"", b"\n", b"\x1e"):
        assert isinstance(replay(separator.join(lines)).values, dict)


def _journal_of_jobs() -> tuple[bytes, Changes]:
    made: Changes = []
    command = "sleep [5], 'x' 7~00000000 [7,null]"
    for number in range(1, 9):
        made.append((number, {"job": number, "state": "starting", "command": command}))
        made.append((number, {"job": number, "state": "running", "pid": 4000 + number}))
    made += [(3, None), (5, {"job": 5, "state": "done", "exit": 0}), (0, {"last": 8})]
    return b"".join(encode(key, value) for key, value in made), made


def _check(damaged: bytes, made: Changes) -> None:
    """Every entry is as it was, or set aside and known to be."""
    found, expected = replay(damaged), _expected(made)
    for key in {*found.values, *expected}:
        if key in found.damaged:
            assert key not in found.values
        else:
            assert found.values.get(key) == expected.get(key), (key, found)
    assert not found.damaged or found.bad
    assert found.highest >= 8 or found.unknown


def test_no_bit_that_flips_changes_an_entry() -> None:
    """Each single bit of a journal, those of the ends of lines too: thousands."""
    data, made = _journal_of_jobs()
    for at in range(len(data)):
        for bit in range(8):
            _check(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :], made)


def test_no_block_that_is_lost_changes_an_entry_unsaid() -> None:
    """Zeros in the place of some bytes, anywhere: what is not said to be lost is as it was."""
    data, made = _journal_of_jobs()
    expected, chance = _expected(made), random.Random(25)
    for _ in range(2000):
        at = chance.randrange(len(data))
        length = chance.randrange(1, 300)
        found = replay(data[:at] + bytes(len(data[at : at + length])) + data[at + length :])
        for key, value in found.values.items():
            assert value == expected.get(key) or found.bad or at + length >= len(data)
            assert (key, value) in made


def test_a_damaged_line_is_said_and_kept_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its number; what was noted of that entry before is not taken for what holds."""
    path = tmp_path / "journal"
    lines = [encode(1, {"a": 1}), encode(2, {"a": 1}), encode(1, {"a": 2}), encode(3, {"a": 1})]
    bad = lines[2].replace(b'"a":2', b'"a":3')
    path.write_bytes(b"".join([*lines[:2], bad, lines[3]]))
    journal = _opened(path)
    assert journal.values == {2: {"a": 1}, 3: {"a": 1}}
    assert [number for number, _data in journal.found.bad] == [3]
    assert journal.found.damaged == {1}
    assert bad.strip(b"\x1e\n") in (tmp_path / "journal.bad").read_bytes()
    journal.close()
    again = _opened(path)
    assert again.found.bad == []
    again.close()


def test_a_journal_without_checksums_is_taken_over(tmp_path: Path) -> None:
    """As the version before wrote it; from then on it has them."""
    path = tmp_path / "journal"
    path.write_bytes(b'[1,{"a":1}]\n[2,{"a":1}]\nnonsense\n[2,null]\n[3,{"a"')
    journal = _opened(path)
    assert journal.values == {1: {"a": 1}}
    assert [number for number, _data in journal.found.bad] == [3]
    assert path.read_bytes() == encode(1, {"a": 1})
    journal.close()


def test_what_was_put_is_there_after_a_crash(tmp_path: Path) -> None:
    """Without a close, and with half a line at the end."""
    path = tmp_path / "jobs" / "journal"
    journal = _opened(path)
    journal.put(1, {"state": "running"})
    journal.put(2, {"state": "running"})
    journal.put(1, {"state": "done"})
    journal.put(2, None)
    with open(path, "ab") as file:
        file.write(encode(3, {"state": "run"})[:-4])
    again = _opened(path)
    assert again.values == {1: {"state": "done"}}
    again.put(4, {"state": "starting"})
    third = _opened(path)
    assert third.values == {1: {"state": "done"}, 4: {"state": "starting"}}
    for each in (journal, again, third):
        each.close()


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Superseded lines go."""
    path = tmp_path / "journal"
    journal = _opened(path)
    for number in range(2 * COMPACT_AFTER_LINES + 10):
        journal.put(1, {"number": number})
    assert path.read_bytes().count(b"\n") <= COMPACT_AFTER_LINES + 1
    assert journal.values == {1: {"number": 2 * COMPACT_AFTER_LINES + 9}}
    journal.close()


def test_a_full_disk_is_counted_and_not_raised(tmp_path: Path) -> None:
    """The daemon goes on with what it knows, and writes all of it when there is room again."""
    path = tmp_path / "journal"
    journal = _opened(path)
    journal.put(1, {"state": "starting"})
    os.close(journal._file)
    journal._file = os.open("/dev/full", os.O_WRONLY)
    journal.put(1, {"state": "running"})
    assert journal.failed == 1
    assert journal.values == {1: {"state": "running"}}
    journal.put(2, {"state": "running"})
    journal.close()
    assert _opened(path).values == {1: {"state": "running"}, 2: {"state": "running"}}


def _fired(waited: Deferred[None]) -> bool:
    return bool(waited.called)


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """Changes are taken; who has to know that they are written waits; then all are, in their order."""
    threads = HeldThreads(Clock())
    journal = Journal(str(tmp_path / "journal"), threads)
    journal.open()
    assert _fired(journal.written())
    for number in range(5):
        journal.put(number, {"at": 0})
    first = journal.written()
    for number in range(3, 8):
        journal.put(number, {"at": 1})
    synced = journal.sync()
    assert len(threads.waiting) == 1
    assert (_fired(first), _fired(synced)) == (False, False)
    assert replay((tmp_path / "journal").read_bytes()).values == {}
    threads.work()
    assert (_fired(first), _fired(synced)) == (True, True)
    assert replay((tmp_path / "journal").read_bytes()).values == journal.values
    journal.put(9, {"at": 2})
    closed = journal.close()
    assert not _fired(closed)
    threads.work()
    assert _fired(closed)
    assert replay((tmp_path / "journal").read_bytes()).values[9] == {"at": 2}
