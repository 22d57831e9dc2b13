"""
The state that the old supervisor of a moving job hands to the new one, in a file among criu's images.

It names whom the job runs as, what is in its streams, and the positions of each, so that the new supervisor
answers `ATTACH` as the old one would have. The file comes from another node: whatever is in it gives a
`Handover` or `CannotMove`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gomd.jobs.checkpoint.frozen_state import FrozenState
from gomd.jobs.supervisor import terminal_state
from gomd.jobs.supervisor.terminal_state import HandedTerminal
from libgomd.errors import CannotMove
from libgomd.wire import frames, json_fields
from libgomd.wire.frames import MalformedFrame

#: The file among the images that is not criu's.
HANDOVER: Final = "handover.json"
#: Ids are below this; the kernel takes the largest number for none.
_MAX_ID: Final = 2**32 - 1


class HandedJob(NamedTuple):
    """The part of a `SpawnSpec` that moves with the job. :ivar used: with the time used at the source."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    argv: tuple[str, ...] = ()
    user: str = ""
    cwd: str = ""
    tty: bool = False
    merge: bool = False
    began: float | None = None
    memory_max: int | None = None
    used: float | None = None
    carry: tuple[str, ...] = ()


class HandedOutput(NamedTuple):
    """One output. :ivar begin: position of ``data``, which was not acknowledged. :ivar open: it goes on."""

    begin: int
    data: bytes
    open: bool


class HandedInput(NamedTuple):
    """
    The input. :ivar received: position up to which it has come. :ivar taken: as acknowledged to the caller.

    :ivar waiting: what the job has not read. :ivar ended: no more comes.
    """

    received: int
    taken: int
    waiting: bytes
    ended: bool


class Handover(NamedTuple):
    """
    A frozen job.

    :ivar pid: of its first process, in its PID namespace. :ivar names: what criu calls its standard input,
        output and error; empty for what is closed or no pipe.
    :ivar stopped: processes that were stopped before the freeze, and stay so.
    :ivar places: the temporary directories that it has of its own, :ivar shown: what it sees there of the
        machine's.
    :ivar spec: see `HandedJob`. :ivar outputs: by the kind of frames. :ivar stdin: see `HandedInput`.
    :ivar state: of its processes, beyond what criu's images have; None when an older version handed it over.
    :ivar stops: how many times its first process has been stopped.
    :ivar terminal: its terminal, None when it has none.
    """

    pid: int
    names: tuple[str, ...]
    stopped: tuple[int, ...]
    spec: HandedJob
    outputs: Mapping[int, HandedOutput]
    stdin: HandedInput
    state: FrozenState | None = None
    stops: int = 0
    places: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    terminal: HandedTerminal | None = None


def write(directory: str, handover: Handover) -> None:
    """Write the file. Blocks briefly. :raises OSError: the disk is full, or the like."""
    stdin = handover.stdin._asdict() | {"waiting": _text(handover.stdin.waiting)}
    outputs = {
        str(kind): output._asdict() | {"data": _text(output.data)}
        for kind, output in handover.outputs.items()
    }
    told = {
        "pid": handover.pid, "names": handover.names, "stopped": handover.stopped,
        "spec": handover.spec._asdict(), "outputs": outputs, "stdin": stdin,
        "state": None if handover.state is None else handover.state.encode(),
        "stops": handover.stops,
        "terminal": None if handover.terminal is None else terminal_state.to_json(handover.terminal),
    }  # fmt: skip
    if handover.places:
        told |= {"places": handover.places, "shown": handover.shown}
    path = os.path.join(directory, HANDOVER)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(number, "w", encoding="ascii") as file:
        json.dump(told, file)


def read(directory: str) -> Handover:
    """
    Return what is in the file. Blocks briefly.

    :raises CannotMove: it is no handover. :raises OSError: it cannot be read.
    """
    with open(os.path.join(directory, HANDOVER), encoding="ascii") as file:
        try:
            return parse(json.load(file))
        except (ValueError, RecursionError) as error:
            raise CannotMove(f"what came with it cannot be read: {error}") from error


def parse(told: object) -> Handover:
    """Return the handover that a JSON object describes. :raises CannotMove: it describes none."""
    try:
        handover = json_fields.read(Handover, told, _READERS)
    except MalformedFrame as error:
        raise CannotMove(f"what came with it cannot be read: {error}") from error
    if len(handover.names) != 3 or not all(kind in handover.outputs for kind in _OUTPUTS):
        raise CannotMove("what came with it does not describe three streams")
    if handover.spec.tty != (handover.terminal is not None):
        raise CannotMove("what came with it does not describe its terminal")
    return handover


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(value: object, name: str) -> bytes:
    try:
        return base64.b64decode(json_fields.text(value, name), validate=True)
    except ValueError as error:
        raise MalformedFrame(f"{name} is no base64") from error


def _job(value: object, _name: str) -> HandedJob:
    """Read whom the job runs as with care: what is checked of it depends on that."""
    told: dict[Any, Any] = value if isinstance(value, dict) else {}
    groups = told.get("groups")
    ids = [told.get("uid"), told.get("gid"), *(groups if isinstance(groups, list) else [None])]
    if not all(type(each) is int and 0 <= each < _MAX_ID for each in ids):
        raise CannotMove("what came with it does not say whom it runs as")
    return json_fields.read(HandedJob, told, _READERS)


def _outputs(value: object, name: str) -> dict[int, HandedOutput]:
    if not isinstance(value, dict):
        raise MalformedFrame(f"{name} is an object")
    return {
        kind: json_fields.read(HandedOutput, value[str(kind)], _READERS)
        for kind in _OUTPUTS
        if str(kind) in value
    }


def _terminal(value: object, name: str) -> HandedTerminal:
    try:
        return terminal_state.from_json(value)
    except ValueError as error:
        raise MalformedFrame(f"{name}: {error}") from error


def _paths(value: object, name: str) -> tuple[str, ...]:
    """Read paths that lead down from the root only."""
    found: tuple[str, ...] = json_fields.texts()(value, name)
    for path in found:
        if (
            os.path.normpath(path) != path
            or not path.startswith("/")
            or path.startswith("//")
            or "\0" in path
        ):
            raise MalformedFrame(f"{name} has {path!r:.60}, which is no plain absolute path")
    return found


_OUTPUTS: Final = (frames.STDOUT, frames.STDERR)
_READERS: Final[dict[str, json_fields.Reader]] = {
    **dict.fromkeys(("begin", "gid", "memory_max", "pid", "received", "stops", "taken",
                     "uid"), json_fields.whole),
    **dict.fromkeys(("ended", "merge", "open", "tty"), json_fields.flag),
    **dict.fromkeys(("data", "waiting"), _bytes),
    **dict.fromkeys(("cwd", "user"), json_fields.text),
    **dict.fromkeys(("began", "used"), json_fields.seconds),
    **dict.fromkeys(("argv", "names"), json_fields.texts()),
    **dict.fromkeys(("carry", "places", "shown"), _paths),
    **dict.fromkeys(("groups", "stopped"), json_fields.wholes()),
    "spec": _job,
    "outputs": _outputs,
    "state": lambda value, _name: FrozenState.decode(value),
    "terminal": _terminal,
    "stdin": lambda value, _name: json_fields.read(HandedInput, value, _READERS),
}  # fmt: skip
