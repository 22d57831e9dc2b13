"""For how long no multicast of other nodes has come, which `gom doctor` tells."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.cluster.alone import Alone, beat


def unheard(alone: Alone) -> float:
    """Return the counter."""
    [found] = [each.value for each in alone.engine.counters() if each.name == "multicast_unheard"]
    assert isinstance(found, (int, float))
    return found


class UnheardTests(SynchronousTestCase):
    def wait(self, alone: Alone, seconds: int, *nodes: tuple[int, bool]) -> None:
        """Let time pass in which nodes are heard. :param nodes: each, and whether by multicast."""
        for _ in range(seconds):
            for number, multicast in nodes:
                alone.hear(number, beat(number), multicast=multicast)
            alone.clock.advance(1.0)

    def test_multicast_that_works_or_is_not_needed(self) -> None:
        """One node is enough: others may be on another network. A node without others hears none."""
        alone = Alone(discovery=True)
        self.wait(alone, 100)
        self.assertEqual(unheard(alone), 0)
        self.wait(alone, 100, (2, True), (3, False))
        self.assertEqual(unheard(alone), 0)
        off = Alone(discovery=False)
        self.wait(off, 100, (2, False))
        self.assertEqual(unheard(off), 0)

    def test_multicast_that_does_not_come(self) -> None:
        """The seconds grow while all are heard directly, and are none as soon as one comes by multicast."""
        alone = Alone(discovery=True)
        self.wait(alone, 100, (2, False), (3, False))
        self.assertGreater(unheard(alone), 80)
        self.wait(alone, 3, (2, True), (3, False))
        self.assertEqual(unheard(alone), 0)
