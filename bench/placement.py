"""
Compares the rule for placing jobs with simpler rules, by the average slowdown of jobs.

A model, not a measurement of a machine: tests/simulation/cluster.py says what it assumes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

from bench.rows import Row, row
from tests.simulation.cluster import (
    MB,
    Rule,
    average_slowdown,
    least_loaded_spread,
    opportunity_cost,
    round_robin,
    workload,
)

SEEDS: Final = range(5)
JOBS: Final = 1500
UTILISATION: Final = 0.7
#: What jobs need, in bytes; the machines have 256 to 1,024 MB.
MEMORY: Final = {"scarce memory": (16 * MB, 1000 * MB), "memory to spare": (8 * MB, 256 * MB)}
RULES: Final[dict[str, Callable[[], Rule]]] = {
    "opportunity cost": opportunity_cost,
    "round robin": round_robin,
    "least loaded": least_loaded_spread,
}


def run() -> list[Row]:
    """Simulate, print the mean of each rule, and return the rows."""
    return [found for name, memory in MEMORY.items() for found in _compared(name, memory)]


def _compared(kind: str, memory: tuple[int, int]) -> list[Row]:
    slowdowns = {
        name: statistics.fmean(
            average_slowdown(workload(seed, JOBS, UTILISATION, memory), make()) for seed in SEEDS
        )
        for name, make in RULES.items()
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in slowdowns.items())
    print(f"average slowdown, {len(SEEDS)} times {JOBS} jobs on 6 unequal machines, {kind}: {told}")
    ours = slowdowns.pop("opportunity cost")
    return [
        row(f"placement, {kind}", ours, "slowdown", name, theirs, 1.0) for name, theirs in slowdowns.items()
    ]


if __name__ == "__main__":
    for one in run():
        print(one)
