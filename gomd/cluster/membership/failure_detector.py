"""
The failure detector: decides whether a silent node is down.

Theory of operation. The engine starts a check when nothing was heard from a node for
`Timing.silence_timeout`. As in SWIM, the check first probes the node directly, then asks
`INDIRECT_PROBE_HELPERS` other members at a time to probe it (an indirect probe). Without any answer after
`Timing.suspect_delay` the node becomes suspect and the suspicion is broadcast. The node may refute it by a
higher incarnation; any datagram that reaches any member clears it. Without that, the node is declared dead
when the suspicion times out: after `Timing.min_suspicion_timeout` if another member suspects it as well or
there is nobody else to ask, after `Timing.max_suspicion_timeout` otherwise. That is Lifeguard's rule: one
member that hears nobody, perhaps because it is slow itself, needs longer to declare others dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from zope.interface import Interface

from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import INDIRECT_PROBE_HELPERS, MAX_CONCURRENT_CHECKS, Timing
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.addresses import is_ipv6, without_zone
from libgomd.wire.messages import MAX_NUMBER, IndirectProbe, Probe, ProbeAck


class IDetectorListener(Interface):
    """Receives the outcome of each check."""

    def suspected(member: Member, reason: str) -> None:
        """The member answered neither a direct nor an indirect probe."""

    def dead(member: Member, reason: str) -> None:
        """The suspicion timed out without any sign of life."""

    def alive(member: Member, by: int, asked_by: Iterable[Address]) -> None:
        """
        The member answered node ``by``.

        ``asked_by`` are the addresses that suspect it and must be told.
        """


class _Check:
    """
    One silent node that is being probed.

    All probes of a check carry the same request id, so no answer to it is older than the check.

    :ivar asked: ids of the members that were asked for an indirect probe.
    :ivar unanswered: those of them that reported that the node did not answer.
    :ivar askers: addresses of members that suspect the node and must be told if it answers.
    :ivar suspected: when it became suspect, None before that.
    """

    __slots__ = (
        "asked", "askers", "member", "next_indirect_probe", "next_probe", "request_id", "started",
        "suspected", "unanswered",
    )  # fmt: skip

    def __init__(self, member: Member, request_id: int, now: float, timing: Timing) -> None:
        self.member = member
        self.request_id = request_id
        self.started = self.next_probe = now
        self.next_indirect_probe = now + timing.indirect_probe_delay
        self.suspected: float | None = None
        self.asked: set[int] = set()
        self.unanswered: set[int] = set()
        self.askers: set[Address] = set()


class FailureDetector:
    """All checks that are under way, at most `MAX_CONCURRENT_CHECKS`."""

    def __init__(
        self,
        own_id: int,
        members: Members,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        listener: IDetectorListener,
    ) -> None:
        self._own_id = own_id
        self._members = members
        self._transport = transport
        self._timing = timing
        self._random = random
        self._listener = listener
        self._checks: dict[int, _Check] = {}
        self._by_request: dict[int, _Check] = {}
        self._started = self._probes = self._asked = 0

    def __contains__(self, node: int) -> bool:
        return node in self._checks

    def __len__(self) -> int:
        return len(self._checks)

    def start(self, member: Member, now: float, asker: Address | None = None) -> None:
        """Start to check a member, unless too many checks run. ``asker`` is told if the member answers."""
        check = self._checks.get(member.id)
        if check is None:
            if len(self._checks) >= MAX_CONCURRENT_CHECKS:
                return
            self._started += 1
            check = _Check(member, self._random.randint(1, MAX_NUMBER), now, self._timing)
            self._checks[member.id] = self._by_request[check.request_id] = check
            self._step(check, now)
        if asker is not None and len(check.askers) < MAX_CONCURRENT_CHECKS:
            check.askers.add(asker)

    def cancel(self, node: int) -> None:
        """End the check of a node without an outcome."""
        check = self._checks.pop(node, None)
        if check is not None:
            del self._by_request[check.request_id]

    def cancel_all(self) -> None:
        """End all checks without an outcome, because this node itself was suspended for a while."""
        self._checks.clear()
        self._by_request.clear()

    def confirm_alive(self, node: int, by: int) -> None:
        """End the check of a node because node ``by`` received a sign of life from it."""
        check = self._checks.get(node)
        if check is not None:
            self.cancel(node)
            self._listener.alive(check.member, by, check.askers)

    def receive_ack(self, ack: ProbeAck, sender: int, now: float) -> None:
        """Process an acknowledgement that another member relayed, if it belongs to one of our checks."""
        check = self._by_request.get(ack.request_id)
        if check is None or ack.node != check.member.id or sender == ack.node:
            return
        if not ack.reached:
            check.unanswered.add(sender)
        elif ack.instance == check.member.instance:
            check.member.vouched_at = now
            self.confirm_alive(ack.node, sender)

    def step(self, now: float) -> None:
        """Advance every check: probe, suspect or declare dead. Call it once a tick."""
        for check in list(self._checks.values()):
            self._step(check, now)

    def _step(self, check: _Check, now: float) -> None:
        timing, member = self._timing, check.member
        if check.suspected is not None and now >= check.suspected + self._suspicion_timeout(check):
            self.cancel(member.id)
            self._listener.dead(member, self._reason(check, now))
            return
        if now >= check.next_probe:
            check.next_probe = now + timing.probe_interval
            # Two packets from the second probe on. At 20 % packet loss one node in 60 would answer none of
            # four single probes; one in a thousand answers none of these seven packets.
            for _ in range(1 if now == check.started else 2):
                self._probes += 1
                for place in member.places:  # sealed for each: who gets both takes one for a replay
                    self._transport.send(Probe(check.request_id, member.id), [place])
        if now >= check.next_indirect_probe:
            check.next_indirect_probe = now + timing.indirect_probe_delay * 2
            self._request_indirect_probes(check)
        if check.suspected is None and now >= check.started + timing.suspect_delay:
            check.suspected = now
            self._listener.suspected(member, self._reason(check, now))

    def _suspicion_timeout(self, check: _Check) -> float:
        """Return the seconds from the suspicion until the node is declared dead."""
        others = self._members.up_count - 1
        agreed = others < 1 or any(by != self._own_id for by in check.member.suspects)
        return self._timing.min_suspicion_timeout if agreed else self._timing.max_suspicion_timeout

    def _request_indirect_probes(self, check: _Check) -> None:
        member = check.member
        others = [each for each in self._members.up if each is not member and each.id not in self._checks]
        fresh = [each for each in others if each.id not in check.asked] or others
        helpers = self._random.sample(fresh, min(INDIRECT_PROBE_HELPERS, len(fresh)))
        if helpers:
            check.asked.update(helper.id for helper in helpers)
            self._asked += len(helpers)
            for place in member.places:
                # A helper without an address of that family could not probe it.
                able = [
                    each
                    for each in helpers
                    if any(is_ipv6(host) == is_ipv6(place[0]) for host, _ in each.places)
                ]
                if able:
                    request = IndirectProbe(check.request_id, member.id, place[1], without_zone(place[0]))
                    self._transport.send(request, [helper.address for helper in able])

    def _reason(self, check: _Check, now: float) -> str:
        text = f"silent for {now - check.member.last_alive:.1f} s; it does not answer node {self._own_id}"
        if check.unanswered:
            text += f" nor {_nodes(check.unanswered)}"
        elif check.asked:
            text += f", and {_nodes(check.asked)} did not report an answer from it"
        return text

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [
            Counter("checks", self._started, "times a silent node was checked"),
            Counter("probes", self._probes, "probes sent to silent nodes"),
            Counter("probes_asked", self._asked, "times another node was asked to probe one"),
        ]


def _nodes(ids: Iterable[int]) -> str:
    """Return up to six node ids as text: ``nodes 3, 7``."""
    some = sorted(ids)
    names = ", ".join(map(str, some[:6])) + (", ..." if len(some) > 6 else "")
    return f"{'nodes' if len(some) > 1 else 'node'} {names}"
