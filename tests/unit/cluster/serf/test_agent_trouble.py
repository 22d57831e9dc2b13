"""What an agent does that ends, lags, lies, or is none: it costs news, never the daemon."""

from __future__ import annotations

from typing import Any

from libgomd.model import EventKind
from tests.unit.cluster.serf.case import SerfCase, member, msgpack


class TroubleTests(SerfCase):
    """The agent has trouble, or makes some."""

    def away(self) -> list[str]:
        """What was said about the agent being away."""
        return [reason for reason in self.reasons() if reason.startswith("its Serf agent cannot be asked")]

    def test_it_dies_and_comes_back(self) -> None:
        """The nodes stay up while they answer; afterwards everything that was missed is told."""
        self.begin(3, 4, 5)
        self.agent.die()
        self.dead(4)
        self.run_for(30.0)
        self.assertEqual(self.up(), [3, 5, 7])
        [reason] = self.away()
        self.assertIn("it has ended", reason)
        self.alive(6)
        self.agent.present = [member(3), member(5, "left"), member(6)]
        self.dead(5)
        self.agent.gone = False
        self.run_for(20.0)
        self.assertEqual(self.up(), [3, 6, 7])
        self.assertIn("its Serf agent answers again", self.reasons())

    def test_it_is_stopped(self) -> None:
        """An agent that does not answer is given up after a few seconds, and ours is killed."""
        self.begin(3)
        self.agent.silent = True
        self.run_for(15.0)
        self.assertIn("unresponsive", self.agent.calls)
        self.assertIn("within 5 s", self.away()[0])
        self.assertEqual(self.up(), [3, 7])
        self.agent.silent = False
        self.run_for(40.0)
        self.assertIn("its Serf agent answers again", self.reasons())

    def test_the_wrong_auth_key(self) -> None:
        """One event says so; it is tried again, ever more seldom, and works when it is right."""
        self.agent.auth = "another one"
        self.begin(3)
        self.run_for(60.0)
        self.assertIn("Invalid authentication token", self.away()[0])
        self.assertEqual(len(self.away()), 1)
        self.assertTrue(6 <= len(self.agent.wires) <= 14, len(self.agent.wires))
        self.agent.auth = "the auth key"
        self.run_for(20.0)
        self.assertEqual(self.up(), [3, 7])

    def test_tags_that_are_refused(self) -> None:
        """Serf has room for 512 bytes of tags, which an administrator may have used up."""
        self.agent.errors["tags"] = "Encoded length of tags exceeds limit of 512 bytes"
        self.begin()
        self.run_for(10.0)
        self.assertIn("does not take this node's tags: Encoded length", self.away()[0])
        self.assertNotIn("unresponsive", self.agent.calls)

    def test_rubbish(self) -> None:
        """What is no RPC of Serf ends the connection and nothing else."""
        deep = b"\x81\xa7Members\x91" + b"\x91" * 100_000
        long_text = b"\x81\xa7Members\x91\x81\xa4Name\xdb" + (1 << 30).to_bytes(4, "big") + b"x" * 100_000
        many_tags = {f"t{number}": "" for number in range(100_000)}
        for rubbish in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n", deep, long_text, b"\xdd\xff\xff\xff\xff",
            msgpack.packb({"Members": [{**member(9), "Tags": many_tags}]}),
            b"\x81\xa7Members\xdd\xff\xff\xff\xff", b"\xde\xff\xff", msgpack.packb({1: 2}),
        ):  # fmt: skip
            self.setUp()
            self.begin(3)
            self.agent.raw = rubbish
            self.link.compare()
            self.run_for(8.0)
            self.assertEqual(self.up(), [3, 7], rubbish[:40])
            [reason] = self.away()
            self.assertIn("does not speak Serf's RPC", reason)
            self.assertLess(len(reason), 600)
            self.agent.raw = None
            self.run_for(20.0)
            self.assertIn("its Serf agent answers again", self.reasons())
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_hundred_thousand_members_of_rubbish(self) -> None:
        """Each with tags that say nothing: the nodes among them are found, and little is remembered."""
        self.begin(3)
        odd: list[Any] = [
            {
                "Name": f"rubbish {number}", "Addr": b"x" * (number % 20),
                "Tags": {"gomd_id": "x" * (number % 99)}, "Status": ("alive", "failed", "?")[number % 3],
            }
            for number in range(100_000)
        ]  # fmt: skip
        odd += [None, [], 5, {"Name": 5}, {"Name": "x" * 200, "Status": "alive"}, {"Name": "x", "Tags": 5}]
        self.agent.present = [member(3), *odd]
        self.link.compare()
        self.run_for(5.0)
        self.assertEqual(self.up(), [3, 7])
        self.assertEqual([each for each in self.reasons() if "Serf agent" in each], [])
        self.assertLess(len(self.asked), 50)

    def test_a_member_without_end(self) -> None:
        """A member of more than 64 KiB is not read to its end."""
        self.begin(3)
        member_of_texts = {**member(9), "Tags": {f"t{number}": "x" * 4000 for number in range(100)}}
        self.agent.raw = msgpack.packb({"Members": [member_of_texts]})
        self.link.compare()
        self.run_for(8.0)
        self.assertEqual(self.up(), [3, 7])

    def test_events_that_nobody_asked_for(self) -> None:
        """Answers to no request end the connection."""
        self.begin(3)
        self.agent.wires[0].send(msgpack.packb({"Seq": 999, "Error": ""}))
        self.run_for(2.0)
        self.assertEqual(len([wire for wire in self.agent.wires if wire.open]), 1)
        self.assertFalse(self.agent.wires[0].open)

    def test_it_says_goodbye(self) -> None:
        """`stop` has our own agent leave and fires when it is gone; nothing is on the clock then."""
        self.begin(3)
        stopped = self.engine.stop()
        self.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertIn(("leave", {"Command": "leave", "Seq": self.agent.did[-1][1]["Seq"]}), self.agent.did)
        self.assertEqual(self.agent.calls[-1], "stop")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_goodbye_to_nobody(self) -> None:
        """An agent that does not answer delays the end of the daemon by a few seconds at most."""
        self.begin(3)
        self.agent.silent = True
        stopped = self.engine.stop()
        self.run_for(3.0)
        self.successResultOf(stopped)
        self.run_for(30.0)
        self.assertEqual([each for each in self.seen() if each[0] is EventKind.DOWN], [])

    def test_seeds(self) -> None:
        """Our own agent joins the seeds until they are up, at their own ports."""
        self.begin()
        self.run_for(20.0)
        joins = [body["Existing"] for command, body in self.agent.did if command == "join"]
        self.assertEqual(joins[0], ["10.0.0.1:5431", "10.0.0.7:5431"])
        self.assertTrue(4 <= len(joins) <= 7, len(joins))
        self.engine.set_seeds((("10.0.0.2", 6000), ("10.0.0.3", 65535)))
        self.run_for(1.0)
        self.assertEqual(self.agent.did[-1][1]["Existing"], ["10.0.0.2:6003"])

    def test_keys(self) -> None:
        """Go to the agent that gomd runs."""
        self.begin()
        self.engine.set_keys((b"k" * 32, b"n" * 32))
        self.assertEqual(self.agent.calls[-1], "keys 2")


class AdministratorsTests(SerfCase):
    """An agent that is not ours."""

    is_ours = False

    def test_it_is_left_alone(self) -> None:
        """It joins nobody and does not leave; at the end our tags are taken away, and no others."""
        self.agent.tags = {"role": "web"}
        self.begin(3)
        self.run_for(60.0)
        self.assertEqual(self.up(), [3, 7])
        stopped = self.engine.stop()
        self.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.agent.tags, {"role": "web"})
        self.assertEqual({command for command, _body in self.agent.did}, {"auth", "stream", "tags"})
