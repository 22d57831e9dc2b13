"""A million bad datagrams at the protocol of a daemon, from a seeded generator, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from twisted.logger import capturedLogs

from libgomd.wire.messages import Answer, Leave, Message, Question
from tests.unit.protocols.wires import Node, sealing

COUNT = 1_000_000
#: Bytes that the process may have grown by when all is over.
GROWTH = 8 * 1024 * 1024
HEADER = b"gomd\x01"


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _bad(random: Random, good: bytes, old: bytes) -> Iterator[bytes]:
    """Yield packets without end: random, cut, changed, repeated, too long, too old, of another key."""
    while True:
        size = random.randrange(1400)
        place = random.randrange(len(good))
        yield random.randbytes(size)
        yield HEADER + random.randbytes(size)
        yield good[:13] + random.randbytes(size)
        yield good[:place]
        yield good[:place] + bytes([good[place] ^ random.randrange(1, 256)]) + good[place + 1 :]
        yield good + random.randbytes(1 + size)
        yield good
        yield old


def test_a_million_bad_datagrams_are_dropped_and_counted() -> None:
    """None is answered or logged, each is counted by kind, memory stays, and the daemon answers still."""
    node = Node()
    node.protocol.answer = lambda question: Answer.to(question, 200, b"50\n")
    question: Message = Question(7, "/proc/loadavg")
    old = sealing(node.clock, 3)(Leave(0))
    node.clock.advance(60)
    seal = sealing(node.clock)
    good = seal(question)
    node.take(good)
    node.take(old)
    assert len(node.wire.written) == 2  # the answer, and that a clock is wrong
    node.wire.written.clear()

    random = Random(4)
    packets = _bad(random, good, old)
    addresses = [(f"10.{high}.{low}.9", 5428) for high in range(16) for low in range(250)]
    for _ in range(20_000):
        node.take(next(packets), random.choice(addresses))
    before = _resident()
    with capturedLogs() as logged:
        for _ in range(COUNT - 20_000):
            node.take(next(packets), random.choice(addresses))
    assert _resident() < before + GROWTH
    assert node.wire.written == []
    assert logged == []
    assert node.engine.received == []
    counted = node.counters()
    dropped = {name[18:]: counted[name] for name in counted if name.startswith("datagrams_dropped_")}
    assert sum(dropped.values()) == COUNT + 1
    assert set(dropped) == {
        "foreign",
        "version",
        "unknown-key",
        "broken-seal",
        "oversized",
        "replayed",
        "old",
    }
    assert min(dropped.values()) > COUNT / 10_000, dropped
    node.take(seal(Question(8, "/proc/loadavg")))
    assert len(node.wire.written) == 1
