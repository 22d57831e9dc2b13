"""
Compares the membership engines as the cluster grows: what a node receives and sends, its processor time and
memory, and how soon all know of a new node, of a dead one, and of 5 % of all nodes dying at once.

heartbeat runs in simulated time, whole clusters of up to 1,000 nodes, and one node that hears 10,000. swim is
kinship itself: as many real nodes as two cores bear, and one real node among 10,000 that are played
(`bench.played_swim`). serf is real agents, as many as fit. What fails or is missing is a row that says so.
Each part has a process of its own with a time limit; all of it takes about eight minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

from bench import own_network
from bench.agents import has_serf, serfs
from bench.big_cluster import invented, invented_heartbeat
from bench.membership import RING, costs, kernel_time
from bench.rows import Row, limit, unmeasured
from bench.servers import cpu_seconds_of, memory_of
from bench.swim_among import among
from bench.swim_nodes import nodes as swim_nodes
from libgomd.wire.datagrams import Sealer, open_sealed

Result = dict[str, Any]
HEARTBEAT_SIZES: Final = (100, 1_000)
SWIM_SIZES: Final = (100, 300)
LARGE: Final = 10_000
DYING: Final = 0.05
#: Agents of serf at most, for each processor, and bytes of memory that one may take.
MAX_AGENTS: Final = 40
_AGENTS_PER_PROCESSOR: Final = 20
_AGENT_BYTES: Final = 64 << 20
#: Seconds that a part may take, those of simulated time apart.
PART_TIMEOUT: Final = 240.0
SIMULATED_TIMEOUT: Final = 480.0
#: Seconds over which idle agents are measured.
IDLE_SECONDS: Final = 10.0
#: Seconds within which 10,000 nodes have to be known, and within which 500 deaths among them.
JOIN_LIMIT: Final = 10.0
DEATHS_LIMIT: Final = 60.0
#: Milliseconds that the daemon may work at a time.
STALL_LIMIT: Final = 50.0


def run() -> list[Row]:
    """Measure, and return the rows."""
    found: list[Row] = []
    for name, part, seconds, rows in _parts():
        outcome = apart(part, seconds)
        if isinstance(outcome, str):
            found.append(unmeasured(f"{name}: not measured", None, "", outcome[:60], None))
        else:
            found += rows(name, outcome)
    return found


def _parts() -> Iterator[tuple[str, Callable[[], Result], float, Callable[[str, Result], list[Row]]]]:
    for count in HEARTBEAT_SIZES:
        yield f"heartbeat, {count:,} nodes", partial(heartbeat, count), SIMULATED_TIMEOUT, _rows
    yield f"heartbeat, {LARGE:,} nodes", partial(large_heartbeat, LARGE), PART_TIMEOUT, _rows
    for count in SWIM_SIZES:
        yield f"swim, {count:,} nodes", partial(swim_nodes, count), PART_TIMEOUT, _rows
    yield f"swim, one among {LARGE:,} nodes", partial(among, LARGE), PART_TIMEOUT, _among_rows
    count = agents()
    yield f"serf, {count} agents", partial(serf, count), PART_TIMEOUT, _rows


def apart(part: Callable[[], Result], seconds: float) -> Result | str:
    """Return what a part measures in a process of its own, or a sentence that says why there is nothing."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_run_part, args=(part, its))
    process.start()
    its.close()
    try:
        if not mine.poll(seconds):
            return f"it took longer than {seconds:g} s"
        outcome: Result | str = mine.recv()
        return outcome
    except EOFError:
        process.join(5.0)
        return f"it ended with status {process.exitcode}"
    finally:
        process.kill()
        process.join()


def _run_part(part: Callable[[], Result], result: Connection) -> None:
    try:
        result.send(part())
    except Exception as error:
        result.send(f"{type(error).__name__}: {error}")
    result.close()
    os._exit(0)  # threads of kinship would keep it


# -- heartbeat


def heartbeat(count: int) -> Result:
    """Measure a whole cluster in simulated time. :raises AssertionError: a death is not found."""
    [result] = costs(count, ((0.0, 4.0),), DYING)
    engine, _clock, memory = _with_memory(count)
    assert len(engine.nodes()) == count
    return {
        "bytes": result["received_bytes"] + result["sent"] * result["received_bytes"] / result["received"],
        "packets": result["received"] + result["sent"], "processor": result["processor"], "memory": memory,
        "down": result["dying"][0], "all_down": result["dying"][1], "one_down": result["detection"],
        "false": result["false"],
    }  # fmt: skip


