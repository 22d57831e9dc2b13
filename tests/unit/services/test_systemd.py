"""What systemd hears of the daemon."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.systemd import Notifier, Watchdog, monotonic_microseconds, take_environment


class Systemd:
    """Hears what is sent to the notification socket, while it is there."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.there = True

    def hear(self, address: str, message: bytes) -> None:
        if not self.there:
            raise FileNotFoundError(2, "No such file or directory")
        assert address == "/run/notify"
        self.heard.append(message.decode())


class NotifierTests(SynchronousTestCase):
    """Type=notify."""

    def setUp(self) -> None:
        self.systemd = Systemd()
        self.notifier = Notifier("/run/notify", 4711, self.systemd.hear, monotonic=lambda: 123456)

    def test_the_life_of_a_daemon(self) -> None:
        """Ready, reloading with the moment, ready again, stopping: each with its line of status."""
        self.notifier.ready("node 7 alpha")
        self.notifier.reloading("reading gomd.ini")
        self.notifier.ready("node 7 alpha")
        self.notifier.stopping("stopping")
        self.assertEqual(
            self.systemd.heard,
            [
                "READY=1\nSTATUS=node 7 alpha\nMAINPID=4711",
                "RELOADING=1\nMONOTONIC_USEC=123456\nSTATUS=reading gomd.ini",
                "READY=1\nSTATUS=node 7 alpha\nMAINPID=4711",
                "STOPPING=1\nSTATUS=stopping",
            ],
        )

    def test_a_status_cannot_say_anything_else(self) -> None:
        """A new line in the status does not become another assignment."""
        self.notifier.stopping("x\nMAINPID=1\udc80")
        [heard] = self.systemd.heard
        self.assertEqual(heard.split("\n"), ["STOPPING=1", "STATUS=x\\x0aMAINPID=1\\xed\\xb2\\x80"])

    def test_without_systemd_nothing_happens(self) -> None:
        """Started by hand there is no socket and no attempt."""
        Notifier("", 1, self.systemd.hear).ready("x")
        self.assertEqual(self.systemd.heard, [])

    def test_a_systemd_that_is_gone_is_borne(self) -> None:
        """No error reaches the daemon, and it tells again as soon as somebody listens."""
        self.systemd.there = False
        self.notifier.ready("x")
        self.notifier.ping()
        self.systemd.there = True
        self.notifier.ping()
        self.assertEqual(self.systemd.heard, ["WATCHDOG=1"])

    def test_a_real_socket_that_is_not_there_is_borne(self) -> None:
        """The same with the kernel's own answer, for a path and an abstract name."""
        Notifier("/no/such/socket", 1).ready("x")
        Notifier("@gomd-no-such-socket", 1).ready("x")

    def test_the_moment_is_the_kernels_monotonic_clock(self) -> None:
        """Later is never less."""
        self.assertLessEqual(monotonic_microseconds(), monotonic_microseconds())


class WatchdogTests(SynchronousTestCase):
    """WatchdogSec."""

    def setUp(self) -> None:
        self.systemd, self.clock = Systemd(), Clock()
        self.notifier = Notifier("/run/notify", 4711, self.systemd.hear)

    def pings(self) -> int:
        """Return how many came since last asked."""
        count, self.systemd.heard[:] = self.systemd.heard.count("WATCHDOG=1"), []
        return count

    def test_it_pings_while_the_reactor_turns(self) -> None:
        """At once, then every period, and no more when the daemon stops; what is stuck does not ping."""
        watchdog = Watchdog(self.notifier, self.clock, 10.0)
        watchdog.startService()
        self.assertEqual(self.pings(), 1)
        self.clock.pump([5.0] * 6)
        self.assertEqual(self.pings(), 3)
        watchdog.stopService()
        self.clock.advance(100.0)
        self.assertEqual(self.pings(), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_reactor_that_was_stuck_does_not_make_up_for_it(self) -> None:
        """After a minute's standstill there is one ping, not six."""
        Watchdog(self.notifier, self.clock, 10.0).startService()
        self.pings()
        self.clock.advance(60.0)
        self.assertEqual(self.pings(), 1)

    def test_a_lost_systemd_does_not_end_the_pings(self) -> None:
        """A ping that fails is followed by the next."""
        Watchdog(self.notifier, self.clock, 10.0).startService()
        self.systemd.there = False
        self.clock.advance(10.0)
        self.systemd.there = True
        self.pings()
        self.clock.advance(10.0)
        self.assertEqual(self.pings(), 1)

    def test_without_a_period_it_does_nothing(self) -> None:
        """A unit without WatchdogSec."""
        watchdog = Watchdog(self.notifier, self.clock, None)
        watchdog.startService()
        watchdog.stopService()
        self.assertEqual((self.pings(), self.clock.getDelayedCalls()), (0, []))


class EnvironmentTests(SynchronousTestCase):
    """How systemd asks."""

    def period(self, **environ: str) -> float | None:
        return take_environment({"NOTIFY_SOCKET": "/run/notify"} | environ, 4711)[1]

    def test_three_pings_in_the_time_it_waits(self) -> None:
        """WatchdogSec=30 is a ping every ten seconds."""
        self.assertEqual(self.period(WATCHDOG_USEC="30000000", WATCHDOG_PID="4711"), 10.0)
        self.assertEqual(self.period(WATCHDOG_USEC="30000000"), 10.0)

    def test_a_watchdog_for_another_process_is_left_alone(self) -> None:
        """WATCHDOG_PID names who is to ping."""
        self.assertIsNone(self.period(WATCHDOG_USEC="30000000", WATCHDOG_PID="1"))

    def test_nonsense_is_no_watchdog(self) -> None:
        """What is not a number of microseconds above 0 is as if it was not there."""
        for text in ("", "0", "-1", "x", "1e6", "٣", "9" * 30):
            self.assertIsNone(self.period(WATCHDOG_USEC=text))
        self.assertIsNone(take_environment({"WATCHDOG_USEC": "30000000"}, 1)[1])

    def test_what_the_daemon_starts_does_not_inherit_it(self) -> None:
        """A command of [commands] cannot say READY or ping in the daemon's name."""
        environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
        take_environment(environ, 1)
        self.assertEqual(environ, {"PATH": "/bin"})

    def test_an_address_that_is_no_unix_socket_is_not_used(self) -> None:
        """vsock and empty addresses are nobody's."""
        for address in ("vsock:2:1", "relative", "", "/" + "x" * 200):
            notifier, period = take_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"}, 1)
            notifier.ready("x")
            self.assertIsNone(period)
