"""Every kind of timer, wait and clock goes on after each of ten moves: no timer stops, none expires twice."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster.asking import eventually
from tests.integration.daemon import PATIENCE
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job

_PROGRAM = Path(__file__).with_name("every_timer.py").read_text("utf-8")
#: Where it goes: ten moves.
_MOVES = ("2", "3", "home", "2", "home", "3", "2", "3", "2", "home")


class Told:
    """A job that tells how its timers do."""

    def __init__(self, host: Host, user: str, ballast: int = 0) -> None:
        self.job = Job(host, "-n", "1", "/usr/bin/python3", "-c", _PROGRAM, str(ballast), user=user)
        self._answers = 0

    def ask(self, word: str = "tell") -> dict[str, Any]:
        """Return the answer to a line of input."""
        self.job.write(f"{word}\n".encode())
        self._answers += 1
        end = time.monotonic() + PATIENCE
        while self.job.out.count(b"\n") < self._answers:
            assert time.monotonic() < end, (self.job.err, self.job.row())
            time.sleep(0.01)
        answer: dict[str, Any] = json.loads(self.job.out.splitlines()[self._answers - 1])
        return answer

    def goes_on(self, since: dict[str, Any]) -> dict[str, Any]:
        """Wait until every periodic timer has expired again since an answer, and each armed one."""
        end = time.monotonic() + PATIENCE
        while True:
            found = self.ask()
            counts, once = found["counts"], found["armed"]
            stands = {
                name for name, before in since["counts"].items()
                if (counts[name] < once[name] if name in once else counts[name] < before + 2)
            } | {name for name in once if counts.get(name, 0) < once[name]}  # fmt: skip
            if not stands:
                return found
            assert time.monotonic() < end, f"stand still: {sorted(stands)}"
            time.sleep(0.1)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_every_timer_goes_on(three: list[Host], user: str) -> None:
    """After each move every periodic timer expires again, and what was armed before it expires once."""
    told = Told(three[0], user)
    known = told.goes_on(told.goes_on(told.ask()))
    for target in _MOVES:
        before = told.ask("arm")
        told.job.move(target)
        after = told.ask()
        for clock in ("monotonic", "boottime"):
            assert 0 <= after["clocks"][clock] - before["clocks"][clock] < PATIENCE, clock
        known = told.goes_on(told.goes_on(after))
    time.sleep(1.5)  # longer than any of them is armed: none may come twice
    found = told.ask()
    assert {name: found["counts"][name] for name in found["armed"]} == found["armed"]
    assert set(found["armed"].values()) == {len(_MOVES)}
    assert len(known["counts"]) > 40
    told.job.close()
    assert (told.job.wait(), told.job.err) == (0, b"")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_timers_that_expire_while_its_memory_is_sent(three: list[Host], user: str) -> None:
    """criu has read the signals then, and reads the timers later: each still expires, and once."""
    told = Told(three[0], user, ballast=150_000_000)
    told.goes_on(told.goes_on(told.ask()))
    for target in ("2", "home"):
        told.ask("arm")
        time.sleep(0.15)
        told.job.move(target)
        told.goes_on(told.ask())
    time.sleep(1.5)
    found = told.ask()
    assert {name: found["counts"][name] for name in found["armed"]} == found["armed"]
    told.job.close()
    assert (told.job.wait(), told.job.err) == (0, b"")


_MANY = """
import ctypes, os, select, sys, threading, time
libc, count = ctypes.CDLL(None), {}
epoll = select.epoll()
for number in range(900):
    made = libc.timerfd_create(time.CLOCK_MONOTONIC, 0)
    period = 60_000_000 + 20_000 * number
    libc.timerfd_settime(made, 0, (ctypes.c_long * 4)(0, period, 0, period), None)
    count[made] = 0
    epoll.register(made, select.EPOLLIN | select.EPOLLET)
def wait():
    while True:
        for made, _events in epoll.poll():
            os.read(made, 8)
            count[made] += 1
threading.Thread(target=wait, daemon=True).start()
for line in sys.stdin:
    before = dict(count)
    time.sleep(1)
    print(sum(count[each] == before[each] for each in count), flush=True)
"""


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_of_many_timers_none_is_lost(three: list[Host], user: str) -> None:
    """Some of them are due at the very moment at which criu looks, and show nothing then."""
    job = Job(three[0], "-n", "1", "/usr/bin/python3", "-c", _MANY, user=user)

    def told(lines: int) -> None:
        eventually(lambda: job.out.count(b"\n") == lines)

    for number, target in enumerate(("2", "home", "3", "2"), 1):
        job.write(b"tell\n")
        told(2 * number - 1)
        job.move(target)
        job.write(b"tell\n")
        told(2 * number)
        assert set(job.out.split()) == {b"0"}, target
    job.close()
    assert (job.wait(), job.err) == (0, b"")


_UPTIME = 1_000_000
_CLOCKS = """
import json, sys, time
clocks = {name: getattr(time, name) for name in dir(time) if name.startswith("CLOCK_")}
def tell():
    found = {name: time.clock_gettime(clock) for name, clock in clocks.items()}
    with open("/proc/uptime") as file:
        found["uptime"] = float(file.read().split()[0])
    print(json.dumps(found), flush=True)
tell()
for line in sys.stdin:
    tell()
"""


def test_a_machine_that_has_been_up_for_longer(three: list[Host]) -> None:
    """A job whose clocks differ from those of a node, as on one with another uptime, keeps them there."""
    words = ("unshare", "--time", "--monotonic", str(_UPTIME), "--boottime", str(2 * _UPTIME), "--")
    job = Job(three[0], "-n", "1", *words, "/usr/bin/python3", "-c", _CLOCKS)

    def told(lines: int) -> dict[str, float]:
        end = time.monotonic() + PATIENCE
        while job.out.count(b"\n") < lines:
            assert time.monotonic() < end, (job.out, job.err)
            time.sleep(0.01)
        found: dict[str, float] = json.loads(job.out.splitlines()[lines - 1])
        return found

    last = told(1)
    assert last["CLOCK_MONOTONIC"] > _UPTIME
    assert last["CLOCK_BOOTTIME"] > 2 * _UPTIME
    for lines, target in enumerate(_MOVES, 2):
        job.move(target)
        job.write(b"tell\n")
        found = told(lines)
        for name in found.keys() - {"CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID", "CLOCK_REALTIME"}:
            assert -0.02 <= found[name] - last[name] < PATIENCE, (name, target)
        last = found
    job.close()
    assert (job.wait(), job.err) == (0, b"")


@pytest.mark.parametrize("call", ["select(undef, undef, undef, 3)", "sleep(3)", "usleep(2900000)"])
def test_a_sleep_is_as_long_as_it_was_to_be(three: list[Host], call: str) -> None:
    """A move does not end it: whoever sleeps without expecting a signal looks at no error."""
    program = (
        "use Time::HiRes qw(usleep time); $| = 1; $b = time; print qq(go\\n); "
        f"{call}; print time - $b >= 2.8 ? qq(whole\\n) : qq(cut\\n)"
    )
    job = Job(three[0], "-n", "1", "perl", "-e", program, user="nobody")
    eventually(lambda: job.out == b"go\n")
    job.move("2")
    assert job.wait() == 0
    assert job.out == b"go\nwhole\n"
