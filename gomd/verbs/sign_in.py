"""The verb `page`, by which `gom page` signs a browser in as the user who says it."""

from __future__ import annotations

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import NotAllowed
from libgomd.model import Role


def page(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the URL of the page and a code with which one browser becomes this caller there."""
    if session.caller.via != "unix":
        raise NotAllowed("`page` needs the unix socket, where the kernel tells who you are: say `gom page`")
    url, code = parts.sign_in.code(session.caller)
    return ValueReply(f"{url} {code}", {"url": url, "code": code})


VERBS = (
    Verb(
        "page",
        "",
        Role.READ,
        "a one-time code for the page, good for a minute; `gom page` opens the page with it",
        page,
        web="",
    ),
)
