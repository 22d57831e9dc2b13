"""
One real node with the swim engine among thousands of members that are played (`bench.played_swim`).

The node is kinship and gomd's engine on it, in one process with the reactor; nobody asks it anything, and the
values of the other nodes come at once. Time is real.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import statistics
import time
from typing import Any, Final

from bench import own_network
from bench.played_swim import serve
from bench.servers import memory_of
from bench.stalls import StallMeter

#: Seconds over which the idle node is measured: from one exchange of its list to the next; and that anything
#: may take.
IDLE_SECONDS: Final = 30.0
STEP_TIMEOUT: Final = 90.0
#: The share of the members that die at once.
DYING: Final = 0.05
_PORT: Final = 25428
Result = dict[str, Any]


def among(count: int) -> Result:
    """
    Measure a node among ``count`` - 1 others. For a process of its own; takes a minute.

    :returns: seconds, bytes and shares by name; see `bench.engines`.
    :raises AssertionError: something took longer than `STEP_TIMEOUT`.
    """
    alone = own_network.enter()
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    player = context.Process(target=serve, args=(count, its), daemon=True)
    player.start()
    try:
        return _Measured(count, mine, mine.recv()).run() | {"alone": alone}
    finally:
        player.kill()
        player.join()


def installed_reactor() -> Any:
    """Return the reactor of this process; it must not be there before the network is entered."""
    from twisted.internet import reactor

    return reactor


class _Measured:
    """The node. :param players: commands for the members. :param port: where all of them listen."""

    def __init__(self, count: int, players: Any, port: int) -> None:
        from kinship.blocking import Cluster as KinshipCluster

        from gomd.cluster.events import Events
        from gomd.cluster.summaries import Summaries
        from gomd.cluster.swim import Swim, SwimRunner, SwimSetup
        from gomd.services.threads import Threads
        from libgomd.model import Node, Status
        from libgomd.wire.messages import Summary

        self._count = count
        self._players = players
        self._reactor = installed_reactor()
        status = Status.CONFIGURED | Status.UP
        own = Node(1, "node1", "127.0.0.1", status, 100, 15000, 4, 400, 2**32, 2**31, 2**33, 0.5)
        setup = SwimSetup(1, "node1", "127.0.0.1", _PORT, _PORT, 1.0, count + 1, lambda *_args, **_more: None)
        self.events = Events()

        def make(keys: tuple[bytes, ...], _seeds: object, _moves: int) -> Any:
            config = setup(keys, ()).config.replace(
                keys=[], insecure_plaintext=True, seeds=[f"127.0.0.1:{port}"]
            )
            return KinshipCluster(config)

        async def ask(_address: object, question: Any) -> Any:
            node = Node(
                question.target, "node", "127.0.0.1", status, 100, 15000, 4, 400, 2**32, 2**31, 2**33, 0.5
            )
            return Summary.of(1, node)

        turns: Any = installed_reactor()
        threads = Threads(turns, turns, "swim", size=2)
        threads.startService()
        runner = SwimRunner(make, (b"k" * 32,), (("127.0.0.1", port - 2),), threads, self._reactor)
        self.engine: Any = Swim(lambda: own, runner, Summaries(ask), self._reactor, self.events, time.time)

    def run(self) -> Result:
        """Measure."""
        gc.collect()
        gc.freeze()  # as the daemon does (gomd.services.own_memory)
        before = memory_of(os.getpid())
        found: Result = {"count": self._count}
        failed: list[BaseException] = []
        meter = StallMeter(self._reactor)

        def steps() -> Any:
            self.engine.start()
            began = time.monotonic()
            yield from self._until(lambda: len(self.engine._members) == self._count - 1)
            found["join"] = time.monotonic() - began
            found["join_stall"] = meter.take()
            yield 5.0
            meter.take()
            used, (sent, packets) = time.process_time(), own_network.loopback()
            yield IDLE_SECONDS
            after, after_packets = own_network.loopback()
            found["processor"] = (time.process_time() - used) / IDLE_SECONDS
            found["bytes"] = (after - sent) / IDLE_SECONDS
            found["packets"] = (after_packets - packets) / IDLE_SECONDS
            found["idle_stall"] = meter.take()
            found["memory"] = memory_of(os.getpid()) - before
            self._players.send(("kill", DYING))
            dying = set(self._players.recv())
            began, used = time.monotonic(), time.process_time()
            members = self.engine._members
            times: dict[int, float] = {}
            while len(times) < len(dying) and time.monotonic() - began < STEP_TIMEOUT:
                yield 0.25
                now = time.monotonic() - began
                times |= {node: now for node in dying if node not in times and members[node].gone is not None}
            found["down"] = statistics.median(times.values()) if times else None
            found["all_down"] = max(times.values()) if len(times) == len(dying) else None
            found["dying_processor"] = (time.process_time() - used) / (time.monotonic() - began)
            found["dying_stall"] = meter.take()
            found["false"] = sum(each.gone is not None for each in members.values()) - len(times)

        work = steps()

        def go_on() -> None:
            try:
                self._reactor.callLater(next(work), go_on)
            except StopIteration:
                self._reactor.stop()
            except BaseException as error:
                failed.append(error)
                self._reactor.stop()

        self._reactor.callWhenRunning(go_on)
        self._reactor.run()
        if failed:
            raise failed[0]
        return found

    @staticmethod
    def _until(condition: Any) -> Any:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < STEP_TIMEOUT, "it did not come so in time"
            yield 0.02
