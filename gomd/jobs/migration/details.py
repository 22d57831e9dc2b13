"""
What a migration message says beside its word: one frozen value for each word, and their JSON.

The JSON object stands under the key ``more`` of a message. A key that another version of gomd may have left
out or added is tolerated; a value without which the migration cannot go on raises `MalformedFrame`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from gomd.jobs.migration.protocol import MessageKind
from libgomd.wire.frames import MalformedFrame, decode_signal
from libgomd.wire.process_identity import ProcessIdentity

#: The word of a question beside the state machine: could this job move to you? `SEEN` answers it.
LOOK: Final = "look"
#: The word of the answer to that.
SEEN: Final = "seen"
#: Maximum number of characters of one reason, and of reasons in one message: a person reads them.
MAX_REASON_LENGTH: Final = 2000
MAX_REASONS: Final = 100
#: Maximum number of signals that are passed on to a job which has moved.
MAX_SIGNALS: Final = 1000
#: The ability of a target to restore a job that has terminals, its own or those that it has made.
TERMINALS: Final = "terminals"
#: The ability of a target to take memory before the job is stopped.
PRECOPY: Final = "precopy"
#: What this version can do as a target that an older one cannot. Each node says it by itself.
ABILITIES: Final = frozenset({TERMINALS, PRECOPY})
_MAX_ABILITIES: Final = 100
_MAX_PID: Final = 2**31 - 1
_MAX_PORT: Final = 65535


class WaitingSignal(NamedTuple):
    """
    A signal that was sent to a job while it was stopped for its move.

    :ivar number: 1 to 64. :ivar group: whether it is for the process group or for the first process alone.
    """

    number: int
    group: bool


@dataclass(frozen=True, slots=True)
class OfferDetails:
    """
    Goes with `MessageKind.OFFER`, and with the question whether a job could move.

    :ivar lock: whether balancing must leave the job where it is.
    :ivar pid_at_home: the process id by which its home node knows it; None when the home has given it none.
    :ivar private_bytes: of its own temporary files and System V memory; None when it can have none.
    :ivar carry: whether files travel with it, which the target has to fetch.
    :ivar identity: ``HOME-PID-STARTED`` of its first process; empty when it is not known.
    :ivar precopy: its memory comes before it is stopped, if the target can take it so.
    """

    lock: bool = False
    pid_at_home: int | None = None
    private_bytes: int | None = None
    carry: bool = False
    identity: str = ""
    precopy: bool = False


@dataclass(frozen=True, slots=True)
class ReadyDetails:
    """
    Goes with `MessageKind.READY`.

    :ivar port: the TCP port of the target's page server. :ivar tree_port: of what takes the job's temporary
        files; 0: the target takes none. :ivar carry: whether the target fetches carried files.
    :ivar abilities: see `ABILITIES`.
    """

    port: int
    tree_port: int = 0
    carry: bool = False
    abilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ImagesDetails:
    """
    Goes with `MessageKind.IMAGES`.

    :ivar memory_sent: the memory came with the large images, and the page server gets none.
    """

    memory_sent: bool = False


@dataclass(frozen=True, slots=True)
class RunningDetails:
    """Goes with `MessageKind.RUNNING`. :ivar pid: of the job's first process on the target."""

    pid: int


