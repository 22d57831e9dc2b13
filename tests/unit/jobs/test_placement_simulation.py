"""The rule of gomd/jobs/placement/choice.py against simpler ones, on a model of a cluster."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import (
    MB,
    average_slowdown,
    least_loaded,
    least_loaded_spread,
    opportunity_cost,
    round_robin,
    workload,
)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("memory", [(16 * MB, 1000 * MB), (8 * MB, 256 * MB)], ids=["scarce", "plenty"])
def test_jobs_are_slowed_down_least(memory: tuple[int, int], seed: int) -> None:
    """
    On unequal machines that are busy seven tenths of the time, whether memory is scarce or not.

    The second least-loaded rule knows, as ours does, of the jobs it placed since the loads were told.
    """
    jobs = workload(seed, 500, 0.7, memory)
    ours = average_slowdown(jobs, opportunity_cost())
    others = [average_slowdown(jobs, rule()) for rule in (round_robin, least_loaded, least_loaded_spread)]
    assert ours < min(others), f"ours {ours:.2f}, others {others}"
