"""Memory that is sent ahead: what is restored is what criu dumped, whatever happens to it meanwhile."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomd.jobs.checkpoint import page_images, precopy_images, precopy_records
from gomd.jobs.checkpoint.page_images import ADD_F, CLOSE, OPEN2, Header
from gomd.jobs.checkpoint.page_receiver import PageReceiver
from gomd.jobs.checkpoint.precopy_difference import PageDifference
from gomd.jobs.checkpoint.precopy_records import CHANGED, DONE, NEW, OFFERED, ROUND, SAME, ZEROS
from gomd.jobs.checkpoint.precopy_rounds import (
    LOOK_BYTES,
    WORTH_BYTES,
    MemoryReads,
    Precopy,
    is_worth_another,
)
from gomd.jobs.checkpoint.present_pages import PAGE, Run
from gomd.jobs.checkpoint.sent_copy import SentCopy, address_of
from libgomd.errors import CannotMove
from tests.unit.jobs.checkpoint.test_page_images import Stream

#: The memory of some processes: by pid and the number of a page, what is in the page.
Memory = dict[int, dict[int, int]]
_MEMORY = st.dictionaries(
    st.integers(1, 3), st.dictionaries(st.integers(0, 90), st.integers(0, 3), max_size=60), max_size=3
)
_BASE = 0x10000000


def content(kind: int) -> bytes:
    """Return a page; kind 0 is all zeros, and the others differ in one byte at the end."""
    return bytes(PAGE) if not kind else b"x" * (PAGE - 1) + bytes((kind,))


def runs(pages: dict[int, int]) -> Iterator[Run]:
    """Return the pages as runs."""
    numbers = sorted(pages)
    while numbers:
        count = 1
        while count < len(numbers) and numbers[count] == numbers[0] + count:
            count += 1
        yield Run(_BASE + numbers[0] * PAGE, count)
        del numbers[:count]


class Target:
    """A connection to a target that answers as one does, and keeps what comes."""

    def __init__(self, room: int | None = None) -> None:
        self.sent = b""
        self._room = room
        self._answers: list[bytes] = []

    def send_parts(self, *parts: bytes | memoryview) -> None:
        header = precopy_records.parse(bytes(parts[0]))
        self.sent += b"".join(bytes(part) for part in parts)
        if header.command == OFFERED:
            room = header.pages * PAGE if self._room is None else self._room
            self._answers.append(precopy_records.ANSWER.pack(room))
        elif header.command == DONE:
            self._answers.append(page_images.COMPLETE)

    def answer(self, size: int) -> bytes:
        [answer] = self._answers
        self._answers.clear()
        assert len(answer) == size
        return answer

    def records(self) -> list[Header]:
        """Return what came, without the pages."""
        found, at = [], 0
        while at < len(self.sent):
            header = precopy_records.parse(self.sent[at : at + page_images.WIDE])
            at += page_images.WIDE
            if header.command in (NEW, CHANGED) or header.present:
                at += header.pages * PAGE
            found.append(header)
        return found


class Job:
    """Processes whose memory is one of ``states`` after the other, a new one with each look at them."""

    def __init__(self, states: Sequence[Memory], unreadable: frozenset[int] = frozenset()) -> None:
        self._states = list(states)
        self._unreadable = unreadable
        self.now: Memory = {}
        self.source = MemoryReads(lambda pid: runs(self.now.get(pid, {})), self.read, lambda pid: pid == 3)

    def pids(self) -> list[int]:
        if self._states:
            self.now = self._states.pop(0)
        return [1, 2, 3]

    def read(self, pid: int, address: int, view: memoryview) -> int:
        first, count = (address - _BASE) // PAGE, 0
        while count * PAGE < len(view) and first + count not in self._unreadable:
            kind = self.now.get(pid, {}).get(first + count)
            if kind is None:
                break
            view[count * PAGE : (count + 1) * PAGE] = content(kind)
            count += 1
        return count


def sent_ahead(
    job: Job, target: Target, room: int = 1 << 22, goes_on: Callable[[int, int], bool] = is_worth_another
) -> Precopy:
    """Send the memory of a job ahead."""
    precopy = Precopy(target, job.pids, room, 100.0, lambda: 1.0, job.source, goes_on)
    assert precopy.offer()
    precopy.run()
    return precopy


def dump(memory: Memory, copy: SentCopy, target: Target, piece: int = 7) -> PageDifference:
    """Send what criu would send of the memory as it is at the end."""
    difference = PageDifference(target.send_parts, copy, lambda pid: pid == 3)
    for pid, pages in memory.items():
        difference.take_request(Header(OPEN2, 0, 0, 0, precopy_records.process(pid)))
        for address, count in runs(pages):
            difference.take_request(Header(ADD_F, 4, count, address, precopy_records.process(pid)))
            first = (address - _BASE) // PAGE
            for at in range(0, count, piece):
                numbers = range(first + at, first + min(count, at + piece))
                data = bytearray(b"".join(content(pages[number]) for number in numbers))
                difference.take_pages(memoryview(data))
    difference.take_request(Header(CLOSE, 0, 0, 0, 0))
    return difference


def restored(directory: Path, pid: int) -> dict[int, bytes]:
    """Return a process's pages as criu would read them: in order, and from the parent what is left out."""
    name = page_images.pagemap_name(precopy_records.process(pid))
    try:
        data = (directory / name).read_bytes()
    except FileNotFoundError:
        return {}
    parent = directory / precopy_images.PARENT
    before = restored(parent.resolve(), pid) if parent.is_symlink() else {}
    [head, *entries] = _messages(data[8:])
    with (directory / f"pages-{head[1]}.img").open("rb") as pages:
        found: dict[int, bytes] = {}
        last = -1
        for entry in entries:
            assert entry[1] > last, "criu finds nothing that is not in order"
            last = entry[1] + (entry[2] - 1) * PAGE
            for number in range(entry[2]):
                place = (entry[1] - _BASE) // PAGE + number
                found[place] = pages.read(PAGE) if entry[4] & 4 else before[place]
        assert not pages.read(1)
    return found


