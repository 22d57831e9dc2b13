"""Hands each migration message from another node to the migration that it belongs to, or answers it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from gomd.jobs.migration.active import ActiveMigrations
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.details import LOOK, SettledDetails
from gomd.jobs.migration.messages import MigrationMessage
from gomd.jobs.migration.protocol import Local, MessageKind, MigrationSide, answer_unknown
from gomd.jobs.migration.recovery import Recovery
from gomd.jobs.migration.refusals import answer_look
from gomd.jobs.migration.target import MigrationTarget
from gomd.jobs.migration.turns import MigrationTurns
from libgomd.wire.frames import MalformedFrame

#: Maximum number of migrations that may be under way, those included that wait for their turn.
MAX_ACTIVE_MIGRATIONS: Final = 1000
_UNKNOWN: Final = "this node knows no such migration"
#: The messages that a target receives; a source receives the others.
_FOR_TARGET: Final = frozenset(
    {
        MessageKind.OFFER,
        MessageKind.IMAGES,
        MessageKind.GO,
        MessageKind.SETTLED,
        MessageKind.ABORT,
        MessageKind.ASK,
    }
)

Answer = Callable[[MigrationMessage], None]


class MessageDispatcher:
    """
    Takes the messages of other nodes, and what happens to the streams on which they come.

    :param recovery: tells which migrations of the journal have not been taken up yet.
    :param turns: how many jobs may be received at a time.
    :param limit: maximum number of migrations that may be under way; offers beyond it are refused.
    """

    def __init__(
        self,
        context: MigrationContext,
        active: ActiveMigrations,
        recovery: Recovery,
        turns: MigrationTurns,
        limit: int,
    ) -> None:
        self._context = context
        self._active = active
        self._recovery = recovery
        self._turns = turns
        self._limit = limit

    def heard(self, message: MigrationMessage, answer: Answer) -> None:
        """
        Take a message.

        Nothing is answered about a migration that is in the journal and not under way in this daemon: it is
        not unknown, and a wrong answer could let the process run twice. All that matters is sent again.

        :param answer: sends a message on the stream on which this one came.
        :raises MalformedFrame: it is not what it should be.
        """
        if message.word == LOOK:
            self._context.in_background(self._answer_look(message, answer))
            return
        kind = message.kind
        if kind is None:
            return
        role = "target" if kind in _FOR_TARGET else "source"
        if self._recovery.is_pending(message.migration, role):
            return
        active = self._active.get(message.migration, role)
        if active is None:
            self._answer_unknown(message, kind, answer)
            return
        if active.participant.other != message.origin:
            raise MalformedFrame(f"node {message.origin} has no part in migration {message.migration}")
        if kind is not MessageKind.OFFER:  # a repeated offer says nothing new
            active.participant.hear(message)
        active.driver.tell(kind, message.reason)

    async def _answer_look(self, message: MigrationMessage, answer: Answer) -> None:
        answer(await answer_look(self._context, message))

    def _answer_unknown(self, message: MigrationMessage, kind: MessageKind, answer: Answer) -> None:
        """Answer a message about a migration that is not under way here; an offer may begin one."""
        told, reason, details = answer_unknown(kind), _UNKNOWN, None
        if kind is MessageKind.OFFER:
            reason = self._accept(message)
            told = MessageKind.REFUSED if reason else None
        if told is MessageKind.SETTLED and (signals := self._active.late_signals(message.migration)):
            details = SettledDetails(signals)
        if told is not None:
            own_id = self._context.own_id
            answer(MigrationMessage(message.migration, told.word, own_id, reason, details))

    def _accept(self, offer: MigrationMessage) -> str:
        """Begin at the target; return why it cannot even begin, empty when it has begun."""
        tell = partial(self._active.tell, offer.migration, MigrationTarget.role)
        target = MigrationTarget(self._context, offer.migration, offer.origin, self._turns, tell)
        target.hear(offer)
        if self._active.moves(target.job.name):
            return "it is being moved there already"
        if len(self._active) >= self._limit:
            return f"{self._limit} migrations are under way there already: try later"
        self._active.begin(target, *MigrationSide.accept())
        return ""

    def cut(self, node: int, ours: bool) -> None:
        """
        Take note that the last stream to a node broke.

        :param ours: the last one that was opened here for jobs that leave, or there for jobs that come.
        """
        reason = f"the connection to {self._context.name_of(node)} broke"
        self._active.tell_all(node, Local.CUT, reason, ours)

    def connected(self, node: int) -> None:
        """Take note that there is a stream to a node again."""
        self._active.tell_all(node, Local.CONNECTED)
