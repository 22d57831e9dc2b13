"""The verbs about the connection itself: help, version, whoami, auth, format, stats, quit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Goodbye, Reply, Rows, TextColumn, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest, NotAllowed, NotFound
from libgomd.model import Counter, Role, VerbHelp
from libgomd.version import PROTOCOL, VERSION
from libgomd.wire.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HELP = (
    TextColumn("VERB", 24, lambda verb: str(verb.usage), left=True),
    TextColumn("ROLE", 5, lambda verb: str(verb.role), left=True),
    TextColumn("SUMMARY", 1, lambda verb: str(verb.summary), left=True),
)
_STATS = (
    TextColumn("NAME", 28, lambda counter: str(counter.name), left=True),
    TextColumn("VALUE", 14, lambda counter: str(counter.value)),
    TextColumn("MEANING", 1, lambda counter: str(counter.meaning), left=True),
)


def help_of(verb: Verb) -> VerbHelp:
    """Return the description of ``verb`` for `help` and docs/verbs.md."""
    return VerbHelp(verb.name, verb.usage, verb.role.word, verb.summary, verb.fields)


def make_help(all_verbs: Callable[[], Iterable[Verb]], find: Callable[[str], Verb]) -> Verb:
    """Return the verb `help` for a table that contains it."""

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        verbs = [find(arguments[0].lower())] if arguments else list(all_verbs())
        return Rows(f"{len(verbs)} verbs", [help_of(verb) for verb in verbs], _HELP)

    return Verb("help", "[VERB]", Role.NONE, "list all verbs, or one of them", answer, fields=VerbHelp.JSON)


def version(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the version of gomd and of the protocol."""
    return ValueReply(f"gomd {VERSION} protocol {PROTOCOL}", {"version": VERSION, "protocol": PROTOCOL})


def whoami(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Answer with the caller as the daemon sees it."""
    caller = session.caller
    return ValueReply(f"{caller.role.word} {caller.user or 'anonymous'} via {caller.via}", encode(caller))


async def auth(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Give the connection the role of a token."""
    found = await parts.tokens.check(arguments[0], session.caller)
    if found is None:
        session.wrong_tokens += 1
        raise NotAllowed("this token is not known here: `gom token add NAME ROLE` on this node makes one")
    session.caller, session.token = found, arguments[0]
    return whoami(parts, session, ())


def format_(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Choose text or json for this connection; without an argument, answer which one is used."""
    if arguments:
        name = arguments[0].lower()
        if name not in ("text", "json"):
            raise MalformedRequest(f"format is text or json, not {arguments[0][:40]}")
        session.json = name == "json"
    name = "json" if session.json else "text"
    return ValueReply(name, name)


def stats(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List everything the daemon counts about itself, or the counters that are named."""
    found = [counter for counter in parts.counters() if not arguments or counter.name in arguments]
    if unknown := [name for name in arguments if all(counter.name != name for counter in found)]:
        raise NotFound(f"there is no counter {unknown[0][:40]}: `stats` lists them")
    return Rows(f"{len(found)} counters", found, _STATS)


def bye(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Close the connection."""
    return Goodbye()


VERBS = (
    Verb("version", "", Role.READ, "show the version of gomd and of the protocol", version),
    Verb("whoami", "", Role.NONE, "show your role, your user name and how you are connected", whoami),
    Verb("auth", "TOKEN", Role.NONE, "get the role of a token on this connection", auth, web="POST"),
    Verb(
        "format", "[text|json]", Role.NONE, "choose or show the format of answers on this connection", format_
    ),
    Verb(
        "stats",
        "[NAME ...]",
        Role.READ,
        "list what the daemon counts about itself, or these counters",
        stats,
        fields=Counter.JSON,
    ),
    Verb("quit", "", Role.NONE, "close the connection", bye, web=""),
)
