"""
Real nodes of kinship, all of one process, on loopback and with a key: as many as two cores bear.

They run as gomd sets kinship up, without gomd's engine. Time is real.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from bench import own_network
from bench.servers import memory_of

#: Seconds over which idle nodes are measured, and that anything may take.
IDLE_SECONDS: Final = 10.0
STEP_TIMEOUT: Final = 60.0
DYING: Final = 0.05
_FIRST_PORT: Final = 20000
_KEY: Final = b"k" * 32
Result = dict[str, Any]


def nodes(count: int) -> Result:
    """
    Measure ``count`` nodes. For a process of its own; takes up to two minutes.

    :raises AssertionError: something took longer than `STEP_TIMEOUT`.
    """
    alone = own_network.enter()
    before = memory_of(os.getpid())
    began = time.monotonic()
    made = [_node(number) for number in range(count)]
    _until(lambda: all(len(node.members()) == count for node in made))
    found: Result = {"count": count, "alone": alone, "start": time.monotonic() - began}
    time.sleep(5.0)
    used, (sent, packets) = time.process_time(), own_network.loopback()
    time.sleep(IDLE_SECONDS)
    after, after_packets = own_network.loopback()
    found["processor"] = (time.process_time() - used) / IDLE_SECONDS / count
    found["bytes"] = (
        2 * (after - sent) / IDLE_SECONDS / count
    )  # each packet is sent by one and received by one
    found["packets"] = 2 * (after_packets - packets) / IDLE_SECONDS / count
    found["memory"] = (memory_of(os.getpid()) - before) / count
    began = time.monotonic()
    made.append(_node(count))
    _until(lambda: all(len(node.members()) == count + 1 for node in made))
    found["join"] = time.monotonic() - began
    dying, made = made[-max(1, round(count * DYING)) :], made[: -max(1, round(count * DYING))]
    gone = {node.local.name for node in dying}
    began = time.monotonic()
    for node in dying:
        node._node.close_blocking(1.0)  # without a goodbye
    found["down"] = _until(lambda: not _knows(made[0], gone)) - began
    found["all_down"] = _until(lambda: not any(_knows(node, gone) for node in made)) - began
    found["false"] = sum(len(made) - len(node.members()) for node in made)
    return found


def _knows(node: Any, gone: set[str]) -> bool:
    return any(member.name in gone for member in node.members())


def _node(number: int) -> Any:
    from gomd.cluster.swim import SwimSetup

    port = _FIRST_PORT + 4 * number
    setup = SwimSetup(number + 1, f"node{number + 1}", "127.0.0.1", port, port, 1.0, 4096, _ignore)
    return setup((_KEY,), (("127.0.0.1", _FIRST_PORT),) if number else ()).start()


def _ignore(*_args: object, **_more: object) -> None:
    """Drop a line of kinship's log."""


def _until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < STEP_TIMEOUT, "it did not come so in time"
        time.sleep(0.1)
    return time.monotonic()
