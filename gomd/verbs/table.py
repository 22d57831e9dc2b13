"""The table of verbs: what each is called, who may say it, what it takes and what it gives."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Replying
from gomd.verbs.request_turns import ON_THREADS, RequestTurns
from libgomd.errors import MalformedRequest, NeedsAuth, NotAllowed
from libgomd.model import Role
from libgomd.wire.lines import Request


@dataclass(frozen=True, slots=True)
class Verb:
    """
    One verb.

    :ivar arguments: as help shows them, e.g. ``PID [NODE]``: brackets for optional, ``...`` for
        more of the last. The number of arguments is checked by it.
    :ivar answer: the verb's work; raises errors of `libgomd.errors`.
    :ivar fields: the JSON names of its rows, empty for a verb that answers one line.
    :ivar follow: for `watch`: gives its rows as they happen instead of asking again and again.
    :ivar slow: its values are renewed with the process table, not with the node's sample.
    :ivar patient: its answer may take as long as moving processes takes.
    """

    name: str
    arguments: str
    role: Role
    summary: str
    answer: Callable[[Parts, ISession, tuple[str, ...]], Replying]
    fields: tuple[str, ...] = ()
    follow: Callable[[Parts, ISession], AsyncGenerator[Any, None]] | None = None
    slow: bool = False
    patient: bool = False

    @property
    def usage(self) -> str:
        """How it is said: ``where PID [NODE]``."""
        return f"{self.name} {self.arguments}".rstrip()

    @property
    def least(self) -> int:
        """The fewest arguments it takes."""
        return sum(not word.startswith("[") for word in self._words())

    @property
    def most(self) -> int | None:
        """The most arguments it takes; None for any number."""
        return None if "..." in self.arguments else len(self._words())

    def _words(self) -> list[str]:
        return self.arguments.replace(" ...", "").split()


class VerbTable:
    """All verbs by name."""

    def __init__(self, verbs: Iterable[Verb]) -> None:
        self._verbs = {verb.name: verb for verb in verbs}
        self._turns = RequestTurns()
        self._bounds = {name: (verb, verb.least, verb.most) for name, verb in self._verbs.items()}

    def __iter__(self) -> Iterator[Verb]:
        return iter(self._verbs.values())

    def find(self, name: str) -> Verb:
        """
        Return the verb called ``name``.

        :raises MalformedRequest: there is none; names the nearest.
        """
        verb = self._verbs.get(name)
        if verb is None:
            raise self._unknown(name)
        return verb

    def _unknown(self, name: str) -> MalformedRequest:
        near = difflib.get_close_matches(name[:40], self._verbs, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "say `help` for the verbs"
        return MalformedRequest(f"there is no verb {name[:40]}: {hint}")

    def check(self, session: ISession, request: Request) -> Verb:
        """
        Return the verb of ``request``, which the caller of ``session`` may say as he said it.

        :raises RequestError: an unknown verb, wrong arguments, a role that may not.
        """
        bounds = self._bounds.get(request.verb)
        if bounds is None:
            raise self._unknown(request.verb)
        verb, least, most = bounds
        if session.caller.role < verb.role:
            raise _refusal(verb, session.caller.role)
        count = len(request.arguments)
        if count < least or (most is not None and count > most):
            raise MalformedRequest(f"usage: {verb.usage}")
        return verb

    def ask(self, parts: Parts, session: ISession, request: Request) -> Replying:
        """
        Answer ``request`` for the caller of ``session`` on this node.

        :raises RequestError: as `check`, or from the verb. :raises NodeError: from the verb.
        """
        verb = self.check(session, request)
        replying = verb.answer(parts, session, request.arguments)
        if verb.name in ON_THREADS and isinstance(replying, Awaitable):
            return self._turns.in_turn(parts.clock, session.caller, replying)
        return replying


def _refusal(verb: Verb, role: Role) -> NeedsAuth | NotAllowed:
    if role is Role.NONE:
        return NeedsAuth("say `auth TOKEN` first: this daemon answers nobody it does not know")
    return NotAllowed(
        f"`{verb.name}` is for {verb.role.word}, you are {role.word}: "
        "`auth TOKEN` or the unix socket may raise that"
    )
