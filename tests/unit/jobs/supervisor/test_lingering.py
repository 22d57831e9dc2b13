"""How long a supervisor waits for a caller, and how it learns that no daemon will come."""

from __future__ import annotations

from gomd.jobs.supervisor.lingering import LINGER_TIMEOUT, Lingering


def test_a_caller_is_waited_for() -> None:
    """From the moment on at which nobody is attached to a job that has ended, for a limited time."""
    lingering = Lingering(60.0)
    assert not lingering.is_over(100.0, idle=False)
    assert lingering.deadlines() == []
    assert not lingering.is_over(200.0, idle=True)
    assert lingering.deadlines() == [200.0 + LINGER_TIMEOUT]
    assert not lingering.is_over(199.0 + LINGER_TIMEOUT, idle=True)
    assert lingering.is_over(200.0 + LINGER_TIMEOUT, idle=True)
    assert not lingering.is_over(300.0 + LINGER_TIMEOUT, idle=False), "a caller has come"
    assert not lingering.is_over(400.0 + LINGER_TIMEOUT, idle=True), "and the time begins anew"


def test_the_directory_is_looked_for_while_no_daemon_is_there() -> None:
    """Once in each interval, and never while a daemon is connected."""
    lingering = Lingering(60.0)
    assert not lingering.is_check_due(1000.0)
    lingering.disconnected(1000.0)
    assert lingering.deadlines() == [1060.0]
    assert not lingering.is_check_due(1059.0)
    assert lingering.is_check_due(1061.0)
    assert not lingering.is_check_due(1062.0)
    assert lingering.deadlines() == [1121.0]
    lingering.connected()
    assert not lingering.is_check_due(2000.0)
    assert lingering.deadlines() == []


def test_a_deserted_supervisor_waits_for_nobody() -> None:
    """It ends with its job."""
    lingering = Lingering(60.0)
    lingering.disconnected(1000.0)
    lingering.desert()
    assert lingering.deserted
    assert lingering.deadlines() == []
    assert not lingering.is_over(1001.0, idle=False)
    assert lingering.is_over(1001.0, idle=True)
