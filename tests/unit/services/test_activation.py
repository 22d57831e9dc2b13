"""Sockets that systemd opened for the daemon."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from gomd.services.activation import PassedSockets, take_sockets
from gomd.services.listening import Socket
from libgomd.endpoints import Endpoint, Tcp, Unix
from libgomd.errors import ConfigError


class Passed(Socket):
    """A socket that somebody else opened, without one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint


class PassedSocketsTests(SynchronousTestCase):
    """Which passed socket serves which endpoint."""

    def serves(self, passed: Endpoint, wanted: Endpoint) -> bool:
        """Whether a passed socket is used for a configured endpoint; else one would be made."""
        own = Passed(passed)
        sockets = PassedSockets([("gomd.socket", own)], make=lambda _setting, endpoint: Passed(endpoint))
        return sockets.socket("[telnet] endpoints", wanted) is own

    def test_the_same_address(self) -> None:
        """It is not bound a second time, which would fail."""
        for endpoint in (Tcp("127.0.0.1", 2901), Tcp("::1", 2901), Unix("/run/gomd/gomd.sock")):
            self.assertTrue(self.serves(endpoint, endpoint))

    def test_every_address(self) -> None:
        """ListenStream=2901 is [::]:2901, which takes connections to all addresses."""
        for wanted in (Tcp("127.0.0.1", 2901), Tcp("::1", 2901), Tcp("0.0.0.0", 2901), Tcp("alpha", 2901)):
            self.assertTrue(self.serves(Tcp("::", 2901), wanted))
        self.assertTrue(self.serves(Tcp("0.0.0.0", 2901), Tcp("10.0.0.1", 2901)))
        self.assertFalse(self.serves(Tcp("0.0.0.0", 2901), Tcp("::1", 2901)))

    def test_localhost(self) -> None:
        """By its name."""
        self.assertTrue(self.serves(Tcp("127.0.0.1", 2901), Tcp("localhost", 2901)))

    def test_another_address(self) -> None:
        """It is opened beside the passed one."""
        self.assertFalse(self.serves(Tcp("127.0.0.1", 2901), Tcp("127.0.0.1", 2902)))
        self.assertFalse(self.serves(Tcp("127.0.0.1", 2901), Tcp("10.0.0.1", 2901)))
        self.assertFalse(self.serves(Unix("/a"), Unix("/b")))
        self.assertFalse(self.serves(Unix("/a"), Tcp("127.0.0.1", 2901)))

    def test_each_is_used_once(self) -> None:
        """What no endpoint has asked for serves the telnet line, but for that of the metrics."""
        first, second, metrics = (Passed(Tcp("127.0.0.1", port)) for port in (1, 2, 3))
        sockets = PassedSockets([("a", first), ("http", metrics), ("b", second)])
        self.assertIs(sockets.http(), metrics)
        self.assertIsNone(sockets.http())
        self.assertIs(sockets.socket("[telnet] endpoints", Tcp("127.0.0.1", 1)), first)
        self.assertEqual(sockets.telnet(), (second,))
        self.assertEqual(sockets.telnet(), ())


class EnvironmentTests(SynchronousTestCase):
    """LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "sock")
        self.taken: Sequence[int] = ()

    def take(self, **environ: str) -> tuple[Socket, ...]:
        """Return what is passed, as the telnet line gets it; the variables are gone."""
        variables = {"PATH": "/bin", **environ}
        found = take_sockets(variables, 4711, lambda: self.taken).telnet()
        self.assertEqual(variables, {"PATH": "/bin"})
        return found

    def open(self, listen: bool = True) -> int:
        """Return the descriptor of a unix socket."""
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(self.path)
            if listen:
                made.listen()
            return os.dup(made.fileno())

    def test_nothing_passed(self) -> None:
        """No variables, those of another process, or nonsense."""
        for pid, count in (("", ""), ("1", "1"), ("4711", "0"), ("4711", "x"), ("4711", "-1"), ("", "1")):
            self.assertEqual(self.take(LISTEN_PID=pid, LISTEN_FDS=count), ())

    def test_what_twisted_has_taken(self) -> None:
        """Twisted removes LISTEN_PID and LISTEN_FDS when its endpoints are imported; the names stay."""
        self.taken = (self.open(),)
        [found] = self.take(LISTEN_FDNAMES="gomd.socket")
        self.assertEqual(found.endpoint, Unix(self.path))
        self.assertFalse(os.get_inheritable(found.socket.fileno()))
        found.close()
        self.assertTrue(os.path.exists(self.path), "its name is systemd's")

    def test_a_name_alone_takes_nothing(self) -> None:
        """Inherited from a Twisted program that systemd started: our descriptor 3 is something else."""
        self.assertEqual(self.take(LISTEN_FDNAMES="gomd.socket"), ())

    def test_what_does_not_listen_is_refused(self) -> None:
        """Accept=yes passes a connection, ListenDatagram= a datagram socket."""
        self.taken = (self.open(listen=False),)
        with self.assertRaises(ConfigError) as caught:
            self.take(LISTEN_FDNAMES="gomd.socket")
        self.assertIn("Accept=no", str(caught.exception))

    def test_what_is_no_socket_is_refused(self) -> None:
        """One sentence."""
        self.taken = (os.open(os.devnull, os.O_RDONLY),)
        self.addCleanup(os.close, self.taken[0])
        with self.assertRaises(ConfigError) as caught:
            self.take(LISTEN_FDNAMES="gomd.socket")
        self.assertIn("'gomd.socket'", str(caught.exception))

    def test_the_peers_are_not_systemds(self) -> None:
        """Their sockets are made again when an address changes."""
        self.taken = (self.open(),)
        with self.assertRaises(ConfigError) as caught:
            self.take(LISTEN_FDNAMES="peers")
        self.assertIn("peers", str(caught.exception))
