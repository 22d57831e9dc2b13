"""The parts that read this node and act on it: source, collector, sample log, threads, commands, tokens."""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service

from gomd.cluster.events import Events
from gomd.commands.runner import Commands
from gomd.config import Config
from gomd.interfaces.counters import Counting
from gomd.services.collector import Collector
from gomd.services.measuring import Measuring
from gomd.services.process_limits import reset_oom_score
from gomd.services.threads import Threads
from gomd.services.tokens import FileTokens
from gomd.sources.switch_notes import SwitchNotes
from gomd.tap.choices import SOURCES, history_of, own_addresses
from libgomd.model import Node, Status
from libgomd.wallclock import Wall

#: Seconds that a stop of the daemon waits for writes to STATE and to the spool.
FLUSH_TIMEOUT: Final = 5.0


class NodeThreads:
    """
    The pools of threads. Each has its own purpose, so that a call that hangs delays only its own kind.

    :ivar reading: samples this node. :ivar asking: answers requests. :ivar moving: migrates jobs.
    :ivar journal: one thread that writes the job journal in order. :ivar disk: reads and writes the spool.
    """

    def __init__(self, reactor: Any) -> None:
        self.reading = Threads(reactor, reactor, "reading", size=12)
        self.asking = Threads(reactor, reactor, "asking", size=12)
        self.moving = Threads(reactor, reactor, "moving", size=34)
        self.journal = Threads(
            reactor, reactor, "journal", size=1, waiting=1, spare=0, finish=FLUSH_TIMEOUT
        )  # fmt: skip
        self.disk = Threads(reactor, reactor, "disk", size=8, waiting=20_000, finish=FLUSH_TIMEOUT)

    def services(self) -> tuple[Service, ...]:
        """Return the pools, which are started before everything that uses them."""
        return self.reading, self.asking, self.moving, self.journal, self.disk


class NodeParts:
    """
    :ivar source: reads this node. :ivar control: acts on its processes.
    :ivar sample_log: keeps the past. :ivar history: reads it. :ivar collector: has the newest sample.
    :ivar measuring: has the newest measures. :ivar switch_notes: knows why switches are set.
    """

    def __init__(self, config: Config, reactor: Any, node_id: int, wall: Wall) -> None:
        self.threads = NodeThreads(reactor)
        self.source, self.control = SOURCES[config.node.source](config, node_id)
        self.sample_log, self.history = history_of(config, node_id, wall)
        addresses = own_addresses(config)
        both = addresses if len(addresses) > 1 else ()
        status = Status.CONFIGURED | Status.UP
        unread = Node(node_id, config.node.name, addresses[0], status, addresses=both)
        self.collector = Collector(
            self.source, self.sample_log, self.threads.reading, reactor, unread, wall,
            config.collector.period, config.collector.processes_period,
        )  # fmt: skip
        self.measuring = Measuring(
            self.source, self.sample_log, self.threads.reading, reactor, wall,
            config.collector.measures_period,
        )  # fmt: skip
        self.events = Events()
        self.commands = Commands(
            reactor, reactor, config.commands, config.node.command_timeout, on_start=reset_oom_score
        )
        self.switch_notes = SwitchNotes(config.node.state_dir)
        self.tokens = FileTokens(config.telnet.tokens_file, self.threads.asking)

    def services(self) -> tuple[Service, ...]:
        """Return the services, in the order in which they are started."""
        return *self.threads.services(), self.collector, self.measuring

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something."""
        return self.collector, self.measuring, self.events, self.commands, self.tokens, self.sample_log

    def take_over(self, config: Config) -> None:
        """Use what of a new configuration can change while the daemon runs."""
        self.tokens.path = config.telnet.tokens_file
        self.commands.set_commands(config.commands, config.node.command_timeout)
        self.measuring.set_period(config.collector.measures_period)
        self.collector.set_periods(config.collector.period, config.collector.processes_period)
        history = config.history
        self.sample_log.set_limits(history.rotate_bytes, history.keep, history.max_bytes)
