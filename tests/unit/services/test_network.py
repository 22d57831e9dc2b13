"""The watch over this node's network: what it does when the kernel tells of a change, or does not."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.network import (
    CHECK_PERIOD,
    CHECK_PERIOD_WITHOUT_NETLINK,
    FIRST_CHECK_DELAY,
    SECOND_CHECK_DELAY,
    NetworkWatch,
)
from gomd.services.own_address import OwnAddress
from gomd.sources.addresses import InterfaceAddress
from libgomd.model import EventKind
from tests.unit.services.held import HeldThreads

GIVEN = bytes.fromhex((Path(__file__).parents[2] / "data/netlink/address-given.hex").read_text("ascii"))
HERE = InterfaceAddress("10.0.0.8", "eth0", 2, True)


class Kernel:
    """A netlink socket: what it says next, each datagram with the port of its sender."""

    def __init__(self) -> None:
        self.said: list[bytes | OSError] = []
        self.sender = 0
        self.closed = False

    def fileno(self) -> int:
        return 99

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        if not self.said:
            raise BlockingIOError
        next_one = self.said.pop(0)
        if isinstance(next_one, OSError):
            raise next_one
        return next_one, (self.sender, 16)

    def close(self) -> None:
        self.closed = True


class ReadingClock(Clock):
    """A clock whose readers read when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class NetworkWatchTests(SynchronousTestCase):
    """A node whose network the test changes."""

    def setUp(self) -> None:
        self.clock = ReadingClock()
        self.threads = HeldThreads(self.clock)
        self.kernel = Kernel()
        self.netlink = True
        self.found: tuple[InterfaceAddress, ...] = (HERE,)
        self.looks = 0
        self.joined: list[tuple[str, int]] = []
        self.cannot_join = False
        self.moved: list[tuple[str, ...]] = []
        self.said: list[tuple[EventKind, str]] = []

    def look(self) -> tuple[tuple[InterfaceAddress, ...], tuple[str, str]]:
        self.looks += 1
        return self.found, ("10.0.0.8", "fd00::8")

    def open_monitor(self) -> Any:
        if not self.netlink:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return self.kernel

    def join(self, address: str, index: int) -> None:
        if self.cannot_join:
            raise OSError(errno.ENODEV, "No such device")
        self.joined.append((address, index))

    def watch(self, *addresses: str) -> NetworkWatch:
        own = [OwnAddress(each, each) for each in addresses or ("10.0.0.8",)]
        made = NetworkWatch(
            self.clock, self.threads, own, self.look, self.open_monitor,
            self.join, self.moved.append, lambda kind, text: self.said.append((kind, text)),
        )  # fmt: skip
        made.startService()
        self.threads.work()
        return made

    def tell(self, *said: bytes | OSError) -> None:
        """Let the kernel say something and a moment pass."""
        self.kernel.said += said
        for reader in self.clock.readers:
            reader.doRead()
        self.pass_time(FIRST_CHECK_DELAY)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 10) + 1):  # a tenth more: tenths do not add up
            self.clock.advance(0.1)
            self.threads.work()

    def test_a_change_is_looked_at_soon_and_once_more(self) -> None:
        """Routes come after addresses. A thousand changes at once are one look."""
        self.watch()
        self.tell(*[GIVEN] * 50)
        self.assertEqual(self.looks, 2)
        self.pass_time(SECOND_CHECK_DELAY)
        self.assertEqual(self.looks, 3)

    def test_an_address_that_goes_and_returns(self) -> None:
        """One event each, and the group is joined anew."""
        watch = self.watch()
        self.found = ()
        self.tell(GIVEN)
        self.assertEqual([kind for kind, _text in self.said], [EventKind.SUSPECT])
        self.assertIn("10.0.0.8", watch.trouble)
        self.assertEqual({c.name: c.value for c in watch.counters()}["address_lost"], 1)
        self.pass_time(3 * CHECK_PERIOD)
        self.assertEqual(len(self.said), 1)
        self.found = (HERE._replace(number=7),)
        self.tell(GIVEN)
        self.assertEqual([kind for kind, _text in self.said], [EventKind.SUSPECT, EventKind.UP])
        self.assertEqual((self.joined, watch.trouble), ([("10.0.0.8", 7)], ""))

    def test_a_group_that_cannot_be_joined_is_tried_again(self) -> None:
        """It is said once."""
        self.watch()
        self.cannot_join = True
        self.found = (HERE._replace(number=7),)
        self.tell(GIVEN)
        self.pass_time(2 * CHECK_PERIOD)
        self.assertEqual([kind for kind, _text in self.said], [EventKind.SUSPECT])
        self.cannot_join = False
        self.pass_time(CHECK_PERIOD)
        self.assertEqual(self.joined, [("10.0.0.8", 7)])

    def test_without_netlink_it_looks_by_itself(self) -> None:
        """In a sandbox that has none."""
        self.netlink = False
        self.watch()
        self.found = ()
        self.pass_time(CHECK_PERIOD_WITHOUT_NETLINK + 0.1)
        self.assertEqual([kind for kind, _text in self.said], [EventKind.SUSPECT])
        self.assertEqual(self.clock.readers, [])

    def test_messages_that_were_lost_or_are_junk(self) -> None:
        """Then all is looked at; what is not of the kernel is nothing."""
        self.watch()
        self.tell(OSError(errno.ENOBUFS, "No buffer space available"), GIVEN)
        self.assertEqual(self.looks, 2)
        self.pass_time(SECOND_CHECK_DELAY)
        self.tell(b"junk")
        self.assertEqual(self.looks, 4)
        self.pass_time(SECOND_CHECK_DELAY)
        looks, self.kernel.sender = self.looks, 4711
        self.tell(GIVEN)
        self.assertEqual(self.looks, looks)

    def test_a_look_that_hangs_is_the_only_one(self) -> None:
        """The lock of the kernel is taken: no thread more waits for it."""
        watch = self.watch()
        for _ in range(5):
            self.kernel.said.append(GIVEN)
            self.clock.readers[0].doRead()
            self.clock.advance(FIRST_CHECK_DELAY)
        self.assertEqual(len(self.threads.waiting), 1)
        self.found = ()
        self.threads.work()
        self.assertTrue(watch.trouble)

    def test_its_end(self) -> None:
        """Nothing is left of it."""
        watch = self.watch()
        self.tell(GIVEN)
        watch.stopService()
        self.assertEqual((self.clock.getDelayedCalls(), self.clock.readers), ([], []))
        self.assertTrue(self.kernel.closed)

    def test_two_addresses(self) -> None:
        """Each has its own group to join, and is told of by itself; the other one goes on."""
        other = InterfaceAddress("fd00::8", "eth1", 3, True)
        self.found = (HERE, other)
        watch = self.watch("10.0.0.8", "fd00::8")
        self.found = (HERE,)
        self.tell(GIVEN)
        [(kind, text)] = self.said
        self.assertEqual(kind, EventKind.SUSPECT)
        self.assertIn("its address fd00::8 is on no interface any more: no other node", text)
        self.assertEqual(watch.trouble, "by IPv6, its address fd00::8 is on no interface")
        self.assertEqual({c.name: c.value for c in watch.counters()}["address_lost"], 1)
        self.found = (HERE._replace(number=9), other._replace(number=7))
        self.tell(GIVEN)
        self.assertEqual(self.joined, [("10.0.0.8", 9), ("fd00::8", 7)])
        self.assertEqual(watch.trouble, "")

    def test_a_renumbered_prefix(self) -> None:
        """With `::` the address of the default route is followed; both addresses are told."""
        self.found = (HERE, InterfaceAddress("fd00::8", "eth1", 3, True))
        own = [OwnAddress("10.0.0.8", "10.0.0.8"), OwnAddress("::", "fd00::7")]
        made = NetworkWatch(
            self.clock, self.threads, own, self.look, self.open_monitor, self.join, self.moved.append,
            lambda kind, text: self.said.append((kind, text)),
        )  # fmt: skip
        made.startService()
        self.threads.work()
        self.assertEqual(self.moved, [("10.0.0.8", "fd00::8")])
        self.assertIn("its address is fd00::8 on eth1 now, it was fd00::7", self.said[-1][1])
        self.assertEqual(self.joined, [("fd00::8", 3)])

    def test_loopback_is_left_alone(self) -> None:
        """Nothing is opened or looked at."""
        self.watch("127.0.0.1")
        self.pass_time(CHECK_PERIOD)
        self.assertEqual((self.looks, self.clock.readers), (0, []))
