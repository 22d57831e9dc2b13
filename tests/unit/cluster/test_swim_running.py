"""The swim engine starts, stops, starts again and takes other settings."""

from __future__ import annotations

import pytest

from libgomd.model import EventKind
from tests.unit.cluster.swim_case import PORT, SwimCase, kinship, member

making = pytest.importorskip("gomd.cluster.swim.setup")
running = pytest.importorskip("gomd.cluster.swim.runner")


class RunningTests(SwimCase):
    """kinship itself: started, ended, told of changes."""

    def test_it_says_goodbye(self) -> None:
        """`stop` fires when kinship is gone, and nothing is on the clock then."""
        self.engine.start()
        self.successResultOf(self.engine.stop())
        self.assertEqual(self.made[0].did, ["start", "close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_start_that_fails_is_tried_again(self) -> None:
        """A port that is taken, names that cannot be looked up: every ten seconds, until it is stopped."""
        self.trouble = OSError("Address already in use")
        self.engine.start()
        self.trouble = kinship.JoinError("no seed resolves")
        self.clock.advance(running.RESTART_DELAY)
        self.trouble = None
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual([made.did for made in self.made], [[], [], ["start"]])
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])

    def test_stopped_while_it_waits(self) -> None:
        """There is no next try."""
        self.trouble = OSError("Address already in use")
        self.engine.start()
        self.successResultOf(self.engine.stop())
        self.clock.advance(100.0)
        self.assertEqual(len(self.made), 1)

    def test_it_ends_by_itself(self) -> None:
        """It is started again, and who went meanwhile is down."""
        self.engine.start()
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.KinshipClosed("an internal error"))
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual(len(self.made), 2)
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7), (EventKind.DOWN, 3, 7)])

    def test_another_address(self) -> None:
        """It leaves and joins again, by way of those that it knew too; who is not found then is down."""
        self.engine.start()
        self.say(kinship.MemberJoined(member(3)), kinship.MemberJoined(member(4)))
        self.address = "10.0.0.77"
        self.clock.advance(1.0)
        self.assertEqual(self.made[0].did, ["start", "close"])
        self.assertEqual(len(self.made), 1)  # the others take it for a second node 7 so soon
        self.clock.advance(2 * making.RECLAIM_AFTER)
        self.assertEqual(self.made[1].did, ["start"])
        self.assertEqual({host for host, _port in self.made[1].seeds}, {"10.0.0.1", "10.0.0.3", "10.0.0.4"})
        self.made[1].present = [member(3)]
        self.assertEqual([kind for kind, _node, _by in self.seen()], [EventKind.JOIN] * 2)
        self.clock.advance(10.0)
        self.assertEqual(self.seen()[2:], [(EventKind.DOWN, 4, 7)])
        self.clock.advance(10.0)
        self.assertEqual(len(self.made), 2)

    def test_stopped_while_it_has_another_address(self) -> None:
        """It is not started again."""
        self.engine.start()
        self.address = "10.0.0.77"
        self.clock.advance(1.0)
        stopping = self.engine.stop()
        self.clock.advance(10.0)
        self.successResultOf(stopping)
        self.assertEqual(len(self.made), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_node_has_another_address(self) -> None:
        """The event says where it was before."""
        self.engine.start()
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberLeft(member(3)))
        self.say(kinship.MemberJoined(member(3, 2, "10.0.0.33")))
        self.assertIn("up at 10.0.0.33, it was at 10.0.0.3", [each.reason for each in self.events.recent()])

    def test_other_keys(self) -> None:
        """All are taken, the first one is used, and those that are gone are removed; in this order."""
        self.engine.start()
        old, new = b"k" * 32, b"n" * 32
        self.engine.set_keys((new, old))
        self.engine.set_keys((new, old))
        self.engine.set_keys((new,))
        self.assertEqual(
            self.made[0].did[1:],
            [
                ("install", new), ("install", old), ("use", new),
                ("install", new), ("use", new), ("remove", old),
            ],
        )  # fmt: skip

    def test_other_seeds(self) -> None:
        """They are asked at once, at the ports where kinship listens, and after the next start too."""
        self.engine.start()
        self.engine.set_seeds([("10.0.0.9", PORT)])
        self.assertEqual(self.made[0].did[-1], ("join", ["10.0.0.9:5430"]))
        self.say(kinship.KinshipClosed("an internal error"))
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual(self.made[1].seeds, (("10.0.0.9", PORT),))

    def test_seeds_of_the_other_family(self) -> None:
        """Beside another engine that has both: kinship is not told of what it cannot reach."""
        self.engine.set_seeds([("fd00::1", PORT), ("10.0.0.9", PORT)])
        self.engine.start()
        self.assertEqual(self.made[0].seeds, (("10.0.0.9", PORT),))
        self.engine.set_seeds([("fd00::1", PORT)])
        self.assertEqual(self.made[0].did, ["start"])


def test_where_kinship_listens() -> None:
    """At the address of the node, or at all of its family when the node's address may change."""
    for setting, told, bind, advertised in (
        ("10.0.0.7", "10.0.0.7", "10.0.0.7:5430", None),
        ("0.0.0.0", "10.0.0.7", "0.0.0.0:5430", "10.0.0.7:5430"),
        ("::", "fd77::7", "[::]:5430", "[fd77::7]:5430"),
        ("0.0.0.0", "fd77::7", "[::]:5430", "[fd77::7]:5430"),  # 0.0.0.0 and ::, and there is no IPv4
    ):
        make = making.SwimSetup(
            7, "node7", setting, PORT, PORT, 1.0, 2, lambda *_args: None, lambda told=told: told
        )
        config = make((b"k" * 32,), ()).config
        assert (config.bind, config.advertise) == (bind, advertised)


def test_what_kinship_is_told() -> None:
    """It takes every setting that gomd.ini allows, and seals with our key."""
    for heartbeat in (0.1, 1.0, 60.0):
        make = making.SwimSetup(7, "node7", "127.0.0.1", PORT, PORT, heartbeat, 2, lambda *_args: None)
        config = make((b"k" * 32, b"n" * 32), (("10.0.0.1", PORT), ("10.0.0.2", 65535))).config
        assert (config.name, config.bind, config.seeds) == ("7", "127.0.0.1:5430", ["10.0.0.1:5430"])
        assert len(config.key_ids) == 2
        assert not config.insecure_plaintext
        with pytest.raises(kinship.ConfigError):  # there is no swim in the clear
            make((), ())
