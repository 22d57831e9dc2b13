"""A zombie that nobody waits for is taken at the second look; one that somebody waits for is theirs."""

from __future__ import annotations

import os

from twisted.internet.task import Clock

from gomd.services.orphans import PERIOD, Orphans


def ended_child() -> int:
    """Return a child that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_it_is_taken_at_the_second_look() -> None:
    """And it is gone then."""
    clock = Clock()
    orphans = Orphans(clock)
    orphans.startService()
    pid = ended_child()
    clock.advance(PERIOD)
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None
    clock.advance(PERIOD)
    assert orphans.taken == 1
    assert not os.path.exists(f"/proc/{pid}")
    orphans.stopService()
    assert not clock.getDelayedCalls()


def test_one_that_is_waited_for_meanwhile() -> None:
    """Its status is for who waits."""
    orphans = Orphans(Clock())
    pid = ended_child()
    orphans.look()
    assert os.waitpid(pid, 0) == (pid, 0)
    orphans.look()
    assert orphans.taken == 0
