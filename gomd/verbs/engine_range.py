"""For how many nodes each membership engine is; docs/membership.md begins with the same table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from libgomd.installation import installation
from libgomd.model import Finding, FindingState

#: Number of nodes up to which an engine is the right one without a thought, and up to which it is one of two.
FIRST_CHOICE: Final = 150
#: Number of nodes up to which the engines do whose nodes all hear each other; the others have no such number.
LARGEST: Final = {"heartbeat": 1000, "map": 1000}
_MEND: Final = 'change to engine swim or serf while the cluster runs: {}, "Another engine"'


def engine_finding(engines: Sequence[str], nodes: int) -> Finding:
    """
    Return the finding about the engines in use: whether the cluster has outgrown all of them.

    Its text begins with their names up to a comma, by which `gom doctor` compares the nodes.

    :param nodes: number of nodes that are listed, this one and those that are down included.
    """
    named = " and ".join(engines)
    largest = [LARGEST.get(engine) for engine in engines]
    limits = [limit for limit in largest if limit is not None]
    if limits and len(limits) == len(largest) and nodes > max(limits):
        text = f"engine {named}, which is for up to {max(limits)} nodes, and {nodes} are listed"
        mend = _MEND.format(installation().page("membership.md"))
        return Finding("engine", FindingState.WARN, text, mend, nodes)
    text = f"engine {named}, {nodes} nodes"
    if len(engines) > 1:
        text += "; two engines are for the time in which a cluster changes"
    elif limits and nodes > FIRST_CHOICE:
        text += f"; beyond {FIRST_CHOICE} swim is another choice, beyond {limits[0]} swim or serf"
    return Finding("engine", FindingState.GOOD, text, "", nodes)
