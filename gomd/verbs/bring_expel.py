"""The verbs that bring all processes home and send all guests away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gomd.interfaces import IRelocation
from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, ValueReply
from gomd.verbs.switches import REASON, note, reason_in
from gomd.verbs.table import Verb
from libgomd.model import Role

_BRING = "all local processes are home; lstay is set"
_EXPEL = "all guests are gone; block is set"


def _all(order: Callable[[IRelocation], Awaitable[int]], switch: str, meaning: str) -> Callable[..., Any]:
    """Return the verb that sets a switch of the node, and answers when all processes have moved."""

    async def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        reason = reason_in(arguments)
        await note(parts, session, switch, True, reason)
        try:
            count = await order(parts.relocation)
        finally:
            await parts.collector.refresh()
        status = parts.collector.own_node().status
        return ValueReply(meaning, {"status": int(status), "words": status.words(), "moved": count})

    return answer


VERBS = (
    Verb(
        "bring",
        REASON,
        Role.ADMIN,
        _BRING,
        _all(lambda relocation: relocation.bring(), "lstay", _BRING),
        patient=True,
    ),
    Verb(
        "expel",
        REASON,
        Role.ADMIN,
        _EXPEL,
        _all(lambda relocation: relocation.expel(), "block", _EXPEL),
        patient=True,
    ),
)
