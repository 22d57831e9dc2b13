"""
One migration as two tables: what its source and its target do at each message (docs/migration-decision.md).

Theory of operation. A process must never run twice and never be lost. The source keeps the frozen process
until the target has a stopped copy. Then the source decides, once, by writing `SourceState.DECIDED` to its
journal. Before that record every failure leaves the process running at the source. After it, only the
target's own journal can say that the copy never ran.

A `MigrationSide` is told what happened and returns the steps to take, in order. Each step has to be finished
before the next begins, and a `Write` is finished when the record is on the disk. There is no I/O here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar


class _Described(enum.Enum):
    """A word, for journals and messages, and a sentence, for people and docs/migration-decision.md."""

    def __init__(self, word: str, sentence: str) -> None:
        self.word = word
        self.sentence = sentence


class SourceState(_Described):
    """Where the migration stands at the source."""

    ASKING = "asking", "Asks the target whether it can come; the process runs on."
    FREEZING = (
        "freezing",
        "Much memory goes ahead while it runs; then criu stops it and sends the rest to the page server.",
    )
    FROZEN = "frozen", "It is stopped and all of it was sent; waits for the target's stopped copy."
    DECIDED = (
        "decided",
        "It runs there: decided and written; keeps its own, stopped, until the target says so.",
    )
    SEARCHING = (
        "searching",
        "This machine went down while it was stopped: asks whether the target has a copy.",
    )
    GIVEN = "given", "Decided as before, but there is no copy here to fall back to."
    MOVED = "moved", "The target runs it; nothing of it is left here."
    STAYED = "stayed", "It did not move and runs here; the reason is written."
    LOST = "lost", "This machine went down with it, and the target has no copy."


class TargetState(_Described):
    """Where the migration stands at the target."""

    RECEIVING = "receiving", "Said or will say whether it can come; its page server takes the memory."
    RESTORING = "restoring", "criu brings up a stopped copy."
    HOLDING = "holding", "Holds a stopped copy, which neither runs nor ends before the source has decided."
    RUNNING = "running", "Runs it; tells the source until that one has heard."
    SETTLED = "settled", "Runs it, and the source knows."
    REFUSED = "refused", "Nothing of it is here, and it never ran here; the reason is written."


class MessageKind(_Described):
    """The messages between the two sides."""

    OFFER = "offer", "Source: this is what would come; can you take it?"
    READY = "ready", "Target: yes; here is the page server."
    IMAGES = (
        "images",
        "Source: it is stopped; here is what criu wrote beside the memory, and what its pipes held.",
    )
    RESTORED = "restored", "Target: I hold a stopped copy; what is decided?"
    GO = "go", "Source: it is yours, let it run."
    RUNNING = "running", "Target: it runs here."
    SETTLED = "settled", "Source: I know, and nothing of it is left here."
    ABORT = "abort", "Source: it stays here; end what you have of it."
    ASK = "ask", "Source: I went down and have it no more; have you?"
    REFUSED = "refused", "Target: I have nothing of it and it never ran here, because ..."


class Local(_Described):
    """The events on the node of a side, besides messages."""

    PREPARED = "prepared", "The target looked at the offer, and its page server waits."
    DUMPED = "dumped", "criu has stopped it and sent its memory."
    BROUGHT_UP = "brought up", "criu has brought up the copy, and it is seen to be stopped."
    FAILED = "failed", "What was being done failed, or the stopped process is gone."
    CUT = "cut", "The connection between the two broke."
    CONNECTED = "connected", "The two are connected again."
    TIMER = "timer", "Nothing was heard for a while."
    EXPIRED = "expired", "It took longer than it may."


class Act(_Described):
    """The actions of a side on the process. Each may be done twice."""

    PREPARE = "prepare", "Target: see whether it can come, start the page server."
    FREEZE = "freeze", "Source: criu dump to the page server, leave it stopped."
    RESTORE = "restore", "Target: criu restore, leave it stopped."
    THAW = "thaw", "Cancel what criu still does and let the copy here go on, unless it already did."
    END = "end", "Source: pass on the signals that waited, then end the stopped process."
    CLEAR = "clear", "Target: cancel what criu still does, kill the copy, remove the images."


State: TypeAlias = "SourceState | TargetState"


@dataclass(frozen=True, slots=True)
class Write:
    """Write this state to the journal, and continue when it is on the disk."""

    state: State


Step: TypeAlias = "Act | MessageKind | Write"
_S = TypeVar("_S", SourceState, TargetState)
#: From an event in a state to the next state and what to do.
Table: TypeAlias = "Mapping[tuple[_S, MessageKind | Local], tuple[_S, tuple[Act | MessageKind, ...]]]"

_S_ = SourceState
_T = TargetState
_M = MessageKind
_L = Local


def _rows(
    states: Sequence[_S], events: Sequence[MessageKind | Local], to: _S | None, *steps: Act | MessageKind
) -> dict[tuple[_S, MessageKind | Local], tuple[_S, tuple[Act | MessageKind, ...]]]:
    """Return rows: each event in each state leads ``to`` a state (None: the same one) with ``steps``."""
    return {(state, event): (to or state, steps) for state in states for event in events}


_AGAIN = (_L.CONNECTED, _L.TIMER)
_BROKEN = (_L.CUT, _L.EXPIRED, _L.FAILED)

#: What the source does. An event without a row here changes nothing.
SOURCE: Final[Table[SourceState]] = {
    **_rows([_S_.ASKING], [_M.READY], _S_.FREEZING, Act.FREEZE),
    **_rows([_S_.ASKING], [_M.REFUSED], _S_.STAYED),
    **_rows([_S_.ASKING], _BROKEN, _S_.STAYED, _M.ABORT),
    **_rows([_S_.FREEZING], [_L.DUMPED], _S_.FROZEN, _M.IMAGES),
    **_rows([_S_.FREEZING, _S_.FROZEN], [_M.REFUSED], _S_.STAYED, Act.THAW),
    **_rows([_S_.FREEZING, _S_.FROZEN], _BROKEN, _S_.STAYED, Act.THAW, _M.ABORT),
    **_rows([_S_.FROZEN], [_M.RESTORED], _S_.DECIDED, _M.GO),
    **_rows([_S_.DECIDED, _S_.GIVEN], [*_AGAIN, _M.RESTORED], None, _M.GO),
    **_rows([_S_.DECIDED], [_M.RUNNING], _S_.MOVED, Act.END, _M.SETTLED),
    **_rows([_S_.DECIDED], [_M.REFUSED], _S_.STAYED, Act.THAW),
    **_rows([_S_.SEARCHING], _AGAIN, None, _M.ASK),
    **_rows([_S_.SEARCHING], [_M.RESTORED], _S_.GIVEN, _M.GO),
    **_rows([_S_.GIVEN], [_M.RUNNING], _S_.MOVED, _M.SETTLED),
    **_rows([_S_.SEARCHING, _S_.GIVEN], [_M.REFUSED], _S_.LOST),
    **_rows([_S_.MOVED], [_M.RUNNING], None, _M.SETTLED),
    **_rows([_S_.STAYED, _S_.LOST], [_M.READY, _M.RESTORED], None, _M.ABORT),
}

#: What the target does. An event without a row here changes nothing.
TARGET: Final[Table[TargetState]] = {
    **_rows([_T.RECEIVING], [_L.PREPARED], None, _M.READY),
    **_rows([_T.RECEIVING], [_M.IMAGES], _T.RESTORING, Act.RESTORE),
    **_rows([_T.RECEIVING], [_M.ABORT, _M.ASK, *_BROKEN], _T.REFUSED, Act.CLEAR, _M.REFUSED),
    # Not at CUT: the source may have gone down, and this may be all that is left of the process.
    **_rows([_T.RESTORING], [_M.ABORT, _L.EXPIRED, _L.FAILED], _T.REFUSED, Act.CLEAR, _M.REFUSED),
    **_rows([_T.RESTORING], [_L.BROUGHT_UP], _T.HOLDING, _M.RESTORED),
    **_rows([_T.HOLDING], [*_AGAIN, _M.ASK, _M.IMAGES], None, _M.RESTORED),
    **_rows([_T.HOLDING], [_M.GO], _T.RUNNING, Act.THAW, _M.RUNNING),
    **_rows([_T.HOLDING], [_M.ABORT, _L.FAILED], _T.REFUSED, Act.CLEAR, _M.REFUSED),
    **_rows([_T.RUNNING], [*_AGAIN, _M.GO, _M.ASK], None, _M.RUNNING),
    **_rows([_T.RUNNING], [_M.SETTLED], _T.SETTLED),
    **_rows([_T.SETTLED], [_M.GO, _M.ASK], None, _M.RUNNING),
    **_rows([_T.REFUSED], [_M.OFFER, _M.IMAGES, _M.GO, _M.ASK], None, _M.REFUSED),
}

#: The states that are written to the journal before anything else is done in them.
JOURNALLED: Final[frozenset[State]] = frozenset(SourceState) - {_S_.FREEZING, _S_.FROZEN} | (
    frozenset(TargetState) - {_T.RESTORING}
)
#: The states in which nothing more has to happen. Messages are still answered.
FINAL: Final[frozenset[State]] = frozenset({_S_.MOVED, _S_.STAYED, _S_.LOST, _T.SETTLED, _T.REFUSED})

#: What a daemon does that finds this record in its journal when it starts. True: a copy of the process is
#: here, so that its supervisor answers, even if the process has ended. False: this machine went down.
RECOVERY: Final[Mapping[tuple[State, bool], tuple[State, tuple[Act | MessageKind, ...]]]] = {
    (_S_.ASKING, True): (_S_.STAYED, (Act.THAW, _M.ABORT)),
    (_S_.ASKING, False): (_S_.SEARCHING, (_M.ASK,)),
    (_S_.DECIDED, True): (_S_.DECIDED, (_M.GO,)),
    (_S_.DECIDED, False): (_S_.GIVEN, (_M.GO,)),
    (_S_.SEARCHING, False): (_S_.SEARCHING, (_M.ASK,)),
    (_S_.GIVEN, False): (_S_.GIVEN, (_M.GO,)),
    (_S_.MOVED, True): (_S_.MOVED, (Act.END,)),
    (_S_.MOVED, False): (_S_.MOVED, ()),
    (_S_.STAYED, True): (_S_.STAYED, (Act.THAW, _M.ABORT)),
    (_S_.STAYED, False): (_S_.STAYED, (_M.ABORT,)),
    (_S_.LOST, False): (_S_.LOST, ()),
    (_T.RECEIVING, True): (_T.REFUSED, (Act.CLEAR, _M.REFUSED)),
    (_T.RECEIVING, False): (_T.REFUSED, (Act.CLEAR, _M.REFUSED)),
    (_T.HOLDING, True): (_T.HOLDING, (_M.RESTORED,)),
    (_T.HOLDING, False): (_T.REFUSED, (Act.CLEAR, _M.REFUSED)),
    (_T.RUNNING, True): (_T.RUNNING, (Act.THAW, _M.RUNNING)),
    (_T.RUNNING, False): (_T.RUNNING, (_M.RUNNING,)),
    (_T.SETTLED, True): (_T.SETTLED, ()),
    (_T.SETTLED, False): (_T.SETTLED, ()),
    (_T.REFUSED, True): (_T.REFUSED, (Act.CLEAR,)),
    (_T.REFUSED, False): (_T.REFUSED, (Act.CLEAR,)),
}


class MigrationSide:
    """
    One side of one migration.

    Make it with `offer`, `accept` or `recover`. Each of them returns the first steps too.

    :ivar state: where it stands.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    @classmethod
    def offer(cls) -> tuple[MigrationSide, list[Step]]:
        """Begin at the source: `MessageKind.OFFER` is sent when the first record is on the disk."""
        return cls(_S_.ASKING), [Write(_S_.ASKING), _M.OFFER]

    @classmethod
    def accept(cls) -> tuple[MigrationSide, list[Step]]:
        """Begin at the target, for the `MessageKind.OFFER` of a migration that its journal does not know."""
        return cls(_T.RECEIVING), [Write(_T.RECEIVING), Act.PREPARE]

    @classmethod
    def recover(cls, record: State, copy: bool) -> tuple[MigrationSide, list[Step]]:
        """
        Go on with a migration that an earlier daemon has begun.

        :param record: the last state of this migration in the journal.
        :param copy: whether a supervisor with the process is here.
        :raises KeyError: this cannot happen: the journal is from another machine or version.
        """
        state, steps = RECOVERY[record, copy]
        return cls(state), [*([Write(state)] if state is not record else []), *steps]

    @property
    def settled(self) -> bool:
        """Whether nothing more has to happen on this side."""
        return self.state in FINAL

    def tell(self, event: MessageKind | Local) -> list[Step]:
        """Return the steps that follow from ``event``; none if it means nothing in this state."""
        row: tuple[State, tuple[Act | MessageKind, ...]] | None
        if isinstance(self.state, SourceState):
            row = SOURCE.get((self.state, event))
        else:
            row = TARGET.get((self.state, event))
        if row is None:
            return []
        state, steps = row
        entered = state is not self.state
        self.state = state
        return [*([Write(state)] if entered and state in JOURNALLED else []), *steps]


def answer_unknown(message: MessageKind) -> MessageKind | None:
    """
    Return the answer to a message about a migration that is in no journal here, None for no answer.

    Each side forgets a migration only when both have settled it, so the sender has missed the end of it.
    """
    return {
        _M.READY: _M.ABORT,
        _M.RESTORED: _M.ABORT,
        _M.RUNNING: _M.SETTLED,
        _M.IMAGES: _M.REFUSED,
        _M.GO: _M.REFUSED,
        _M.ASK: _M.REFUSED,
    }.get(message)
