"""Who set a switch of this node, when and why: stored over restarts, beside the switches themselves."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import ClassVar, Final

from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import ISwitchNotes
from gomd.sources.linux.numbers import MAX_TIME
from gomd.sources.statefile import load_state, store_state
from libgomd.model import MAX_REASON, SWITCHES, Switch

#: Name of the file in STATE.
NOTES_STATE: Final = "switches.json"
_MAX_USER: Final = 256


@implementer(ISwitchNotes)
class SwitchNotes:
    """
    Stores the newest note of each switch in a file in STATE. Any thread may use it.

    A note that cannot be stored is lost with the daemon, and the log says so: the switch itself is set.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(os.path.abspath(state_dir), NOTES_STATE)
        self._lock = threading.Lock()
        self._notes = self._load()

    def notes(self) -> Mapping[str, Switch]:
        """See `ISwitchNotes.notes`."""
        return self._notes

    def write(self, note: Switch) -> None:
        """See `ISwitchNotes.write`."""
        with self._lock:
            self._notes = {**self._notes, note.switch: note}
            try:
                store_state(self._path, {name: asdict(each) for name, each in self._notes.items()})
            except OSError as error:
                self._log.warn(
                    "the reason of {switch} is not kept over a restart, {path}: {error}",
                    switch=note.switch,
                    path=self._path,
                    error=error.strerror,
                )

    def _load(self) -> dict[str, Switch]:
        try:
            found = load_state(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            self._log.warn(
                "{path} cannot be read, so why switches are set is not known: {error}",
                path=self._path,
                error=error,
            )
            return {}
        return {name: note for name in SWITCHES if (note := _note(name, found.get(name))) is not None}


def _note(name: str, value: object) -> Switch | None:
    """Return the note of the switch ``name`` in the file, None when it is none."""
    if not isinstance(value, dict):
        return None
    is_set, since, by, reason = (value.get(field) for field in ("set", "since", "by", "reason"))
    if not isinstance(is_set, bool) or not isinstance(since, (int, float)) or isinstance(since, bool):
        return None
    if not 0 <= since <= MAX_TIME:
        return None
    note = Switch(name, is_set, float(since))
    if isinstance(by, str) and len(by) <= _MAX_USER and by.isprintable():
        note = replace(note, by=by)
    if isinstance(reason, str) and len(reason) <= MAX_REASON and reason.isprintable():
        note = replace(note, reason=reason)
    return note
