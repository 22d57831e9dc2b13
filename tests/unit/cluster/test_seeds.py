"""Names of seeds are looked up again and again, and what hangs or fails costs nothing but itself."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.membership.transport import Address
from gomd.cluster.seeds import LOOKUP_TIMEOUT, REFRESH_INTERVAL, RETRY_INTERVAL, Seeds, look_up, numeric_seeds
from tests.unit.services.held import HeldThreads


class SeedsTests(SynchronousTestCase):
    """A name service that says what the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(self.clock)
        self.names: dict[str, tuple[str, ...]] = {}
        self.asked: list[str] = []
        self.told: list[tuple[Address, ...]] = []

    def look_up(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        if name not in self.names:
            raise OSError(-2, "Name or service not known")
        return self.names[name]

    def seeds(self, *seeds: Address) -> Seeds:
        made = Seeds(seeds, self.threads, self.clock, self.told.append, self.look_up)
        made.start()
        self.addCleanup(made.stop)
        return made

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.threads.work()

    def test_an_address_needs_no_look_up(self) -> None:
        """It is there from the beginning, and nobody is asked for it."""
        seeds = self.seeds(("10.0.0.1", 5428), ("10.0.0.2", 5429))
        self.pass_time(200)
        self.assertEqual(seeds.addresses(), (("10.0.0.1", 5428), ("10.0.0.2", 5429)))
        self.assertEqual((self.asked, self.told), ([], []))

    def test_all_addresses_of_a_name_are_tried(self) -> None:
        """In the order of the seeds, each once."""
        self.names = {"beta": ("10.0.0.2", "10.0.0.3")}
        self.seeds(("10.0.0.1", 5428), ("beta", 5428), ("10.0.0.3", 5428))
        self.threads.work()
        self.assertEqual(self.told, [(("10.0.0.1", 5428), ("10.0.0.2", 5428), ("10.0.0.3", 5428))])

    def test_a_name_that_nobody_knows_yet_is_asked_for_again_and_said_once(self) -> None:
        """As soon as it is known it is used; the log says both."""
        self.seeds(("beta", 5428))
        self.pass_time(10 * RETRY_INTERVAL)
        self.assertGreaterEqual(len(self.asked), 9)
        self.assertEqual(self.told, [])
        self.names["beta"] = ("10.0.0.2",)
        self.pass_time(RETRY_INTERVAL + 1)
        self.assertEqual(self.told, [(("10.0.0.2", 5428),)])

    def test_a_name_that_moves_is_followed_and_one_that_is_lost_keeps_its_address(self) -> None:
        """A lease ended; later the name server is away."""
        self.names["beta"] = ("10.0.0.2",)
        self.seeds(("beta", 5428))
        self.pass_time(1)
        self.names["beta"] = ("10.0.0.9",)
        self.pass_time(REFRESH_INTERVAL + 1)
        self.assertEqual(self.told[-1], (("10.0.0.9", 5428),))
        del self.names["beta"]
        self.pass_time(3 * REFRESH_INTERVAL)
        self.assertEqual(self.told[-1], (("10.0.0.9", 5428),))

    def test_names_are_looked_up_when_this_node_has_moved(self) -> None:
        """The others may have moved with it: nobody waits for the next minute."""
        self.names["beta"] = ("fd77::2",)
        seeds = self.seeds(("beta", 5428))
        self.pass_time(1)
        self.names["beta"] = ("fd78::2",)
        seeds.look_again()
        self.threads.work()
        self.assertEqual(self.told, [(("fd77::2", 5428),), (("fd78::2", 5428),)])

    def test_a_look_up_that_hangs_is_not_begun_again(self) -> None:
        """Whatever its time limit is: one thread for a name, while others are looked up."""
        self.names = {"beta": ("10.0.0.2",)}
        self.seeds(("hangs", 5428))
        self.clock.advance(1.0)
        for _ in range(round(5 * LOOKUP_TIMEOUT)):
            self.clock.advance(1.0)
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.work()  # it ends after all
        self.pass_time(RETRY_INTERVAL + 1)
        self.assertGreaterEqual(len(self.asked), 2)

    def test_no_thread_is_no_end(self) -> None:
        """It is tried again later."""
        self.names["beta"] = ("10.0.0.2",)
        self.threads.full = True
        self.seeds(("beta", 5428))
        self.pass_time(3)
        self.threads.full = False
        self.pass_time(RETRY_INTERVAL + 1)
        self.assertEqual(self.told, [(("10.0.0.2", 5428),)])

    def test_other_seeds_while_it_runs(self) -> None:
        """SIGHUP: addresses at once, names when they are found, what was found before only if it is named."""
        self.names = {"beta": ("10.0.0.2",), "gamma": ("10.0.0.3",)}
        seeds = self.seeds(("beta", 5428))
        self.threads.work()
        seeds.use([("10.0.0.1", 5428), ("gamma", 5428)])
        self.assertEqual(self.told[-1], (("10.0.0.1", 5428),))
        self.pass_time(1)
        self.assertEqual(self.told[-1], (("10.0.0.1", 5428), ("10.0.0.3", 5428)))
        seeds.use([])
        self.assertEqual(self.told[-1], ())


class LookUpTests(SynchronousTestCase):
    """What the resolver of this machine says."""

    def test_localhost_is_here(self) -> None:
        """From /etc/hosts: no network is needed."""
        self.assertEqual(look_up("localhost"), ("127.0.0.1",))

    def test_what_no_packet_can_go_to_is_no_seed(self) -> None:
        """A name that leads to multicast, to nowhere, or that no codec takes."""
        for host in ("239.0.0.1", "0.0.0.0", "255.255.255.255", "a" * 64 + ".invalid", ".."):
            with self.assertRaises(OSError):
                look_up(host)

    def test_only_names_wait(self) -> None:
        """The engine starts with what is known."""
        self.assertEqual(numeric_seeds([("10.0.0.1", 1), ("beta", 2)]), (("10.0.0.1", 1),))