def _messages(data: bytes) -> list[dict[int, int]]:
    """Return the protobuf messages of whole numbers in ``data``."""
    found = []
    while data:
        [size] = struct.unpack_from("=I", data)
        body, data, fields = data[4 : 4 + size], data[4 + size :], {}
        while body:
            number, value, shift, at = body[0] >> 3, 0, 0, 1
            while True:
                value |= (body[at] & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if not body[at - 1] & 0x80:
                    break
            fields[number], body = value, body[at:]
        found.append(fields)
    return found


@settings(max_examples=150, deadline=None)
@given(
    states=st.lists(_MEMORY, min_size=1, max_size=4),
    last=_MEMORY,
    unreadable=st.frozensets(st.integers(0, 90), max_size=5),
    piece=st.integers(1, 70),
)
def test_the_copy_has_what_was_dumped(
    tmp_path_factory: pytest.TempPathFactory,
    states: list[Memory],
    last: Memory,
    unreadable: frozenset[int],
    piece: int,
) -> None:
    """Pages come, change, and go between the rounds and before the stop; some cannot be read before it."""
    path, target = tmp_path_factory.mktemp("images"), Target()
    job = Job(states, unreadable)
    precopy = sent_ahead(job, target, goes_on=lambda _found, _before: True)
    assert precopy.copy is not None
    dump(last, precopy.copy, target, piece)
    stream = Stream(target.sent)
    PageReceiver(stream, str(path)).run()
    for pid in (1, 2, 3):
        wanted = {number: content(kind) for number, kind in last.get(pid, {}).items()}
        assert restored(path, pid) == wanted
    assert stream.sent == precopy_records.ANSWER.pack(1 << 22) + bytes(4) + bytes(4)


def test_what_has_not_changed_is_not_sent_again() -> None:
    """Only the page that was written to comes once more."""
    memory: Memory = {1: dict.fromkeys(range(600), 1)}
    job, target = Job([memory]), Target()
    precopy = sent_ahead(job, target)
    assert precopy.sent == 600 * PAGE
    assert precopy.copy is not None
    begun = len(target.records())
    difference = dump({1: {**memory[1], 300: 2}}, precopy.copy, target)
    assert [(each.command, each.pages) for each in target.records()[begun:]] == [
        (OPEN2, 0), (SAME, 300), (ADD_F, 1), (SAME, 299), (CLOSE, 0)
    ]  # fmt: skip
    assert difference.same == 599 * PAGE


def test_pages_of_zeros_are_named() -> None:
    """They are known, and cost nothing on the way."""
    memory: Memory = {1: dict.fromkeys(range(600), 0)}
    target = Target()
    precopy = sent_ahead(Job([memory]), target)
    assert precopy.sent == 0
    assert {each.command for each in target.records()} == {OFFERED, ROUND, ZEROS, DONE}
    assert precopy.copy is not None
    assert dump(memory, precopy.copy, target).same == 600 * PAGE


def test_rounds_end_when_they_do_not_shrink() -> None:
    """A program that writes all its memory all the time is stopped after the second round."""
    pages = WORTH_BYTES // PAGE
    states: list[Memory] = [{1: dict.fromkeys(range(pages), 1 + number % 2)} for number in range(8)]
    target = Target()
    sent_ahead(Job(states), target, room=4 * WORTH_BYTES)
    assert [each.command for each in target.records()].count(ROUND) == 2


def test_little_is_sent_once() -> None:
    """What a round would bring is less than what it costs."""
    target = Target()
    sent_ahead(Job([{1: dict.fromkeys(range(50), 1)}]), target)
    assert [each.command for each in target.records()].count(ROUND) == 1


def test_no_more_than_there_is_room_for() -> None:
    """The rest is sent when the job is stopped."""
    memory: Memory = {1: dict.fromkeys(range(90), 1)}
    target = Target(room=40 * PAGE)
    precopy = sent_ahead(Job([memory]), target)
    assert precopy.sent == 40 * PAGE
    assert precopy.copy is not None
    assert precopy.copy.pages_left == 0
    assert dump(memory, precopy.copy, target).same == 40 * PAGE


def test_no_more_than_there_is_memory_for() -> None:
    """Other jobs that leave have copies, too; the rest is sent when the job is stopped."""
    pages = 3 * LOOK_BYTES // PAGE
    job, looked = Job([{1: dict.fromkeys(range(pages), 0)}]), iter((True, False))
    precopy = Precopy(
        target := Target(), job.pids, 1 << 30, 100.0, lambda: 1.0, job.source, is_room=lambda: next(looked)
    )
    assert precopy.offer()
    precopy.run()
    assert precopy.copy is not None
    assert precopy.copy.used == 2 * LOOK_BYTES
    assert target.records()[-1].command == DONE


def test_no_longer_than_there_is_time_for() -> None:
    """A program that is larger than the network is fast is stopped in time."""
    seconds = iter(range(1000))
    job, target = Job([{1: dict.fromkeys(range(5000), 1)}]), Target()
    precopy = Precopy(target, job.pids, 1 << 26, 15.0, lambda: float(next(seconds)), job.source)
    assert precopy.offer()
    precopy.run()
    assert 0 < precopy.sent < 5000 * PAGE


@pytest.mark.parametrize("target", [Target(room=0), Target(room=17)])
def test_a_target_that_takes_nothing(target: Target) -> None:
    """All goes when the job is stopped, as to a page server that knows nothing of this."""
    precopy = Precopy(target, Job([]).pids, 1 << 20, 100.0, lambda: 1.0)
    assert not precopy.offer()
    assert precopy.copy is None


def test_a_source_without_room(tmp_path: Path) -> None:
    """The target makes space for the memory, answers, and takes it as ever."""
    target = Target()
    assert not Precopy(target, Job([]).pids, 0, 100.0, lambda: 1.0).offer()
    data = page_images.encode(Header(OPEN2, 0, 0, 0, precopy_records.process(300)))
    stream = Stream(target.sent + data + page_images.encode(Header(CLOSE, 0, 0, 0, 0)))
    PageReceiver(stream, str(tmp_path)).run()
    assert stream.sent == precopy_records.ANSWER.pack(0) + b"\0" + bytes(4)
    assert not (tmp_path / precopy_images.PARENT).is_symlink()


def _record(command: int, pages: int = 0, address: int = 0, memory: int = 300 << 8 | 1) -> bytes:
    return precopy_records.encode(command, pages, address, memory)


_NEW = _record(NEW, 1, 0x10000) + b"a" * PAGE
_OPENED = _record(DONE) + _record(OPEN2)


@pytest.mark.parametrize("data", [
    _NEW, _record(ROUND) + _record(NEW, 1, 0x10001), _record(ROUND) + _NEW + _NEW,
    _record(ROUND) + _record(CHANGED, 1, 0x10000) + b"a" * PAGE, _record(ROUND) * 9,
    _record(ROUND) + _record(NEW, 1, 0x10000, 300 << 8 | 2) + b"a" * PAGE,
    _record(ROUND) + _record(ZEROS, 65, 0x10000), _record(ROUND) + _record(ZEROS, 1, (1 << 64) - PAGE),
    _record(ROUND) + _NEW + _record(CHANGED, 2, 0x10000) + b"a" * PAGE * 2,
    _record(ROUND) + _NEW + _record(SAME, 1, 0x10000), _record(OPEN2), _record(OFFERED, 1),
    _record(ROUND) + _record(NEW, 1, 0x20000) + b"a" * PAGE + _NEW + _OPENED,
    _record(ROUND) + _NEW + _record(DONE) + _record(SAME, 1, 0x10000),
    _record(ROUND) + _NEW + _OPENED + _record(SAME, 2, 0x10000),
    _record(ROUND) + _NEW + _OPENED + _record(NEW, 1, 0x20000) + b"a" * PAGE,
    _record(ROUND) + _NEW + _record(DONE) + _record(OPEN2, memory=301 << 8 | 1) + _record(SAME, 1, 0x10000),
    _record(ROUND) + _NEW[:-1], _record(DONE)[:-1],
])  # fmt: skip
def test_what_cannot_be(tmp_path: Path, data: bytes) -> None:
    """One error, whatever comes, and never an answer that the dump is here."""
    stream = Stream(_record(OFFERED, 64) + data)
    with pytest.raises(CannotMove):
        PageReceiver(stream, str(tmp_path)).run()
    assert stream.sent.count(bytes(4)) <= 2  # that of the room has some zeros, and that of `DONE`


def test_an_offer_to_a_disk_that_is_too_small() -> None:
    """There is to be space for all of it twice, and some more."""
    free = os.statvfs("/").f_bavail * os.statvfs("/").f_frsize
    assert precopy_images.room("/", free) == 0
    assert precopy_images.room("/nonesuch", PAGE) == 0


def compare(before: bytes, after: bytes) -> list[tuple[int, bool]]:
    """Return what the copy of ``before`` says of ``after``."""
    copy = SentCopy(len(before))
    copy.room(len(before) // PAGE)[:] = before
    copy.add(1, 0, len(before) // PAGE)
    kept = memoryview(bytearray(after))
    return list(copy.compare(0, address_of(kept), len(after) // PAGE))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=150))
def test_every_page_is_compared(equal: list[bool]) -> None:
    """Runs of pages that are equal and of others take turns, and say of each page what is true."""
    before = b"a" * PAGE * len(equal)
    after = b"".join(b"a" * PAGE if each else b"a" * (PAGE - 1) + b"b" for each in equal)
    found = compare(before, after)
    assert [same for pages, same in found for _ in range(pages)] == equal
    assert all(one[1] != two[1] for one, two in itertools.pairwise(found))
    assert all(pages > 0 for pages, _same in found)
