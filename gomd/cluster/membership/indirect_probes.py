"""Indirect probes: probes a node on behalf of a member that gets no answer from it."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from gomd.cluster.membership.second_address import place_here
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.messages import MAX_NUMBER, IndirectProbe, Probe, ProbeAck

#: Maximum number of requests at once. Further ones are dropped, as if they were lost on the network.
_MAX_REQUESTS: Final = 256
#: Probes sent for each request.
_PROBES_PER_REQUEST: Final = 2


class _Request(NamedTuple):
    asked: IndirectProbe
    asker: Address
    started: float
    tries: int


class IndirectProbes:
    """The helper's side of the indirect probe of SWIM. `FailureDetector` is the side that asks for it."""

    def __init__(self, transport: IPeerTransport, timing: Timing, random: Random) -> None:
        self._transport = transport
        self._timing = timing
        self._random = random
        self._requests: dict[int, _Request] = {}
        self._started = 0

    def start(self, request: IndirectProbe, asker: Address, now: float) -> None:
        """Probe the target of ``request``, and report the result to the address ``asker``."""
        host = place_here(request.address, asker)
        if host and len(self._requests) < _MAX_REQUESTS:
            request = request._replace(address=host)
            self._started += 1
            request_id = self._random.randint(1, MAX_NUMBER)
            self._requests[request_id] = _Request(request, asker, now, 1)
            self._probe(request_id, request)

    def _probe(self, request_id: int, request: IndirectProbe) -> None:
        self._transport.send(Probe(request_id, request.target), [(request.address, request.port)])

    def receive_ack(self, ack: ProbeAck) -> None:
        """Relay an acknowledgement, if it answers one of these probes."""
        request = self._requests.get(ack.request_id)
        if request is not None and ack.node == request.asked.target:
            del self._requests[ack.request_id]
            self._transport.send(ack._replace(request_id=request.asked.request_id), [request.asker])

    def step(self, now: float) -> None:
        """Repeat probes, and report the targets that did not answer. Call it once a tick."""
        for request_id, request in list(self._requests.items()):
            if now - request.started < self._timing.probe_interval * request.tries:
                continue
            if request.tries < _PROBES_PER_REQUEST:
                self._requests[request_id] = request._replace(tries=request.tries + 1)
                self._probe(request_id, request.asked)
            else:
                del self._requests[request_id]
                nobody = ProbeAck(request.asked.request_id, request.asked.target, 0, 0, False)
                self._transport.send(nobody, [request.asker])

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [Counter("probes_for_others", self._started, "times a node was probed for another one")]
