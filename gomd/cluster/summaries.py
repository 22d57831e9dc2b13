"""Fetches the values of other nodes by datagram, for engines that only know which nodes are up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from heapq import nsmallest
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from libgomd.errors import GomdError
from libgomd.model import Counter, Node, Status
from libgomd.wire.messages import Answer, Question, Summary

Address = tuple[str, int]
#: Maximum age in seconds of the values of a node that is being watched ...
WATCHED_MAX_AGE: Final = 3.0
#: ... and of one that nobody watches, which is the age that the first look may see. With more than this many
#: nodes it grows with them, so that values which nobody looks at cost no more.
UNWATCHED_MAX_AGE: Final = 60.0
_MANY_NODES: Final = 1000
#: Seconds for which a node counts as watched after each look.
WATCH_TIMEOUT: Final = 30.0
#: Maximum number of questions at once.
MAX_QUESTIONS: Final = 64


class _PeerValues:
    """
    The newest values of one node.

    :ivar at: when it was asked for them. :ivar tried: when it was last asked.
    :ivar looked: when somebody last looked at them. :ivar asking: whether a question is pending.
    """

    __slots__ = ("asking", "at", "looked", "node", "tried")

    def __init__(self) -> None:
        self.node: Node | None = None
        self.asking = False
        self.at = self.tried = self.looked = float("-inf")

    @property
    def complete(self) -> bool:
        """Whether its answer had values or it is quiet. A daemon that has just started has no values yet."""
        return self.node is not None and (self.node.age is not None or bool(self.node.status & Status.QUIET))


def _waits_since(due: tuple[float, int, _PeerValues, Address]) -> float:
    return due[0]


class Summaries:
    """
    The newest values of each node, asked for again when they are too old.

    :param ask: sends a question to an address, as `libgomd.questions.Asker.ask` does.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, ask: Callable[[Address, Question], Awaitable[Answer | Summary]]) -> None:
        self._ask = ask
        self._known: dict[int, _PeerValues] = {}
        self._asking = self._asked = self._failed = 0

    def latest(self, node: int, now: float) -> tuple[Node | None, float | None]:
        """
        Return the newest values of ``node``, and their age at ``now``; None if there are none yet.

        From the second look on, values are at most `WATCHED_MAX_AGE` seconds plus one round trip old, of more
        nodes than can be asked in that time as many seconds older as it takes to ask all of them.
        """
        known = self._known.get(node)
        if known is None:
            return None, None
        known.looked = now
        if known.node is None or known.node.age is None:
            return known.node, None
        return known.node, round(known.node.age + now - known.at, 2)

    def add_age(self, seconds: float) -> None:
        """Age all values by the seconds that the machine slept, which no clock here counts."""
        for known in self._known.values():
            known.at -= seconds

    def refresh_all(self) -> None:
        """Ask all nodes with the next step, because a clock was set or this process was suspended."""
        for known in self._known.values():
            known.tried = float("-inf")

    def drop(self, node: int) -> None:
        """Drop the values of a node, because it is down."""
        self._known.pop(node, None)

    def step(self, up: Iterable[tuple[int, Address]], now: float) -> None:
        """
        Ask those nodes of ``up`` whose values are too old, those that wait longest first. Never raises.

        To be called once a second: `MAX_QUESTIONS` is then also the number of questions a second.
        """
        unwatched = UNWATCHED_MAX_AGE * max(1.0, len(self._known) / _MANY_NODES)
        due = []
        for node, address in up:
            known = self._known.get(node)
            if known is None:
                known = self._known[node] = _PeerValues()
            watched = not known.complete or now - known.looked < WATCH_TIMEOUT
            if not known.asking and now - known.tried >= (WATCHED_MAX_AGE if watched else unwatched):
                due.append((known.tried, node, known, address))
        for _tried, node, known, address in nsmallest(MAX_QUESTIONS - self._asking, due, key=_waits_since):
            known.asking, known.tried = True, now
            self._asking += 1
            self._asked += 1
            Deferred.fromCoroutine(self._fetch(node, known, address, now))

    async def _fetch(self, node: int, known: _PeerValues, address: Address, now: float) -> None:
        """Ask one node. Never raises."""
        try:
            answer = await self._ask(address, Question(0, target=node))
            if isinstance(answer, Summary) and answer.id == node:
                known.node, known.at = (
                    answer.to_node(),
                    now,
                )  # the time of the question, so that no age is too low
            else:
                self._failed += 1
        except GomdError as error:
            self._failed += 1
            self._log.debug("cannot get the values of node {node}: {error}", node=node, error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._failed += 1
            self._log.failure("getting the values of node {node} failed", node=node)
        finally:
            known.asking = False
            self._asking -= 1

    def counters(self) -> Iterable[Counter]:
        """Return the counters for `stats`."""
        yield Counter("summaries_asked", self._asked, "times a node was asked for its values")
        yield Counter("summaries_failed", self._failed, "times it did not give them")
