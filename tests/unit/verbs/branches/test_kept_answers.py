"""How much of the answers a node keeps for readers who are slow."""

from __future__ import annotations

from gomd.verbs.kept_shares import KeptShare
from tests.tree_cluster import TreeCluster, slow_reading
from tests.unit.protocols.talk import a_process


def test_what_is_kept_is_bounded() -> None:
    """A reader who is slow does not fill this node's memory, and gets everything in the end."""
    cluster = TreeCluster(60, 4, lambda node: [a_process(pid, node=node) for pid in range(1, 101)])
    whole = cluster.answer("@all ps", True)[2]
    size = sum(map(len, whole))
    answers, done = slow_reading(cluster, "ps", KeptShare(size, size // 10), 0.1)
    cluster.clock.advance(60.0)
    assert done.result == whole
    largest_answer = 2 * size // 60
    assert answers.peak < size // 10 + 4 * largest_answer


def test_what_is_kept_for_all_requests_is_bounded() -> None:
    """However many read slowly; each goes on, and gets everything in the end."""
    cluster = TreeCluster(60, 4, lambda node: [a_process(pid, node=node) for pid in range(1, 101)])
    whole = cluster.answer("@all ps", True)[2]
    size = sum(map(len, whole))
    share = KeptShare(size // 2, size)
    readers = [slow_reading(cluster, "ps", share, 0.1) for _ in range(4)]
    peak = 0
    for _ in range(200):
        cluster.clock.advance(0.1)
        peak = max(peak, share.kept)
    assert all(done.result == whole for _answers, done in readers)
    largest_answers = 4 * 4 * size // 60
    assert size // 2 < peak < size // 2 + size // 4 + largest_answers < 4 * size
    assert (share.kept, share.requests) == (0, 0)
