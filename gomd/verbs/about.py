"""The verbs about the conversation itself: help, who am I, in which format, and good bye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Column, Goodbye, Reply, Rows, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.model import Counter, Role, VerbHelp
from libgomd.version import PROTOCOL, VERSION
from libgomd.wire.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HELP = (
    Column("VERB", 24, lambda verb: str(verb.usage), left=True),
    Column("ROLE", 5, lambda verb: str(verb.role), left=True),
    Column("SUMMARY", 1, lambda verb: str(verb.summary), left=True),
)
_STATS = (
    Column("NAME", 28, lambda counter: str(counter.name), left=True),
    Column("VALUE", 14, lambda counter: str(counter.value)),
    Column("MEANING", 1, lambda counter: str(counter.meaning), left=True),
)


def help_of(verb: Verb) -> VerbHelp:
    """Return what `help` and the docs page say of ``verb``."""
    return VerbHelp(verb.name, verb.usage, verb.role.word, verb.summary, verb.fields)


def make_help(all_verbs: Callable[[], Iterable[Verb]], find: Callable[[str], Verb]) -> Verb:
    """Make the verb `help` for a table that it is itself a part of."""

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        verbs = [find(arguments[0].lower())] if arguments else list(all_verbs())
        return Rows(f"{len(verbs)} verbs", [help_of(verb) for verb in verbs], _HELP)

    return Verb("help", "[VERB]", Role.NONE, "the verbs, or one of them", answer, fields=VerbHelp.JSON)


def version(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """The version of gomd and of the protocol."""
    return ValueReply(f"gomd {VERSION} protocol {PROTOCOL}", {"version": VERSION, "protocol": PROTOCOL})


def whoami(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """The caller as the daemon sees him."""
    caller = session.caller
    return ValueReply(f"{caller.role.word} {caller.user or 'anonymous'} via {caller.via}", encode(caller))


async def auth(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Take the role of a token."""
    found = await parts.tokens.check(arguments[0], session.caller)
    if found is None:
        session.wrong_tokens += 1
        raise NotAllowed("this token is not known here: `gom token add NAME ROLE` on this node makes one")
    session.caller = found
    return whoami(parts, session, ())


def format_(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Choose text or json for this connection; without an argument say which it is."""
    if arguments:
        name = arguments[0].lower()
        if name not in ("text", "json"):
            raise MalformedRequest(f"format is text or json, not {arguments[0][:40]}")
        session.json = name == "json"
    name = "json" if session.json else "text"
    return ValueReply(name, name)


def stats(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Everything the daemon counts about itself."""
    found = list(parts.counters())
    return Rows(f"{len(found)} counters", found, _STATS)


def bye(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Close the connection."""
    return Goodbye()


VERBS = (
    Verb("version", "", Role.READ, "the version of gomd and of the protocol", version),
    Verb("whoami", "", Role.NONE, "who you are to the daemon: role, user, way in", whoami),
    Verb("auth", "TOKEN", Role.NONE, "take the role of a token", auth),
    Verb("format", "[text|json]", Role.NONE, "how answers come on this connection", format_),
    Verb("stats", "", Role.READ, "what the daemon counts about itself", stats, fields=Counter.JSON),
    Verb("quit", "", Role.NONE, "close the connection", bye),
)