def large_heartbeat(count: int) -> Result:
    """Measure one node that hears ``count`` - 1 others, whose heartbeats come as seldom as is agreed."""
    engine, clock, memory = _with_memory(count)
    seconds, rate = 5, 150
    spent = 0.0
    packets = []
    for at in range(seconds * rate):
        node = 2 + at % (count - 1)
        datagram, address = invented_heartbeat(node, 2, clock.seconds())
        sealer = Sealer(RING, node, datagram.instance, os.urandom)
        sealer.sequence = 1
        packets.append((sealer.seal(datagram.message, datagram.sent_at), address))
    for number, (packet, address) in enumerate(packets):
        for member in engine._members.watched if number % rate == 0 else ():  # they are heard, or called dead
            engine.receive(*invented_heartbeat(member.id, member.sequence + 1, clock.seconds()), True)
        began = time.process_time()
        engine.receive(open_sealed(packet, RING).datagram, address, True)
        clock.advance(1 / rate)
        spent += time.process_time() - began
    length = sum(len(packet) for packet, _address in packets) / seconds
    return {
        "bytes": length,
        "packets": rate,
        "processor": spent / seconds + rate * kernel_time(),
        "memory": memory,
        "age": count / rate,
    }


def _with_memory(count: int) -> tuple[Any, Any, int]:
    """Return an engine that knows so many nodes, its clock, and what it takes in memory, in bytes."""
    invented(10)
    before = memory_of(os.getpid())
    engine, clock = invented(count)
    engine.nodes()
    return engine, clock, memory_of(os.getpid()) - before


# -- serf


def agents() -> int:
    """Return how many agents of serf this machine bears."""
    with open("/proc/meminfo") as info:
        available = next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable"))
    processors = len(os.sched_getaffinity(0))
    return max(3, min(MAX_AGENTS, processors * _AGENTS_PER_PROCESSOR, available // 2 // _AGENT_BYTES))


def serf(count: int) -> Result:
    """Measure real agents. :raises RuntimeError: there is no serf, or its agents miss something."""
    if not has_serf():
        raise RuntimeError("no package serf")
    own_network.enter()
    with serfs(count) as cluster:
        time.sleep(5.0)
        used, (sent, packets) = sum(map(cpu_seconds_of, cluster.pids)), own_network.loopback()
        time.sleep(IDLE_SECONDS)
        after, after_packets = own_network.loopback()
        share = IDLE_SECONDS * count
        found: Result = {
            "processor": (sum(map(cpu_seconds_of, cluster.pids)) - used) / share,
            "bytes": 2 * (after - sent) / share, "packets": 2 * (after_packets - packets) / share,
            "memory": sum(map(memory_of, cluster.pids)) / count,
        }  # fmt: skip
        found["one_down"] = cluster.killed(1)
        found["join"], _since_start = cluster.joined(1)
        try:
            found["down"], found["all_down"] = cluster.mass_death(max(1, round(count * DYING)))
        except RuntimeError as error:  # the other figures are there all the same
            found["trouble"] = str(error)
        return found


# -- rows

_TOLD: Final = (
    ("bytes", "received and sent", "kB/s", 1e-3),
    ("packets", "received and sent", "packet/s", 1.0),
    ("processor", "processor", "% of one", 100.0),
    ("memory", "memory of the membership", "MB", 1e-6),
    ("join", "a new node known to all after", "s", 1.0),
    ("one_down", "a death known to all after", "s", 1.0),
    ("down", "5 % dying at once, known to one after", "s", 1.0),
    ("all_down", "5 % dying at once, known to all after", "s", 1.0),
    ("age", "age of the values, up to", "s", 1.0),
)


def _rows(name: str, result: Result) -> list[Row]:
    found = [
        unmeasured(f"{name}: {what}", result[key] * factor, unit, "-", None)
        for key, what, unit, factor in _TOLD
        if result.get(key) is not None
    ]
    if trouble := result.get("trouble"):
        why = f"missed by some: {trouble}"[:60]
        found.append(unmeasured(f"{name}: 5 % dying at once", None, "s", why, None))
    if "false" in result:
        found.append(limit(f"{name}: false downs", result["false"], "", 0.5))
    return found


def _among_rows(name: str, result: Result) -> list[Row]:
    """Return the rows of one node among many, which alone have limits: it is gomd's own engine."""
    told = {key: value for key, value in result.items() if key not in ("join", "down", "all_down", "false")}
    rows = _rows(name, told)
    rows.append(limit(f"{name}: it knows all after", result["join"], "s", JOIN_LIMIT))
    if result["down"] is not None:
        rows.append(
            unmeasured(f"{name}: 5 % dying at once, half known after", result["down"], "s", "-", None)
        )
    rows.append(
        limit(
            f"{name}: 5 % dying at once, all known after",
            result["all_down"] or 2 * DEATHS_LIMIT,
            "s",
            DEATHS_LIMIT,
        )
    )
    rows.append(limit(f"{name}: false downs", result["false"], "", 0.5))
    for key, when in (
        ("join_stall", "while all join"),
        ("idle_stall", "idle"),
        ("dying_stall", "while 5 % die"),
    ):
        rows.append(limit(f"{name}: longest work at a time, {when}", 1000 * result[key], "ms", STALL_LIMIT))
    return rows
