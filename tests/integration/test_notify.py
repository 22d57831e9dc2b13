"""Notification sockets as systemd makes them: what is sent to a real one arrives whole."""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from gomd.services.systemd import take_environment


class NotifySocketTests(SynchronousTestCase):
    """A path for the system's services, an abstract name in some containers."""

    def check(self, bound: str, address: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(bound)
            listening.settimeout(5.0)
            notifier, period = take_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"}, 4711)
            notifier.ready("node 7 alpha")
            notifier.ping()
            self.assertEqual(listening.recv(4096), b"READY=1\nSTATUS=node 7 alpha\nMAINPID=4711")
            self.assertEqual(listening.recv(4096), b"WATCHDOG=1")
            self.assertEqual(period, 1.0)

    def test_a_path(self) -> None:
        """NOTIFY_SOCKET=/run/systemd/notify."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "notify")
            self.check(path, path)

    def test_an_abstract_name(self) -> None:
        """NOTIFY_SOCKET=@name."""
        name = f"gomd-test-{os.getpid()}"
        self.check(f"\0{name}", f"@{name}")
