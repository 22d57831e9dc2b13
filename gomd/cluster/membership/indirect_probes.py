"""Probing a node for another one that gets no answer from it."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.messages import MAX_NUMBER, IndirectProbe, Probe, ProbeAck

#: Requests under way, at most; more are not taken, as if they had been lost.
_MOST: Final = 256
#: Times that a node is probed for another one.
_TRIES: Final = 2


class _Request(NamedTuple):
    asked: IndirectProbe
    asker: Address
    started: float
    tries: int


class IndirectProbes:
    """The helper's side of a request to probe."""

    def __init__(self, transport: IPeerTransport, timing: Timing, random: Random) -> None:
        self._transport = transport
        self._timing = timing
        self._random = random
        self._requests: dict[int, _Request] = {}
        self._helped = 0

    def ask(self, request: IndirectProbe, asker: Address, now: float) -> None:
        """Probe for ``asker``; what comes of it is told there."""
        if len(self._requests) < _MOST:
            self._helped += 1
            request_id = self._random.randint(1, MAX_NUMBER)
            self._requests[request_id] = _Request(request, asker, now, 1)
            self._probe(request_id, request)

    def _probe(self, request_id: int, request: IndirectProbe) -> None:
        self._transport.send(Probe(request_id, request.target), [(request.address, request.port)])

    def take(self, ack: ProbeAck) -> None:
        """Pass on an answer, if it is one to such a probe."""
        request = self._requests.get(ack.request_id)
        if request is not None and ack.node == request.asked.target:
            del self._requests[ack.request_id]
            self._transport.send(ack._replace(request_id=request.asked.request_id), [request.asker])

    def step(self, now: float) -> None:
        """Probe again, and say of those that did not answer that they did not. Once a tick."""
        for request_id, request in list(self._requests.items()):
            if now - request.started < self._timing.probe * request.tries:
                continue
            if request.tries < _TRIES:
                self._requests[request_id] = request._replace(tries=request.tries + 1)
                self._probe(request_id, request.asked)
            else:
                del self._requests[request_id]
                nobody = ProbeAck(request.asked.request_id, request.asked.target, 0, 0, False)
                self._transport.send(nobody, [request.asker])

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [Counter("probes_for_others", self._helped, "times a node was probed for another one")]