@dataclass(frozen=True, slots=True)
class SettledDetails:
    """Goes with `MessageKind.SETTLED`. :ivar signals: those that came while the job was stopped, in order."""

    signals: tuple[WaitingSignal, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenDetails:
    """
    Goes with `SEEN`.

    :ivar reasons: why the job could not come, a clause each; empty when it could.
    :ivar takes_files: whether the node understood `OfferDetails.private_bytes`, which older ones do not.
    :ivar abilities: see `ABILITIES`.
    """

    reasons: tuple[str, ...] = ()
    takes_files: bool = False
    abilities: frozenset[str] = frozenset()


#: None for the words that say everything by themselves.
Details: TypeAlias = (
    "OfferDetails | ReadyDetails | ImagesDetails | RunningDetails | SettledDetails | SeenDetails | None"
)


def encode_details(details: Details) -> dict[str, Any]:
    """Return the JSON object of ``details``."""
    if isinstance(details, OfferDetails):
        more: dict[str, Any] = {} if details.private_bytes is None else {"private": details.private_bytes}
        more |= {"carry": True} if details.carry else {}
        more |= {"identity": details.identity} if details.identity else {}
        more |= {"precopy": True} if details.precopy else {}
        return {"lock": details.lock, "pid": details.pid_at_home, **more}
    if isinstance(details, ReadyDetails):
        tree = {"tree": details.tree_port} if details.tree_port else {}
        more = {**tree, **({"carry": True} if details.carry else {}), **_abilities_told(details.abilities)}
        return {"port": details.port, **more}
    if isinstance(details, ImagesDetails):
        return {"memory": True} if details.memory_sent else {}
    if isinstance(details, RunningDetails):
        return {"pid": details.pid}
    if isinstance(details, SettledDetails):
        return {"signals": [list(signal) for signal in details.signals]}
    if isinstance(details, SeenDetails):
        told = [one_line(reason) for reason in details.reasons[:MAX_REASONS]]
        more = {"files": True} if details.takes_files else {}
        return {"reasons": told, **more, **_abilities_told(details.abilities)}
    return {}


def decode_details(word: str, values: Mapping[str, Any]) -> Details:
    """
    Return what the JSON object ``values`` of a message with this word says.

    :raises MalformedFrame: a value has another type, or is out of its bounds.
    """
    if word in (MessageKind.OFFER.word, LOOK):
        private = values.get("private")
        if private is not None and not (type(private) is int and 0 <= private < 1 << 62):
            raise MalformedFrame("invalid size of temporary files in a migration message")
        if word == LOOK and private is None:
            return None
        lock, carry = values.get("lock") is True, values.get("carry") is True
        identity = values.get("identity")
        named = ProcessIdentity.find(identity) if isinstance(identity, str) else None
        name, precopy = str(named) if named else "", values.get("precopy") is True
        return OfferDetails(lock, _pid(values), private, carry, name, precopy)
    if word == MessageKind.READY.word:
        port = values.get("port")
        if type(port) is not int or not 0 < port <= _MAX_PORT:
            raise MalformedFrame("invalid port of the page server in a migration message")
        tree = values.get("tree", 0)
        tree_port = tree if type(tree) is int and 0 < tree <= _MAX_PORT else 0
        return ReadyDetails(port, tree_port, values.get("carry") is True, _abilities(values))
    if word == MessageKind.IMAGES.word:
        return ImagesDetails(True) if values.get("memory") is True else None
    if word == MessageKind.RUNNING.word:
        pid = _pid(values)
        return None if pid is None else RunningDetails(pid)
    if word == MessageKind.SETTLED.word:
        return SettledDetails(decode_signals(values.get("signals")))
    if word == SEEN:
        reasons = values.get("reasons")
        told = reasons[:MAX_REASONS] if isinstance(reasons, list) else []
        reasons = tuple(one_line(str(reason)) for reason in told)
        return SeenDetails(reasons, values.get("files") is True, _abilities(values))
    return None


def _pid(values: Mapping[str, Any]) -> int | None:
    pid = values.get("pid")
    return pid if type(pid) is int and 0 < pid <= _MAX_PID else None


def _abilities_told(abilities: frozenset[str]) -> dict[str, Any]:
    return {"abilities": sorted(abilities)} if abilities else {}


def _abilities(values: Mapping[str, Any]) -> frozenset[str]:
    told = values.get("abilities")
    listed = told[:_MAX_ABILITIES] if isinstance(told, list) else []
    return frozenset(each for each in listed if isinstance(each, str))


def decode_signals(values: object) -> tuple[WaitingSignal, ...]:
    """
    Return the signals in ``values``, a list of pairs as JSON has them; empty for what is no list.

    :raises MalformedFrame: a pair is no signal.
    """
    return tuple(map(_signal, values[:MAX_SIGNALS])) if isinstance(values, list) else ()


def _signal(pair: Any) -> WaitingSignal:
    try:
        number, group = pair
        return WaitingSignal(*decode_signal(bytes((int(number), bool(group)))))
    except (ValueError, TypeError, OverflowError, MalformedFrame):
        raise MalformedFrame("invalid signal in a migration message") from None


def one_line(text: str) -> str:
    """Return ``text`` as a reason: one printable line of bounded length, whatever is in it."""
    short = text if len(text) <= MAX_REASON_LENGTH else text[: MAX_REASON_LENGTH - 3] + "..."
    return "".join(c if c.isprintable() else "?" for c in short)
