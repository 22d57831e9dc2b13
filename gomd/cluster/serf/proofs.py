"""
Asks the nodes that Serf tells of to prove who they are, and those that are up whether they still work.

Theory of operation. Tags are a hint: everybody who is in the Serf cluster can set any. A node is asked, at
the address that its tags claim, a question that is sealed with the cluster's key and addressed to the id that
they claim. Only the daemon that has both the key and the id answers. Claims that are not proven are asked
again, more and more seldom. A node that is up is asked when it has not answered anything for `interval`
seconds, because a Serf agent may live on without its gomd; what `Summaries` hears counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.cluster.serf.member import NodeClaim
from gomd.cluster.summaries import Address
from libgomd.errors import GomdError
from libgomd.model import Counter
from libgomd.wire.messages import Answer, Question, Summary

#: Maximum number of questions at once.
MAX_QUESTIONS: Final = 64
#: Seconds until an unproven claim is asked again: first, and at most. Each time twice as long.
FIRST_RETRY: Final = 1.0
MAX_RETRY: Final = 60.0
#: Seconds without an answer after which a node that is up is asked: at least, at most; in between, as many as
#: keep the questions below `_MAX_RATE` a second.
MIN_INTERVAL: Final = 10.0
MAX_INTERVAL: Final = 60.0
_MAX_RATE: Final = 25.0
#: Seconds between two questions to a node that has not answered the last one.
DOUBT_INTERVAL: Final = 1.0

Ask = Callable[[Address, Question], Awaitable[Answer | Summary]]


class Proof:
    """
    The questions about one member of Serf.

    :ivar claim: what it claims. :ivar tried: number of failures in a row. :ivar due: when it is asked next.
    :ivar asking: whether a question is pending.
    """

    __slots__ = ("asking", "claim", "due", "tried")

    def __init__(self, claim: NodeClaim, now: float) -> None:
        self.claim = claim
        self.tried = 0
        self.due = now
        self.asking = False


class Proofs:
    """
    :param ask: sends a question, as `libgomd.questions.Asker.ask` does.
    :param families: returns the IP versions that this node can send to.
    :param proven: called with the name of the member, its claim, and the address where it answered.
    :param refused: called with the name of the member and its `Proof` after each failure.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        ask: Ask,
        clock: IReactorTime,
        families: Callable[[], frozenset[int]],
        proven: Callable[[str, NodeClaim, Address], None],
        refused: Callable[[str, Proof], None],
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._families = families
        self._proven = proven
        self._refused = refused
        self._open: dict[str, Proof] = {}
        self._asking = self._asked = self._failed = 0

    def __len__(self) -> int:
        return len(self._open)

    def wanted(self, member: str, claim: NodeClaim) -> None:
        """Have the member prove its claim as soon as possible. The same claim again changes nothing."""
        known = self._open.get(member)
        if known is None or known.claim != claim:
            self._open[member] = Proof(claim, self._clock.seconds())

    def later(self, member: str, claim: NodeClaim, seconds: float) -> None:
        """Have the member prove its claim again after so many seconds."""
        self._open[member] = proof = Proof(claim, self._clock.seconds())
        proof.due += seconds

    def drop(self, member: str) -> None:
        """Ask the member no more."""
        self._open.pop(member, None)

    def is_wanted(self, member: str) -> bool:
        """Whether the member is being asked."""
        return member in self._open

    def soon(self) -> None:
        """Ask all with the next step: a clock was set, or this process stood still."""
        now = self._clock.seconds()
        for proof in self._open.values():
            proof.due, proof.tried = now, 0

    def step(self, now: float) -> None:
        """Ask those that are due. Never raises."""
        for member, proof in list(self._open.items()):
            if self._asking >= MAX_QUESTIONS:
                return
            if not proof.asking and now >= proof.due:
                proof.asking = True
                self._asking += 1
                Deferred.fromCoroutine(self._question(member, proof))

    async def _question(self, member: str, proof: Proof) -> None:
        """Never raises."""
        found: Address | None = None
        try:
            found = await self.where(proof.claim)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("asking a member of Serf failed")
        finally:
            proof.asking = False
            self._asking -= 1
        if self._open.get(member) is not proof:
            return
        if found is not None:
            del self._open[member]
            self._proven(member, proof.claim, found)
            return
        self._failed += 1
        proof.tried += 1
        proof.due = self._clock.seconds() + min(MAX_RETRY, FIRST_RETRY * 2 ** min(proof.tried - 1, 10))
        self._refused(member, proof)

    async def where(self, claim: NodeClaim) -> Address | None:
        """Return the first address where the node of a claim answers, None if there is none."""
        families = self._families()
        for place in claim.places():
            if (6 if ":" in place[0] else 4) not in families:
                continue
            self._asked += 1
            try:
                answer = await self._ask(place, Question(0, target=claim.id))
            except GomdError:
                continue
            if isinstance(answer, Summary) and answer.id == claim.id:
                return place
        return None

    def counters(self) -> Iterable[Counter]:
        """Return the counters for `stats`."""
        yield Counter("serf_unproven", len(self._open), "members of Serf that have not proven to be a node")
        yield Counter("serf_asked", self._asked, "questions to members of Serf")
        yield Counter("serf_failed", self._failed, "times a member of Serf did not prove what it claims")


def interval(nodes: int) -> float:
    """Return after how many seconds of silence one of ``nodes`` nodes that are up is asked."""
    return min(MAX_INTERVAL, max(MIN_INTERVAL, nodes / _MAX_RATE))
