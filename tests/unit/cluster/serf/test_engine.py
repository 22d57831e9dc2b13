"""The serf engine with an agent in memory; integration tests have real ones."""

from __future__ import annotations

from gomd.interfaces import IMembership
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import Datagram, Leave
from tests.unit.cluster.contract import MembershipContract
from tests.unit.cluster.serf.case import OWN, PORT, UP, SerfCase, member

JOIN, UP_AGAIN, LEAVE, DOWN = EventKind.JOIN, EventKind.UP, EventKind.LEAVE, EventKind.DOWN


class SerfContractTests(MembershipContract, SerfCase):
    """What every engine promises."""

    def make_membership(self) -> IMembership:
        self.begin(8)
        engine: IMembership = self.engine
        return engine


class SerfTests(SerfCase):
    """Its own promises."""

    def test_a_node_joins_and_tells_its_values(self) -> None:
        """Listed with its ports and values once it has answered with the key."""
        self.begin(3)
        self.assertEqual(self.seen(), [(JOIN, 3, 7)])
        self.assertEqual(self.engine.port_of(3), (("10.0.0.3", PORT), PORT))
        node = self.engine.find("node3")
        self.assertEqual((node.id, node.address, node.load, node.up), (3, "10.0.0.3", 44, True))

    def test_it_tells_the_agent_who_it_is(self) -> None:
        """The tags say so, and change with the node's address, at which our agent is started again."""
        self.begin()
        self.assertEqual((self.agent.tags["gomd_id"], self.agent.tags["gomd_name"]), ("7", "node7"))
        self.own = Node(7, "node7", "10.0.0.77", UP, 1, age=0.1)
        self.run_for(1.0)
        self.assertEqual(self.agent.tags["gomd_addr"], "10.0.0.77")
        self.assertEqual(self.agent.calls, ["start", "restart"])

    def test_without_the_key_nobody_is_a_node(self) -> None:
        """Whatever the tags say: another cluster, another key, an invented address. One event says so."""
        self.begin(3)
        self.agent.say("member-join", member(4), member(5, key="ffffffffffffffff"))
        self.run_for(120.0)
        self.assertEqual(self.up(), [3, 7])
        told = [reason for reason in self.reasons() if "does not answer with our key" in reason]
        self.assertEqual(len(told), 2)
        asked = self.asked.count(("10.0.0.4", 4))
        self.assertTrue(4 <= asked <= 9, asked)  # ever more seldom

    def test_a_claim_that_is_proven_late(self) -> None:
        """A node whose agent was there before its gomd is up when that answers."""
        self.begin()
        self.agent.say("member-join", member(4))
        self.run_for(10.0)
        self.alive(4)
        self.run_for(20.0)
        self.assertEqual(self.up(), [4, 7])

    def test_members_that_are_no_gomd(self) -> None:
        """Are left alone, and counted."""
        self.begin(3)
        self.agent.present += [member(9, name="web-1", tags={"role": "web"}), member(9, name="db", tags={})]
        self.link.compare()
        self.run_for(1.0)
        self.assertEqual(self.up(), [3, 7])
        counted = {counter.name: counter.value for counter in self.engine.counters()}
        self.assertEqual(counted["serf_others"], 2)
        self.assertEqual(self.reasons(), [])

    def test_a_goodbye(self) -> None:
        """Serf says so and it does not answer: it has left within two seconds, with Serf's word for it."""
        self.begin(3)
        self.agent.present = [member(3, "left")]
        self.dead(3)
        self.agent.say("member-leave", member(3, "left"))
        self.run_for(2.0)
        self.assertEqual(self.seen(), [(JOIN, 3, 7), (LEAVE, 3, 3)])
        self.assertTrue(self.reasons(3)[-1].startswith("left:"))
        self.assertEqual(self.engine.find("3"), Node(3, "node3", "10.0.0.3", Status.CONFIGURED))
        self.assertIsNone(self.engine.port_of(3))
        self.run_for(102.0)
        self.assertEqual([node.id for node in self.engine.nodes()], [7])

    def test_an_agent_without_its_gomd(self) -> None:
        """The administrator's agent goes on without our tags: gomd has said goodbye there."""
        self.begin(3)
        self.dead(3)
        self.agent.say("member-update", member(3, tags={"role": "web"}))
        self.run_for(2.0)
        self.assertEqual(self.seen()[1:], [(LEAVE, 3, 3)])
        self.assertTrue(self.reasons(3)[-1].startswith("gomd stopped"))

    def test_a_goodbye_that_others_say(self) -> None:
        """
        Whoever is in the Serf cluster can say that a node has left, take its tags away or give it others.
        Nodes that answer with our key stay up, and one event each says what Serf says.
        """
        self.begin(3, 4, 5, 6)
        for _ in range(4):
            self.agent.say("member-leave", member(3, "left"))
            self.agent.say(
                "member-update", member(4, tags={}), member(9, name="gomd-5-0a0b0c0d"), member(6, start=2000)
            )
            self.dead(6)
            self.run_for(1.0)
            self.alive(6)
            self.run_for(20.0)
        self.assertEqual(self.up(), [3, 4, 5, 6, 7])
        self.assertEqual([kind for kind, node, _by in self.seen() if kind is LEAVE and node != 6], [])
        self.assertEqual(len([each for each in self.reasons(3) if "says that it has left" in each]), 1)

    def test_a_goodbye_that_is_told_before_it_is_over(self) -> None:
        """A daemon of an older version answers until it ends, a moment later."""
        self.begin(3)
        self.agent.say("member-leave", member(3, "left"))
        self.run_for(1.0)
        self.assertEqual(self.up(), [3, 7])
        self.dead(3)
        self.run_for(4.0)
        self.assertEqual(self.seen()[1:], [(LEAVE, 3, 3)])

    def test_a_node_that_fails(self) -> None:
        """Serf says so and it does not answer: down within two seconds, with Serf's word for it."""
        self.begin(3)
        self.dead(3)
        self.agent.say("member-failed", member(3, "failed"))
        self.run_for(2.0)
        self.assertEqual(self.seen(), [(JOIN, 3, 7), (DOWN, 3, 7)])
        self.assertTrue(self.reasons(3)[-1].startswith("failed:"))
        self.alive(3)
        self.agent.say("member-join", member(3))
        self.assertEqual(self.seen()[2:], [(UP_AGAIN, 3, 7)])

    def test_an_agent_that_lies_calls_nobody_down(self) -> None:
        """It says that all have failed; they answer, and stay up; one event says so."""
        self.begin(3, 4)
        for _ in range(6):
            self.agent.say("member-failed", member(3, "failed"), member(4, "failed"))
            self.run_for(10.0)
        self.assertEqual(self.up(), [3, 4, 7])
        self.assertEqual([kind for kind, _, _ in self.seen()].count(DOWN), 0)
        told = [reason for reason in self.reasons(3) if "but its gomd answers" in reason]
        self.assertEqual(len(told), 1)

    def test_a_gomd_that_is_stopped_while_its_agent_lives(self) -> None:
        """Questions find it: suspect, then down; and up again when it answers again."""
        self.begin(3)
        self.dead(3)
        self.run_for(25.0)
        self.assertEqual([kind for kind, _, _ in self.seen()], [JOIN, EventKind.SUSPECT, DOWN])
        self.assertTrue(self.reasons(3)[-1].startswith("silent:"))
        self.alive(3)
        self.run_for(70.0)
        self.assertEqual(self.seen()[-1], (UP_AGAIN, 3, 7))

    def test_what_serf_gives_up(self) -> None:
        """A member that is reaped, and one that is no longer listed, are down."""
        self.begin(3, 4, 5)
        self.agent.present = []
        self.agent.say("member-reap", member(3, "failed"))
        self.link.compare()
        self.run_for(10.0)
        self.assertEqual(self.up(), [3, 4, 5, 7])  # an agent that was just started may not know all yet
        self.agent.present = [member(5)]
        self.dead(3, 4)
        self.link.compare()
        self.run_for(15.0)
        self.assertEqual(sorted(self.seen()[3:]), [(DOWN, 3, 7), (DOWN, 4, 7)])
        self.assertTrue(all(self.reasons(node)[-1].startswith("reaped:") for node in (3, 4)))

    def test_a_restart(self) -> None:
        """Another start of the daemon is a leave and a join, whether its agent was missed or not."""
        self.begin(3)
        self.agent.say("member-update", member(3, start=2000))
        self.assertEqual(self.seen(), [(JOIN, 3, 7), (LEAVE, 3, 3), (JOIN, 3, 7)])
        self.assertIn("started again", self.reasons(3)[-1])

    def test_an_id_that_is_used_twice(self) -> None:
        """The first one stays; one event names both addresses. Our own id as well."""
        self.begin(3)
        self.answers["10.9.9.9", 3] = Node(3, "twin", "10.9.9.9", UP)
        self.answers["10.9.9.8", 7] = Node(7, "twin", "10.9.9.8", UP)
        self.agent.say(
            "member-join",
            member(3, name="a", addresses=("10.9.9.9",)), member(7, name="b", addresses=("10.9.9.8",)),
        )  # fmt: skip
        self.run_for(200.0)
        self.assertEqual(self.engine.find("3").address, "10.0.0.3")
        self.assertEqual([each for each in self.reasons(3) if "10.0.0.3 and 10.9.9.9" in each][1:], [])
        self.assertIn("two daemons have the id 7, at 10.0.0.7 and 10.9.9.8", self.reasons()[-1])
        self.assertTrue(self.engine.is_rival(3, "10.9.9.9"))
        self.assertFalse(self.engine.is_rival(3, "10.0.0.3"))

    def test_a_second_one_takes_the_place_of_a_dead_one(self) -> None:
        """A machine that was installed anew has another agent; Serf is told to forget the old one."""
        self.begin(3)
        self.dead(3)
        self.agent.say("member-failed", member(3, "failed"))
        self.run_for(3.0)
        self.answers["10.9.9.9", 3] = Node(3, "node3", "10.9.9.9", UP)
        self.agent.say("member-join", member(3, name="gomd-3-ffffffff", addresses=("10.9.9.9",), start=2000))
        self.assertEqual(self.engine.find("3").address, "10.9.9.9")
        self.run_for(1.0)
        self.assertIn(("force-leave", {"Node": "gomd-3-0a0b0c0d"}), self.agent.did)

    def test_an_address_that_is_for_nothing(self) -> None:
        """A node with two addresses is one node, at the first one where it answers; of our family only."""
        self.begin()
        self.alive(4)
        self.agent.say("member-join", member(4, addresses=("fd00::4", "10.0.0.4")))
        self.assertEqual(self.engine.port_of(4), (("10.0.0.4", PORT), PORT))
        self.assertNotIn(("fd00::4", 4), self.asked)
        self.assertEqual(self.engine.find("4").addresses, ("10.0.0.4", "fd00::4"))

    def test_this_process_stood_still(self) -> None:
        """Nobody is blamed for an hour in which it did not run."""
        self.begin(3, 4)
        self.clock.advance(3600.0)
        self.run_for(3.0)
        self.assertEqual(self.up(), [3, 4, 7])
        self.assertEqual([kind for kind, _, _ in self.seen()], [JOIN, JOIN])

    def test_another_engine_is_said_once_and_not_of_a_node_that_is_up(self) -> None:
        """While a cluster changes its engine nodes speak two; afterwards it is a mistake."""
        self.begin(3)
        self.run_for(61.0)
        for sender in (3, 5, 5):
            self.engine.receive(Datagram(sender, 1, 1, 1, Leave(0)), (f"10.0.0.{sender}", PORT))
        told = [each.node for each in self.events.recent() if "another [peers] engine" in each.reason]
        self.assertEqual(told, [5])

    def test_a_table_that_is_full(self) -> None:
        """More nodes than max_nodes are not listed; one event says so, and the longest gone makes room."""
        self.begin(*range(101, 160))
        self.assertEqual(len(self.up()), self.max_nodes)
        self.assertIn("raise [peers] max_nodes", self.reasons()[-1])
        self.dead(101)
        self.agent.say("member-leave", member(101, "left"))
        self.run_for(2.0)
        self.alive(200)
        self.agent.say("member-join", member(200))
        self.assertIn(200, self.up())
        self.assertNotIn(101, [node.id for node in self.engine.nodes()])

    def test_own(self) -> None:
        """The own member of Serf is this node, and is not asked anything."""
        self.begin()
        self.assertEqual(self.engine.nodes(), [OWN])
        self.assertEqual(self.asked, [])
