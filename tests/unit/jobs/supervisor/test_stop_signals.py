"""What a stop signal becomes for a process."""

from __future__ import annotations

import signal

import pytest

from gomd.jobs.supervisor.stop_signals import signal_for

_TSTP = 1 << (signal.SIGTSTP - 1)


def status(ignored: int = 0, caught: int = 0) -> str:
    """Return the part of /proc/PID/status that says so."""
    masks = f"SigBlk:\t{0:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
    return f"Name:\tSig\nSigQ:\t0/96000\n{masks}CapInh:\t0\n"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (status(), signal.SIGSTOP),
        (status(ignored=_TSTP), 0),
        (status(caught=_TSTP), signal.SIGTSTP),
        (status(ignored=~_TSTP & 0xFFFFFFFF, caught=~_TSTP & 0xFFFFFFFF), signal.SIGSTOP),
        ("", signal.SIGSTOP),
    ],
)
def test_a_stop_signal(text: str, sent: int) -> None:
    """SIGSTOP where the kernel would do nothing; itself for a handler; nothing where it is ignored."""
    assert signal_for(text, signal.SIGTSTP) == sent
