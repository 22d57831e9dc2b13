"""The table of verbs: name, role, arguments and work of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, Replying
from gomd.verbs.request_turns import BLOCKING_VERBS, RequestTurns
from libgomd.errors import MalformedRequest, NeedsAuth, NotAllowed
from libgomd.model import Node, Role
from libgomd.similar_names import most_similar
from libgomd.wire.lines import Request


@dataclass(frozen=True, slots=True)
class Verb:
    """
    One verb.

    :ivar arguments: as `help` shows them, e.g. ``PID [NODE]``: optional ones in brackets, ``...`` for more of
        the last one. The number of arguments is checked against it.
    :ivar answer: does the verb's work; raises errors of `libgomd.errors`.
    :ivar fields: the JSON names of its rows, empty for a verb that answers with one line.
    :ivar follow: for `watch`: gives rows as they happen, so that the verb is not run again and again.
    :ivar slow: its values are renewed with the process table, not with the sample of the node.
    :ivar remembered: answers for a node that cannot be reached, from memory; its answer is None when the
        request is not about the past.
    :ivar patient: its answer may take as long as the migration of processes.
    :ivar web: its method over HTTP, GET or POST; empty when it is no part of the API; None: by its role.
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
    web: str | None = None

    @property
    def method(self) -> str:
        """The HTTP method of its URL in the API, empty when it has none there."""
        if self.web is not None:
            return self.web
        return "GET" if self.role <= Role.READ else "POST"

    remembered: Callable[[Parts, ISession, Node, tuple[str, ...]], Awaitable[Reply | None]] | None = None

    @property
    def usage(self) -> str:
        """The verb with its arguments: ``where PID [NODE]``."""
        return f"{self.name} {self.arguments}".rstrip()

    @property
    def least(self) -> int:
        """The smallest number of arguments."""
        return sum(not word.startswith("[") for word in self._words())

    @property
    def most(self) -> int | None:
        """The largest number of arguments; None for any number."""
        if "..." in self.arguments:
            return None
        # An option's value may be a word of its own.
        return sum(2 if word.startswith("[--") else 1 for word in self._words())

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

        :raises MalformedRequest: there is none; the text names the nearest.
        """
        verb = self._verbs.get(name)
        if verb is None:
            raise self._unknown(name)
        return verb

    def _unknown(self, name: str) -> MalformedRequest:
        if name.startswith("@"):
            return MalformedRequest("name the nodes once: @NODE VERB ..., or @all VERB ... for every node")
        near = most_similar(name[:40], self._verbs)
        hint = f"did you mean `{near}`?" if near else "say `help` for the verbs"
        return MalformedRequest(f"there is no verb {name[:40]}: {hint}")

    def check(self, session: ISession, request: Request) -> Verb:
        """
        Return the verb of ``request`` if the caller of ``session`` may use it.

        :raises RequestError: the verb is unknown, has other arguments, or needs a higher role.
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
        if verb.name in BLOCKING_VERBS and isinstance(replying, Awaitable):
            return self._turns.in_turn(parts.clock, session.caller, replying)
        return replying


def _refusal(verb: Verb, role: Role) -> NeedsAuth | NotAllowed:
    if role is Role.NONE:
        return NeedsAuth("this daemon answers only callers that it knows: send `auth TOKEN` first")
    socket = "be root at the unix socket" if verb.role is Role.ADMIN else "use the unix socket"
    return NotAllowed(
        f"`{verb.name}` is for {verb.role.word}, you are {role.word}: "
        f"show a token of role {verb.role.word}, or {socket}"
    )
