"""The verb `collect`: what a node has written into its history, for the daemon that stores it."""

from __future__ import annotations

from typing import Final

from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.memory import read
from gomd.verbs.replies import Prepared, Reply
from gomd.verbs.table import Verb
from libgomd.model import Role
from libgomd.wire.values import dumps

#: The word for the start of a history, where a cursor would stand.
FROM_START: Final = "-"
#: The stream of the history that other nodes may collect: a node's own past.
OWN: Final = "own"


async def collect(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the rows behind a cursor: first the new cursor, then lines as the history has them."""
    words.peer(session.caller)
    cursor = "" if arguments[0] == FROM_START else arguments[0]
    page = await read(parts, session.caller, parts.history.page, cursor, OWN)
    head = dumps({"cursor": page.cursor, "more": page.more})
    return Prepared(f"{len(page.lines)} lines of history", [head, *page.lines])


VERBS = (
    Verb(
        "collect", "CURSOR", Role.ADMIN, "give the rows of the history behind a cursor, between daemons",
        collect, web="",
    ),
)  # fmt: skip
