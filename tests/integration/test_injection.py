"""A process makes system calls that it is told to make while signals come, and notices nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.injection import CannotInject, stopped

#: Waits in different calls with a timer that expires every half a millisecond; then tells what it caught.
_SIGNALLED = """
import select, signal, sys, time
caught = {signal.SIGALRM: 0, signal.SIGUSR1: 0}
for number in caught:
    signal.signal(number, lambda number, _: caught.update({number: caught[number] + 1}))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
print("ready", flush=True)
wait = {
    "read": lambda: None,
    "select": lambda: select.select([0], [], []),
    "computes": lambda: [sum(range(1000)) for _ in iter(lambda: select.select([0], [], [], 0)[0], [0])],
}[sys.argv[1]]
wait()
print(sys.stdin.readline().strip(), caught[signal.SIGUSR1], caught[signal.SIGALRM] > 0, flush=True)
"""
_GET_MDWE = 66
_TIMES = 200


@pytest.fixture(params=["read", "select", "computes"])
def signalled(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Return such a process, ready."""
    with subprocess.Popen(
        [sys.executable, "-c", _SIGNALLED, request.param],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_question_that_takes_too_long_leaves_it_as_it_was(signalled: subprocess.Popen[str]) -> None:
    """However early it is given up, the process goes on where it was, with its own registers."""
    outcomes: set[int | str] = set()
    for number in range(_TIMES):
        try:
            with stopped(signalled.pid, number * 2e-6) as thread:
                outcomes.add(thread.call("prctl", _GET_MDWE))
        except CannotInject as error:
            outcomes.add(str(error))
    assert "it does not stop" in outcomes
    _still_here(signalled, 0)


def test_who_asks_is_ended_between_two_questions(signalled: subprocess.Popen[str]) -> None:
    """Else the process would go on with the registers of a question."""
    for number in range(_TIMES // 4):
        # Before the fork: whoever runs the tests may handle the signal, and the child may be slow to begin.
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asking = os.fork()
        if asking:
            signal.signal(signal.SIGTERM, handler)
        else:
            try:
                while True:
                    with stopped(signalled.pid, 5.0) as thread:
                        thread.call("prctl", _GET_MDWE)
            finally:
                os._exit(1)
        time.sleep(0.005 + number * 1e-5)
        os.kill(asking, signal.SIGTERM)
        _pid, status = os.waitpid(asking, 0)
        assert os.WIFSIGNALED(status)
    _still_here(signalled, 0)


def test_one_that_is_stopped_can_be_asked_and_stays_so(signalled: subprocess.Popen[str]) -> None:
    """As a job is that criu has left stopped; with SIGCONT it goes on."""
    for number in range(_TIMES):
        if number % 10 == 0:
            signalled.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            signalled.send_signal(signal.SIGSTOP)
        with stopped(signalled.pid, 5.0) as thread:
            assert thread.call("prctl", _GET_MDWE) == 0
            assert thread.call("prctl", _GET_MDWE) == 0
        _wait_for_state(signalled.pid, "T")
    signalled.send_signal(signal.SIGCONT)
    _still_here(signalled, 0)


def test_signals_are_neither_in_the_way_nor_lost(signalled: subprocess.Popen[str]) -> None:
    """Each of 200 questions is answered; what comes to the process meanwhile comes once and afterwards."""
    for _ in range(_TIMES):
        with stopped(signalled.pid, 5.0) as thread:
            assert thread.call("prctl", _GET_MDWE) == 0
    with stopped(signalled.pid, 5.0) as thread:
        signalled.send_signal(signal.SIGUSR1)
        assert thread.call("prctl", _GET_MDWE) == 0
    _still_here(signalled, 1)


def _wait_for_state(pid: int, state: str) -> None:
    end = time.monotonic() + 20
    while (now := Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != state:
        assert time.monotonic() < end, now


def _still_here(process: subprocess.Popen[str], signals: int) -> None:
    """Check that it reads and answers, and that it caught so many of SIGUSR1."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("still here\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"still here {signals} True\n"
