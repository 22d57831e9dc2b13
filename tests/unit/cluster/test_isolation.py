"""A node that is alone says so once, when it should not be."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.isolation import MAX_HEARTBEATS_ALONE, Isolation


class IsolationTests(SynchronousTestCase):
    """One look a second."""

    def setUp(self) -> None:
        self.isolation = Isolation(1.0)
        self.now = 0.0

    def look(self, seconds: int, up: int = 0, down: int = 0, seeds: int = 0) -> list[str]:
        said = []
        for _ in range(seconds):
            self.now += 1.0
            if text := self.isolation.check(up, down, seeds, self.now):
                said.append(text)
        return said

    def test_a_node_that_was_never_to_have_company_says_nothing(self) -> None:
        """The first one of a cluster, or the last one when all others said goodbye."""
        self.assertEqual(self.look(1000), [])

    def test_all_others_are_silent(self) -> None:
        """It may be its own network: once, and once when it hears somebody."""
        self.assertEqual(self.look(60, up=3), [])
        [said] = self.look(600, down=3)
        self.assertIn("heard no other one for 10 s (3 are known", said)
        self.assertTrue(self.isolation.isolated)
        self.assertEqual(self.look(600, up=1, down=2), ["this node hears other nodes again"])
        self.assertFalse(self.isolation.isolated)

    def test_seeds_that_never_answer(self) -> None:
        """From the start on."""
        [said] = self.look(100, seeds=2)
        self.assertIn("2 seeds", said)

    def test_a_short_silence(self) -> None:
        """Is no news."""
        for _ in range(10):
            self.assertEqual(self.look(MAX_HEARTBEATS_ALONE - 1, down=3) + self.look(1, up=3), [])
