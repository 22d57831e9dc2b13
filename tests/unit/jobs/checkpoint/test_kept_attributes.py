"""Attributes that criu leaves out: read of this process and its threads, given back, and as they travel."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from gomd.jobs.checkpoint import inherited_attributes, kept_attributes
from gomd.jobs.checkpoint.inherited_attributes import Inherited
from gomd.jobs.checkpoint.kept_attributes import ProcessAttributes, ThreadAttributes, loses_protection
from libgomd.wire.frames import MalformedFrame


@pytest.fixture
def child() -> Iterator[int]:
    """A process that waits."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writing)
            os.read(reading, 1)
        finally:
            os._exit(0)
    os.close(reading)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(writing)


def test_what_is_read_can_be_given_back(child: int) -> None:
    """All that can be set from outside comes back after something else was set."""
    before = kept_attributes.read([child])
    told = before[child]._replace(core_filter="00000013", threads={
        child: before[child].threads[child]._replace(io=2 << 13 | 5, slack=123_000)})  # fmt: skip
    kept_attributes.apply({child: told})
    assert kept_attributes.read([child]) == {child: told}
    kept_attributes.apply(before)
    assert kept_attributes.read([child]) == before


def test_each_thread_counts() -> None:
    """A second thread has attributes of its own."""
    ready, end = threading.Event(), threading.Event()

    def work() -> None:
        ready.set()
        end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        found = kept_attributes.read([os.getpid()])[os.getpid()]
        assert {thread.native_id, os.getpid()} <= found.threads.keys()
    finally:
        end.set()
        thread.join()


def test_a_process_that_has_ended_is_left_out() -> None:
    """It has no attributes, and nothing is given to it."""
    assert kept_attributes.read([1 << 30]) == {}
    kept_attributes.apply({1 << 30: ProcessAttributes("13", 5, 1.0, {1 << 30: ThreadAttributes((0,), 1, 2)})})


def test_processors_that_this_node_does_not_have(child: int) -> None:
    """A thread that was bound to them is bound to them again elsewhere, unless it chose others meanwhile."""
    arrival = {child: ProcessAttributes(threads={child: ThreadAttributes((4000,))})}
    kept_attributes.apply(arrival)
    assert kept_attributes.read([child], arrival)[child].threads[child].cpus == (4000,)
    [bound, *others] = os.sched_getaffinity(child)
    assert not others
    if more := os.sched_getaffinity(0) - {bound}:
        os.sched_setaffinity(child, {min(more)})
        assert kept_attributes.read([child], arrival)[child].threads[child].cpus == (min(more),)


def test_they_travel_as_json() -> None:
    """What another node reads is what was written, with the defaults of what an older version left out."""
    told = {7: ProcessAttributes("33", -3, 1.5, {8: ThreadAttributes((1,), 2, 3, tuple(range(9)), ("a",))})}
    assert kept_attributes.decode(json.loads(json.dumps(kept_attributes.encode(told))), "attributes") == told
    assert kept_attributes.decode({"7": {}}, "attributes") == {7: ProcessAttributes()}
    with pytest.raises(MalformedFrame):
        kept_attributes.decode({"7": {"slack": []}, "x": {}}, "attributes")


@pytest.mark.parametrize(("before", "after", "lost"), [
    ("thread force mitigated", "thread vulnerable", True),
    ("conditional disabled", "conditional enabled", True),
    ("thread mitigated", "thread mitigated", False),
    ("thread mitigated", "not vulnerable", False),  # another processor
    ("thread vulnerable", "thread vulnerable", False),
    ("vulnerable", "thread mitigated", False),
])  # fmt: skip
def test_protection_from_speculation(before: str, after: str, lost: bool) -> None:
    """Only a thread that was protected can lose it."""
    assert loses_protection(["not vulnerable", before], ["not vulnerable", after]) is lost


def test_all_threads_of_a_copy_are_protected_as_the_strictest(tmp_path: Path) -> None:
    """From speculation: each kind by itself; and that they differ is no reason to stay."""
    said = {
        1: ("thread vulnerable", "conditional enabled"),
        2: ("thread mitigated", "conditional force disabled"),
        3: ("not vulnerable", "conditional disabled"),
    }
    for thread, (bypass, branches) in said.items():
        directory = tmp_path / "7" / "task" / str(thread)
        directory.mkdir(parents=True)
        (directory / "stat").write_text(f"{thread} (a) b) S 1 1 1 0 -1 4194304 0")
        (directory / "personality").write_text("00000000\n")
        (directory / "status").write_text(
            f"Name:\ta\nSpeculation_Store_Bypass:\t{bypass}\nSpeculationIndirectBranch:\t{branches}\n"
        )
    found = inherited_attributes.read([7], str(tmp_path))
    assert list(inherited_attributes.reasons_to_stay(found)) == []
    [told] = found
    asked: list[tuple[int, ...]] = []
    with patch.object(inherited_attributes, "_prctl", lambda _what, *values: asked.append(values)):
        inherited_attributes.take_on(told)
    assert asked == [(53, 0, 4), (53, 1, 8)]


@pytest.mark.parametrize(("found", "words"), [
    ({Inherited()}, []),
    (set(), []),
    ({Inherited(0x40000, 0x80)}, []),
    ({Inherited(0x240000)}, []),
    ({Inherited(0), Inherited(0x40000)}, ["different personalities"]),
    ({Inherited(8)}, ["the personality 0x8"]),
    ({Inherited(8), Inherited(0x40008)}, ["the personality 0x8"]),
    ({Inherited(0, 0x80), Inherited(0)}, ["PR_MCE_KILL"]),
])  # fmt: skip
def test_what_is_inherited(found: set[Inherited], words: list[str]) -> None:
    """All threads must have the same, and it must be something that criu can live with."""
    reasons = list(inherited_attributes.reasons_to_stay(found))
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))


def test_what_this_process_has(child: int) -> None:
    """A child has what its parent has."""
    if os.geteuid() == 0:
        assert inherited_attributes.read([os.getpid(), child]) == inherited_attributes.read([child])
