"""
State of a frozen job's processes that criu does not save, and how it is restored in their copy.

Standard library only: supervisors use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from gomd.jobs.checkpoint import (
    inherited_attributes,
    kept_attributes,
    late_signals,
    pending_signals,
    socket_options,
    timerfds,
)
from gomd.jobs.checkpoint.inherited_attributes import Inherited
from gomd.jobs.checkpoint.kept_attributes import Attributes
from gomd.jobs.checkpoint.late_signals import LateSignal
from gomd.jobs.checkpoint.socket_options import SocketOptions
from gomd.jobs.checkpoint.timerfds import Ticks
from libgomd.errors import CannotMove
from libgomd.wire import json_fields
from libgomd.wire.frames import MalformedFrame


class FrozenState(NamedTuple):
    """
    A frozen job's processes.

    :ivar pending: by process, the signals that were pending, as `pending_signals.read` gives them.
    :ivar inherited: what all its threads have. :ivar attributes: of each process, and of its threads.
    :ivar late: signals that came during the dump and are not in the images.
    :ivar sockets: the options of its sockets. :ivar timers: the ticks of its timerfds behind the dump.
    """

    pending: Mapping[int, int] = {}
    inherited: Inherited = Inherited()
    attributes: Attributes = {}
    late: tuple[LateSignal, ...] = ()
    sockets: SocketOptions = {}
    timers: Ticks = {}

    @classmethod
    def read(cls, pids: Iterable[int], arrival: Attributes | None, directory: str) -> FrozenState:
        """
        Read the state of the stopped processes ``pids``. Blocks briefly. Unbinds the caller.

        :param arrival: the attributes with which they came to this node, None when they began here.
        :param directory: of their images.
        :raises CannotMove: they have attributes that cannot be carried over.
        :raises OSError: `late_signals.note` was not called.
        """
        pids = list(pids)
        found = inherited_attributes.read(pids)
        for reason in inherited_attributes.reasons_to_stay(found):
            raise CannotMove(reason)
        inherited = found.pop() if found else Inherited()
        before, after = late_signals.noted(directory), pending_signals.read(pids)
        pending = {pid: before.get(pid, 0) | after.get(pid, 0) for pid in before.keys() | after.keys()}
        late = late_signals.read(before, after, directory)
        attributes, sockets = kept_attributes.read(pids, arrival), socket_options.read(pids)
        return cls(pending, inherited, attributes, late, sockets, timerfds.read(pids))

    def restore(self, pids: Iterable[int]) -> None:
        """
        Give the stopped copy of the processes what it lacks. Blocks briefly. Unbinds the caller.

        :raises CannotMove: it has something new, or lacks what cannot be given to it.
        """
        pids = list(pids)
        pending_signals.check(pids, self.pending)
        if inherited_attributes.read(pids) - {self.inherited}:
            raise CannotMove("its personality, or what prctl has set, cannot be carried over")
        # The other node may name any process; this one's supervisor is among those that it could mean.
        kept_attributes.apply({pid: told for pid, told in self.attributes.items() if pid in set(pids)})
        socket_options.apply({pid: told for pid, told in self.sockets.items() if pid in set(pids)})
        late_signals.send(self.late)

    def encode(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "pending": {str(pid): mask for pid, mask in self.pending.items()},
            "inherited": self.inherited._asdict(),
            "attributes": kept_attributes.encode(self.attributes),
            "sockets": socket_options.encode(self.sockets),
            "timers": timerfds.encode(self.timers),
            "late": [[pid, thread, info.hex()] for pid, thread, info in self.late],
        }

    @classmethod
    def decode(cls, value: object) -> FrozenState:
        """Return what `encode` returned. :raises MalformedFrame: the other node sent something else."""
        return json_fields.read(cls, value, _READERS)


def _masks(value: object, name: str) -> dict[int, int]:
    """Read a set of signals, as bits, for each process id."""
    if not isinstance(value, dict) or not all(
        str(pid).isdecimal() and type(mask) is int and 0 <= mask < 1 << 64 for pid, mask in value.items()
    ):
        raise MalformedFrame(f"{name} is an object of process ids and signals")
    return {int(pid): mask for pid, mask in value.items()}


def _late(value: object, name: str) -> tuple[LateSignal, ...]:
    told = json_fields.list_of(value, name)[: late_signals.MAX_SIGNALS]
    return tuple(_late_signal(each, name) for each in told)


def _late_signal(value: object, name: str) -> LateSignal:
    pid, thread, info = json_fields.list_of(value, name, 3)
    try:
        data = bytes.fromhex(json_fields.text(info, name))
    except ValueError as error:
        raise MalformedFrame(f"{name} is hexadecimal") from error
    numbers = type(pid) is int and type(thread) is int and pid > 0 <= thread
    if not numbers or len(data) != late_signals.INFO_SIZE:
        raise MalformedFrame(f"{name} is a list of processes, threads and signals")
    return LateSignal(pid, thread, data)


_READERS: Final[dict[str, json_fields.Reader]] = {
    **dict.fromkeys(("personality", "flags"), json_fields.whole),
    "pending": _masks,
    "inherited": lambda value, _name: json_fields.read(Inherited, value, _READERS),
    "attributes": kept_attributes.decode,
    "late": _late,
    "sockets": socket_options.decode,
    "timers": timerfds.decode,
}
