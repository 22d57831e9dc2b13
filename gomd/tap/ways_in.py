"""The ways in for people and programs: the telnet line, and the metrics and the manhole when they are on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from gomd.config import Config
from gomd.interfaces.counters import Counting
from gomd.protocols.telnet_factory import TelnetFactory
from gomd.services.counters import Counters
from gomd.services.idle_sweep import IdleSweep
from gomd.services.listening import Listening, Socket
from gomd.tap.choices import limits_of
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from gomd.verbs.dispatch import Dispatch

_log = Logger()


class WaysIn:
    """Each listens at bound sockets, and accepts the first connection after the first sample was taken."""

    def __init__(
        self, config: Config, reactor: Any, node: NodeParts, dispatch: Dispatch, sockets: tuple[Socket, ...]
    ) -> None:
        self._reactor = reactor
        self._threads = node.threads.asking
        self._node = node
        self._telnet = TelnetFactory(dispatch, self._threads, reactor, limits_of(config), os.geteuid())
        self._first = (Listening(reactor, sockets, self._telnet, node.collector.sampled),)
        self._last: list[Service] = []
        self._counting: list[Counting] = [self._telnet]

    def add_metrics(
        self, socket: Socket, make: Callable[..., Any], network: Network | NoNetwork, counters: Counters
    ) -> None:
        """Serve the metrics at ``socket``."""
        collector = self._node.collector
        site = make(
            self._reactor, self._threads, collector, network.members, counters.counters,
            self._node.measuring.latest,
        )  # fmt: skip
        self._counting.append(site)
        self._last.append(Listening(self._reactor, (socket,), site, collector.sampled))
        _log.info("the metrics are at {endpoint}", endpoint=str(socket.endpoint))

    def add_manhole(
        self, socket: Socket, make: Callable[..., Factory], namespace: Mapping[str, object]
    ) -> None:
        """Open the console at ``socket``. :param namespace: what its users find by name."""
        factory = make(self._threads, self._reactor, dict(namespace))
        self._last.append(Listening(self._reactor, (socket,), factory, self._node.collector.sampled))
        _log.info("the manhole is at {endpoint}", endpoint=str(socket.endpoint))

    def telnet_services(self) -> tuple[Service, ...]:
        """Return what runs for the telnet line, in the order in which it is started."""
        return *self._first, IdleSweep(self._telnet, self._reactor)

    def optional_services(self) -> tuple[Service, ...]:
        """Return what runs for the metrics and the manhole."""
        return tuple(self._last)

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something."""
        return tuple(self._counting)

    def take_over(self, config: Config) -> None:
        """Use what of a new configuration can change while the daemon runs."""
        self._telnet.limits = limits_of(config)
