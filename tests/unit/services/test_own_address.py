"""Where this node's address is, what is said of it, and when the multicast group is joined anew."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.services.own_address import Outcome, OwnAddress, Reachability
from gomd.sources.addresses import InterfaceAddress

LO = InterfaceAddress("127.0.0.1", "lo", 1, True)


def at(address: str = "10.0.0.8", index: int = 2, up: bool = True) -> InterfaceAddress:
    return InterfaceAddress(address, f"eth{index}", index, up)


class FixedTests(SynchronousTestCase):
    """The address that gomd.ini names."""

    def setUp(self) -> None:
        self.own = OwnAddress("10.0.0.8", "10.0.0.8")
        self.assertEqual(self.look(at()), Outcome())

    def look(self, *interfaces: InterfaceAddress) -> Outcome:
        return self.own.take((LO, *interfaces), "10.0.0.8")

    def test_as_long_as_it_is_there_nothing_is_said(self) -> None:
        """Whatever else comes and goes."""
        self.assertEqual(self.look(at(), at("10.1.0.1", 3)), Outcome())
        self.assertEqual(self.own.trouble, "")

    def test_another_address_in_its_place(self) -> None:
        """A lease ended: once, with what there is now and what to do; and once when it is back."""
        gone = self.look(at("10.0.0.108"))
        self.assertIn("10.0.0.8 is on no interface any more (there is 10.0.0.108 on eth2)", gone.reason)
        self.assertIn("set [peers] address", gone.reason)
        self.assertEqual((self.own.reachability, self.own.address), (Reachability.GONE, "10.0.0.8"))
        self.assertIn("10.0.0.8 is on no interface", self.own.trouble)
        self.assertEqual(self.look(at("10.0.0.108")), Outcome())
        back = self.look(at(), at("10.0.0.108"))
        self.assertIn("can reach it again", back.reason)
        self.assertEqual((back.join, self.own.trouble), (2, ""))

    def test_the_interface_goes_down_and_up(self) -> None:
        """It has the address all the time; the group is joined when it is up again."""
        down = self.look(at(up=False))
        self.assertIn("eth2, which has its address 10.0.0.8, is down", down.reason)
        self.assertEqual((down.join, self.own.reachability), (0, Reachability.DOWN))
        self.assertEqual(self.look(at()).join, 2)

    def test_it_moves_to_another_interface(self) -> None:
        """Nothing is lost, so nothing is said: the group is joined there, once."""
        self.assertEqual(self.look(at(index=5)), Outcome(join=5))
        self.assertEqual(self.look(at(index=5)), Outcome())

    def test_it_is_on_two_interfaces(self) -> None:
        """The one that is up counts."""
        self.assertEqual(self.look(at(up=False), at(index=5)), Outcome(join=5))

    def test_an_address_that_the_kernel_lists_nowhere(self) -> None:
        """A virtual one that may be used all the same is not called gone."""
        own = OwnAddress("10.0.0.200", "10.0.0.200")
        self.assertEqual(own.take((LO, at()), "10.0.0.8"), Outcome())

    def test_loopback_is_not_watched(self) -> None:
        """Any address of it."""
        own = OwnAddress("127.0.0.7", "127.0.0.7")
        self.assertEqual((own.watched, own.take((), "127.0.0.1")), (False, Outcome()))


class FollowedTests(SynchronousTestCase):
    """0.0.0.0: the address that the default route uses."""

    def test_another_address(self) -> None:
        """Is told, and the group is joined there."""
        own = OwnAddress("0.0.0.0", "10.0.0.8")
        self.assertEqual(own.take((LO, at()), "10.0.0.8"), Outcome())
        moved = own.take((LO, at("10.0.0.108")), "10.0.0.108")
        self.assertEqual((moved.moved, moved.join, own.address), (True, 2, "10.0.0.108"))
        self.assertIn("10.0.0.108 on eth2 now, it was 10.0.0.8", moved.reason)

    def test_no_network_at_the_start(self) -> None:
        """It comes later, as on a machine that boots."""
        own = OwnAddress("0.0.0.0", "127.0.0.1")
        self.assertIn("no route", own.take((LO,), "127.0.0.1").reason)
        self.assertEqual(own.take((LO,), "127.0.0.1"), Outcome())
        came = own.take((LO, at()), "10.0.0.8")
        self.assertEqual((came.moved, came.join, own.reachability), (True, 2, Reachability.HERE))

    def test_the_route_goes_and_comes(self) -> None:
        """The same address again: it is said, and the group is joined anew."""
        own = OwnAddress("0.0.0.0", "10.0.0.8")
        own.take((LO, at()), "10.0.0.8")
        self.assertIn("no route", own.take((LO,), "127.0.0.1").reason)
        again = own.take((LO, at()), "10.0.0.8")
        self.assertIn("can reach it again", again.reason)
        self.assertEqual((again.join, again.moved), (2, False))
