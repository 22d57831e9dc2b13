"""The ways in for people and programs: the telnet line; HTTP, Ganglia and the manhole when they are on."""

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
from gomd.services.sign_in import SignIn
from gomd.tap.choices import limits_of
from gomd.tap.http import HttpWayIn
from gomd.tap.network import Network
from gomd.tap.no_network import NoNetwork
from gomd.tap.node import NodeParts
from gomd.verbs.dispatch import Dispatch
from libgomd.wallclock import Wall

_log = Logger()


class ClosedAtStop(Service):
    """Closes the connections of a way in when the daemon stops. :param close: does it."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close

    def stopService(self) -> None:
        """Close them."""
        super().stopService()
        self._close()


class WaysIn:
    """Each listens at bound sockets, and accepts the first connection after the first sample was taken."""

    def __init__(
        self, config: Config, reactor: Any, node: NodeParts, dispatch: Dispatch, sockets: tuple[Socket, ...]
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._threads = node.threads.asking
        self._node = node
        self._telnet = TelnetFactory(dispatch, self._threads, reactor, limits_of(config), os.geteuid())
        self._first = (Listening(reactor, sockets, self._telnet, node.collector.sampled),)
        self._last: list[Service] = []
        self._counting: list[Counting] = [self._telnet]
        self._site: Any = None
        self._rules: Callable[[Config], Any] | None = None

    def add_http(
        self, way: HttpWayIn, network: Network | NoNetwork, counters: Counters, dispatch: Dispatch,
        sign_in: SignIn,
    ) -> None:  # fmt: skip
        """Serve the page, the API and the metrics."""
        collector = self._node.collector
        rules = way.rules(self._config)
        site = make = way.make(
            self._reactor,
            self._threads,
            collector,
            network.members,
            counters.counters,
            dispatch,
            rules,
            self._node.measuring.latest,
        )
        if way.certificate is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            from gomd.web.certificate import ServerTLS

            make = TLSMemoryBIOFactory(ServerTLS(way.certificate), False, site, clock=self._reactor)
            make.noisy = False
            _log.info(
                "the certificate of the page has the SHA-256 fingerprint {fingerprint}",
                fingerprint=way.certificate.fingerprint,
            )
        self._site, self._rules = site, way.rules
        self._counting.append(site)
        self._last.append(Listening(self._reactor, (way.socket,), make, collector.sampled))
        self._last.append(ClosedAtStop(site.close_all))
        _log.info("the metrics are at {endpoint}", endpoint=str(way.socket.endpoint))
        if not rules.signs_in:
            sign_in.refuse(
                "nobody signs in at this page, as everything would travel in clear text: set [http] "
                "tls = yes, or use a loopback address"
            )
        elif way.url:
            _log.info("the page is at {url}", url=way.url)
            sign_in.open(way.url, site.sessions.new_code)
        else:
            sign_in.refuse("the page is at a unix socket, which no browser opens: set [http] endpoint")

    def add_ganglia(
        self, socket: Socket, make: Callable[..., Any], network: Network | NoNetwork, wall: Wall
    ) -> None:
        """Give the cluster to Ganglia at ``socket``."""
        factory = make(network.members, self._threads, self._reactor, wall)
        self._counting.append(factory)
        self._last.append(Listening(self._reactor, (socket,), factory, self._node.collector.sampled))
        self._last.append(ClosedAtStop(factory.close_all))
        _log.info("the Ganglia port is at {endpoint}", endpoint=str(socket.endpoint))

    def add_manhole(
        self, socket: Socket, make: Callable[..., Factory], namespace: Mapping[str, object]
    ) -> None:
        """Open the console at ``socket``. :param namespace: what its users find by name."""
        factory = make(self._threads, self._reactor, dict(namespace))
        self._last.append(Listening(self._reactor, (socket,), factory, self._node.collector.sampled))
        _log.info("the manhole is at {endpoint}", endpoint=str(socket.endpoint))

    def telnet_services(self) -> tuple[Service, ...]:
        """Return the services of the telnet line, in the order in which they are started."""
        return *self._first, IdleSweep(self._telnet, self._reactor)

    def optional_services(self) -> tuple[Service, ...]:
        """Return the services of HTTP, Ganglia and the manhole."""
        return tuple(self._last)

    def counting(self) -> tuple[Counting, ...]:
        """Return the parts that count something."""
        return tuple(self._counting)

    def take_over(self, config: Config) -> None:
        """Use what of a new configuration can change while the daemon runs."""
        self._telnet.limits = limits_of(config)
        if self._site is not None and self._rules is not None:
            self._site.access.rules = self._rules(config)
