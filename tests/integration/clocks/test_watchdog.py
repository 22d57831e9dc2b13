"""What systemd's watchdog sees of a real daemon whose wall clock is set: pings, as if nothing were."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.clocks.conftest import faked_clock, faketime_is_missing, write_clock
from tests.integration.daemon import PATIENCE, Daemon


class WatchedDaemon(Daemon):
    """A daemon that systemd wants to hear of every 1.5 s, with a wall clock of its own."""

    def command(self) -> Sequence[str]:
        """What starts it."""
        return (
            "env", *faked_clock(self.home), f"NOTIFY_SOCKET={self.home}/notify", "WATCHDOG_USEC=1500000",
            *super().command(),
        )  # fmt: skip


@pytest.mark.skipif(faketime_is_missing(), reason="libfaketime is not installed (Debian package faketime)")
@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_set_does_not_make_systemd_kill_the_daemon(tmp_path: Path, seconds: int) -> None:
    """On the wall clock the next ping would come an hour later; a daemon that works goes on pinging."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        write_clock(tmp_path, 0)
        with WatchedDaemon(tmp_path) as daemon:
            for shift in (0, seconds, 0):
                write_clock(tmp_path, shift)
                if shift:
                    daemon.wait_for("its wall clock was set")
                pings = 0
                while pings < 5:
                    pings += systemd.recv(4096) == b"WATCHDOG=1"
            daemon.stop()
