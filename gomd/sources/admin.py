"""The settings of this node that admins change at run time, stored over restarts."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar, Final

from twisted.logger import Logger

from gomd.sources.statefile import load_state, store_state
from libgomd.errors import NotPossible
from libgomd.model import MAX_SPEED, Status

#: Name of the file in STATE.
ADMIN_STATE: Final = "admin.json"
_SPEEDS: Final = {"speed": range(1, MAX_SPEED + 1), "sspeed": range(1, 65536)}
_BITS: Final = {
    "stay": Status.STAY, "lstay": Status.LSTAY, "block": Status.BLOCK, "quiet": Status.QUIET,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AdminState:
    """
    The settings made with `stay`, `setspeed` and similar verbs.

    :ivar speed: speed of one processor, None if it was never set.
    :ivar sspeed: the yardstick, None if it was never set.
    """

    stay: bool = False
    lstay: bool = False
    block: bool = False
    quiet: bool = False
    speed: int | None = None
    sspeed: int | None = None

    @property
    def status(self) -> Status:
        """The status bits of a node that is up and has these settings."""
        status = Status.CONFIGURED | Status.UP
        for name, bit in _BITS.items():
            if getattr(self, name):
                status |= bit
        return status


class AdminStore:
    """
    Stores the `AdminState` in a file in STATE. Any thread may use it.

    :param speed: the one in gomd.ini, which holds before the kept one until `setspeed` is used again;
        None without one. :param sspeed: the yardstick, likewise.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, state_dir: str, speed: int | None = None, sspeed: int | None = None) -> None:
        self._path = os.path.join(os.path.abspath(state_dir), ADMIN_STATE)
        self._lock = threading.Lock()
        self._kept = self._load()
        self._given = {
            name: value for name, value in (("speed", speed), ("sspeed", sspeed)) if value is not None
        }
        self._state = self._with_given(self._kept)

    @property
    def state(self) -> AdminState:
        """The present settings. Does not block."""
        return self._state

    def change(self, name: str, value: int) -> None:
        """
        Change one setting and store it. Blocks until it is on the disk.

        :param value: 0 or 1 for a switch, a speed for `speed` and `sspeed`; checked by the caller.
        :raises NotPossible: it cannot be stored; nothing has changed.
        """
        with self._lock:
            kept = _changed(self._kept, name, value)
            try:
                if kept != self._kept:
                    store_state(self._path, asdict(kept))
            except OSError as error:
                raise NotPossible(
                    f"{name} stays as it is, it could not be kept in {self._path}: {error.strerror}; "
                    "make the state directory writable for gomd"
                ) from error
            self._given.pop(name, None)
            self._kept, self._state = kept, self._with_given(kept)

    def _with_given(self, kept: AdminState) -> AdminState:
        return replace(
            kept, speed=self._given.get("speed", kept.speed), sspeed=self._given.get("sspeed", kept.sspeed)
        )

    def _load(self) -> AdminState:
        try:
            found = load_state(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return AdminState()
        except (OSError, ValueError) as error:
            self._log.warn(
                "{path} cannot be used, so all settings are at their defaults: {error}",
                path=self._path,
                error=error,
            )
            return AdminState()
        state = AdminState()
        for name in (field.name for field in fields(AdminState) if field.name in found):
            if _is_valid(name, value := found[name]):
                state = replace(state, **{name: value})  # type: ignore[arg-type]
            else:
                self._log.warn(
                    "{path}: {name} is {value!r}, which is not its kind; the default holds",
                    path=self._path,
                    name=name,
                    value=value,
                )
        return state


def _changed(state: AdminState, name: str, value: int) -> AdminState:
    if name in _BITS:
        return replace(state, **{name: bool(value)})
    return replace(state, **{name: value})  # type: ignore[arg-type]


def _is_valid(name: str, value: object) -> bool:
    if name in _BITS:
        return isinstance(value, bool)
    if name not in _SPEEDS:
        return False
    return value is None or (type(value) is int and value in _SPEEDS[name])
