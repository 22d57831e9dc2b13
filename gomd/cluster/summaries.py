"""The values of other nodes, asked for one by one: for engines that know who is up, and no more than that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from libgomd.errors import GomdError
from libgomd.model import Counter, Node, Status
from libgomd.wire.messages import Answer, Question, Summary

Address = tuple[str, int]
#: Seconds that values do for somebody who looks at them ...
FRESH: Final = 3.0
#: ... and for nobody: so old are the values that the first look shows.
REST: Final = 60.0
#: Seconds for which a node that was looked at is kept fresh.
WATCHED: Final = 30.0
#: Questions under way at once, at most.
MOST: Final = 64


class _PeerValues:
    """
    What one node said last.

    :ivar at: when it said it. :ivar tried: when it was asked last. :ivar looked: when somebody looked.
    """

    __slots__ = ("asking", "at", "looked", "node", "tried")

    def __init__(self) -> None:
        self.node: Node | None = None
        self.asking = False
        self.at = self.tried = self.looked = float("-inf")

    @property
    def told(self) -> bool:
        """Whether it said all it will: a daemon that has just started does not know its own values yet."""
        return self.node is not None and (self.node.age is not None or bool(self.node.status & Status.QUIET))


class Summaries:
    """
    The newest values of each node, and when they have to be asked for again.

    :param ask: asks a question at an address, as `libgomd.questions.Asker.ask`.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, ask: Callable[[Address, Question], Awaitable[Answer | Summary]]) -> None:
        self._ask = ask
        self._known: dict[int, _PeerValues] = {}
        self._asking = self._asked = self._failed = 0

    def look(self, node: int, now: float) -> Node | None:
        """
        Return what ``node`` said last, with the age its values have at ``now``; None before it said anything.

        Whoever looks twice gets values `FRESH` seconds old at most, and the way to the node and back.
        """
        known = self._known.get(node)
        if known is None:
            return None
        known.looked = now
        if known.node is None or known.node.age is None:
            return known.node
        return replace(known.node, age=round(known.node.age + now - known.at, 2))

    def slept(self, seconds: float) -> None:
        """The machine slept, which no clock here counts: what was said is older by that."""
        for known in self._known.values():
            known.at -= seconds

    def again(self) -> None:
        """Ask all nodes with the next step: a clock was set, or this process was away."""
        for known in self._known.values():
            known.tried = float("-inf")

    def drop(self, node: int) -> None:
        """Forget what a node said: it is down."""
        self._known.pop(node, None)

    def step(self, up: Iterable[tuple[int, Address]], now: float) -> None:
        """Ask those nodes of ``up`` whose values are due. Never raises."""
        for node, address in up:
            if self._asking >= MOST:
                return
            known = self._known.setdefault(node, _PeerValues())
            patience = REST if known.told and now - known.looked >= WATCHED else FRESH
            if not known.asking and now - known.tried >= patience:
                known.asking, known.tried = True, now
                self._asking += 1
                self._asked += 1
                Deferred.fromCoroutine(self._fetch(node, known, address, now))

    async def _fetch(self, node: int, known: _PeerValues, address: Address, now: float) -> None:
        """Ask one node. Never raises."""
        try:
            answer = await self._ask(address, Question(0, target=node))
            if isinstance(answer, Summary) and answer.id == node:
                known.node, known.at = answer.to_node(), now  # asked then: no value is younger than we say
            else:
                self._failed += 1
        except GomdError as error:
            self._failed += 1
            self._log.debug("node {node} does not tell its values: {error}", node=node, error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._failed += 1
            self._log.failure("asking node {node} failed", node=node)
        finally:
            known.asking = False
            self._asking -= 1

    def counters(self) -> Iterable[Counter]:
        """What it counted."""
        yield Counter("summaries_asked", self._asked, "times a node was asked for its values")
        yield Counter("summaries_failed", self._failed, "times it did not say them")
