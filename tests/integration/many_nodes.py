"""
Runs a daemon that believes to be in a large cluster: `python many_nodes.py COUNT[:NAME] OPTION ...`, as
twistd gomd. NAME is that of node 2.

All nodes but its own are simulated: their loads change once a second, some are down, some are blocked.
Nothing can be asked of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from libgomd.model import Node, Status

_UP = Status.CONFIGURED | Status.UP


class Large:
    """A membership of ``count`` nodes, in front of the real one."""

    def __init__(self, real: Any, clock: Any, count: int, name: str) -> None:
        self._real = real
        self._name = name
        self._clock = clock
        self._count = count
        self._made_at = -1
        self._made: Sequence[Node] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def nodes(self) -> Sequence[Node]:
        """Return the real nodes and the simulated ones."""
        now = int(self._clock.seconds())
        if now != self._made_at:
            self._made_at, self._made = now, self._all(now)
        return self._made

    def _all(self, now: int) -> Sequence[Node]:
        real: Sequence[Node] = self._real.nodes()
        known = {node.id for node in real}
        return sorted(
            [*real, *(self._simulated(each, now) for each in range(1, self._count + 1) if each not in known)][
                : self._count
            ],
            key=lambda node: node.id,
        )

    def _simulated(self, number: int, now: int) -> Node:
        node = _simulated(number, now)
        return replace(node, name=self._name) if self._name and number == 2 else node


def _simulated(number: int, now: int) -> Node:
    name, address = f"node-{number:04}", f"10.1.{number >> 8}.{number & 255}"
    if number % 29 == 7:
        return Node(number, name, address, Status.CONFIGURED)
    status = _UP | Status.BLOCK if number % 17 == 3 else _UP
    load = int(100 + 95 * math.sin(now / 7 + number))
    memory = 64 << 30
    free = int(memory * (0.5 + 0.4 * math.cos(now / 11 + number)))
    return Node(number, name, address, status, load=load, speed=40000, cpus=4, util=400, mem=free, rmem=free,
                tmem=memory, age=0.5)  # fmt: skip


def main() -> None:
    """Run the daemon."""
    del sys.path[0]  # the directory of the tests: their names are not for the daemon
    count, _, name = sys.argv.pop(1).partition(":")
    compose = import_module("gomd.tap.compose")
    real = compose.make_parts

    def make_parts(*arguments: Any) -> Any:
        clock = next(each for each in arguments if hasattr(each, "callLater"))
        network = next(each for each in arguments if hasattr(each, "members"))
        network.members = Large(network.members, clock, int(count), name)
        return real(*arguments)

    setattr(compose, "make_parts", make_parts)  # noqa: B010 - mypy does not know the module
    from twisted.scripts.twistd import run

    sys.argv = ["twistd", "-n", "--pidfile=", "gomd", *sys.argv[1:]]
    run()


if __name__ == "__main__":
    main()
