"""The verb `switches`, and what is noted when a switch is set: who did it, when, and why."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

from twisted.logger import Logger

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, Rows, TextColumn
from gomd.verbs.table import Verb
from libgomd.errors import GomdError, MalformedRequest
from libgomd.model import MAX_REASON, SWITCHES, Role, Status, Switch
from libgomd.wire.tree import TreePath

_log: Final = Logger()
#: The last arguments of every verb that sets a switch.
REASON: Final = "[REASON ...]"
#: Seconds that storing a note may take.
NOTE_TIMEOUT: Final = 5.0
_BITS: Final = {
    "stay": Status.STAY, "lstay": Status.LSTAY, "block": Status.BLOCK, "quiet": Status.QUIET,
}  # fmt: skip
#: Files of /proc/hpc/admin that set a switch: its name, and its value when it is not the written one.
_FILES: Final = {
    **{name: (name, None) for name in SWITCHES},
    "bring": ("lstay", True),
    "expel": ("block", True),
}


def _moment(stamp: float | None) -> str:
    if stamp is None:
        return "-"
    return datetime.fromtimestamp(stamp, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


_COLUMNS: Final = (
    TextColumn("SWITCH", 6, lambda each: str(each.switch), left=True),
    TextColumn("SET", 3, lambda each: "yes" if each.set else "no", left=True),
    TextColumn("SINCE", 20, lambda each: _moment(each.since), left=True),
    TextColumn("BY", 8, lambda each: each.by or "-", left=True),
    TextColumn("REASON", 1, lambda each: each.reason or "-", left=True),
)


def reason_in(words: tuple[str, ...]) -> str | None:
    """
    Return the reason in the arguments of a verb, None without one.

    :raises MalformedRequest: it is too long, has characters that cannot be shown, or looks like an option:
        these verbs have none, and who asks for one (`expel -n two`, `stay --help`) wants something else.
    """
    reason = " ".join(words).strip()
    if reason.startswith("-"):
        raise MalformedRequest(
            f"there is no option {words[0]} here: a reason begins with a letter or a digit"
        )
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise MalformedRequest(f"a reason is one line of at most {MAX_REASON} characters")
    return reason or None


async def note(parts: Parts, session: ISession, switch: str, is_set: bool, reason: str | None) -> None:
    """Note that the caller of ``session`` set or cleared a switch. Never fails: the switch is set already."""
    caller = session.caller
    _log.info(
        "{user} {verb} {switch}, via {via}: {reason}",
        user=caller.user or "somebody",
        verb="set" if is_set else "cleared",
        switch=switch,
        via=caller.via,
        reason=reason or "no reason was given",
    )
    made = Switch(switch, is_set, round(parts.wall(), 3), caller.user or None, reason)
    try:
        await parts.threads.run(NOTE_TIMEOUT, parts.switch_notes.write, made)
    except GomdError as error:
        _log.warn("the reason of {switch} is not kept: {error}", switch=switch, error=error)


async def note_written(parts: Parts, session: ISession, path: TreePath, value: str) -> None:
    """Note a switch that was set by its file of the tree; nothing happens for other files."""
    directory, _, name = str(path).rpartition("/")
    if directory == "/proc/hpc/admin" and name in _FILES:
        switch, fixed = _FILES[name]
        await note(parts, session, switch, value.strip() != "0" if fixed is None else fixed, None)


def switches(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """List the switches of this node. A note that no longer says what is so is left out."""
    status = parts.collector.own_node().status
    notes = parts.switch_notes.notes()
    found = []
    for name in SWITCHES:
        is_set = bool(status & _BITS[name])
        kept = notes.get(name)
        found.append(kept if kept is not None and kept.set == is_set else Switch(name, is_set))
    return Rows(f"{sum(each.set for each in found)} switches are set", found, _COLUMNS)


SWITCHES_VERB = Verb(
    "switches",
    "",
    Role.READ,
    "who set stay, lstay, block and quiet, when and why",
    switches,
    fields=Switch.JSON,
)
