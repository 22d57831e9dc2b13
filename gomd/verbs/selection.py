"""
Selects what `ps` shows of the process table: the options of the verb, and the rows and fields they choose.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gomd.verbs import arguments as words
from libgomd.errors import MalformedRequest
from libgomd.model import Holdings, Process

#: Most rows that `--top` takes, and characters of what `--user` and `--match` are compared with.
MAX_TOP: Final = 100_000
MAX_TEXT: Final = 256
#: Processes that are looked at without a pause: some milliseconds' work.
PROCESSES_PER_TURN: Final = 4000


def _io(process: Process) -> float | None:
    if process.read_rate is None and process.write_rate is None:
        return None
    return (process.read_rate or 0.0) + (process.write_rate or 0.0)


#: What `--sort` ranks by, the largest first; a process without the value comes last. The newest comes first
#: by `start`, and the smallest by `pid`.
SORT_KEYS: Final[dict[str, Callable[[Process], float | None]]] = {
    "cpu": lambda process: process.cpu_percent,
    "rss": lambda process: process.rss,
    "time": lambda process: process.cpu_seconds,
    "io": _io,
    "pid": lambda process: -process.pid,
    "start": lambda process: process.start_time,
}
OPTIONS: Final = ("--top", "--sort", "--user", "--match", "--jobs", "--fields", "--at", "--of")


class Selected(NamedTuple):
    """Rows to show, and the number of those that match, of which these are the first."""

    rows: list[Process]
    matched: int


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What a caller asks `ps` for.

    :ivar pids: only these processes; empty for all. :ivar top: that many rows at most; None for all.
    :ivar sort: a key of `SORT_KEYS`; empty for the order of the table.
    :ivar user: only processes of the user with this name or number; None for all.
    :ivar match: only processes with this in their name or command line, in lower case; None for all.
    :ivar jobs: only processes of jobs. :ivar fields: the JSON names to show; empty for the usual ones.
    :ivar at: the moment that is meant, as the caller wrote it; empty for now. :ivar node: the id or name of
        the node that is meant, as this node remembers it; empty for this node.
    """

    pids: frozenset[int] = frozenset()
    top: int | None = None
    sort: str = ""
    user: str | None = None
    match: str | None = None
    jobs: bool = False
    fields: tuple[str, ...] = ()
    at: str = ""
    node: str = ""

    @property
    def selects(self) -> bool:
        """Whether it shows fewer rows than it was given, so that a reader must be told of how many."""
        return self.top is not None or self.user is not None or self.match is not None or self.jobs

    def of(self, processes: Sequence[Process], in_job: Callable[[Process], bool]) -> Selected:
        """
        Return the rows to show, in their order, and how many there are without ``--top``.

        :param processes: what the caller may see, without the values that it may not: a hidden value must
            not decide which rows are shown. :param in_job: tells whether a process belongs to a job.
        """
        found = [process for process in processes if self._is_wanted(process, in_job)]
        if not self.sort:
            return Selected(found if self.top is None else found[: self.top], len(found))
        return Selected(self._first(found), len(found))

    async def in_turns(
        self,
        clock: IReactorTime,
        processes: Sequence[Process],
        in_job: Callable[[Process], bool],
        turn: int = PROCESSES_PER_TURN,
    ) -> Selected:
        """Return the same as `of`, some milliseconds' work at a time; at once when there are few."""
        if len(processes) <= turn:
            return self.of(processes, in_job)
        found: list[Process] = []
        matched = 0
        for start in range(0, len(processes), turn):
            more = [each for each in processes[start : start + turn] if self._is_wanted(each, in_job)]
            matched += len(more)
            found += more
            if self.top is not None and self.top < turn:
                found = self._first(found) if self.sort else found[: self.top]
            await deferLater(clock, 0)
        if self.sort:
            return Selected(self._first(found), matched)
        return Selected(found if self.top is None else found[: self.top], matched)

    def _first(self, found: list[Process]) -> list[Process]:
        """Return them in the order of the key, as many as are shown."""
        rank = SORT_KEYS[self.sort]

        def key(process: Process) -> tuple[bool, float, int]:
            value = rank(process)
            return (value is not None, value or 0.0, -process.pid)

        if self.top is not None and self.top < len(found):
            return heapq.nlargest(self.top, found, key)
        return sorted(found, key=key, reverse=True)

    def _is_wanted(self, process: Process, in_job: Callable[[Process], bool]) -> bool:
        if self.user is not None and self.user not in (process.user, str(process.uid)):
            return False
        if self.match is not None and not (
            self.match in process.command.casefold() or self.match in process.name.casefold()
        ):
            return False
        return not self.jobs or in_job(process)


def parse(arguments: Sequence[str]) -> Selection:
    """
    Return what the arguments of `ps` select: process ids and options, in any order.

    :raises MalformedRequest: an option is unknown, is given twice, or has no value or a wrong one.
    """
    pids: set[int] = set()
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            pids.add(words.pid(word))
            continue
        option, is_joined, value = word.partition("=")
        if option not in OPTIONS:
            raise MalformedRequest(f"ps has no option {option[:40]}: it has {' '.join(OPTIONS)}")
        if option in given:
            raise MalformedRequest(f"{option} is given twice: give it once")
        if option == "--jobs":
            if is_joined:
                raise MalformedRequest("--jobs takes no value")
            given[option] = True
            continue
        if not is_joined:
            if not rest:
                raise MalformedRequest(f"{option} takes a value: {_EXAMPLES[option]}")
            value = rest.pop(0)
        given[option] = _PARSERS[option](value)
    if "--of" in given and "--at" not in given:
        raise MalformedRequest("--of is for the past, with --at: say `@NODE ps` for another node now")
    top, sort = given.get("--top"), given.get("--sort", "")
    return Selection(
        pids=frozenset(pids),
        top=top,
        sort=sort or ("cpu" if top is not None else ""),
        user=given.get("--user"),
        match=given.get("--match"),
        jobs=given.get("--jobs", False),
        fields=given.get("--fields", ()),
        at=given.get("--at", ""),
        node=given.get("--of", ""),
    )


def _top(text: str) -> int:
    return words.whole_number(text, "--top", 1, MAX_TOP)


def _sort(text: str) -> str:
    if text not in SORT_KEYS:
        raise MalformedRequest(f"--sort is one of {', '.join(SORT_KEYS)}, not {text[:40]}")
    return text


def _text(option: str) -> Callable[[str], str]:
    def parse_text(text: str) -> str:
        if not 0 < len(text) <= MAX_TEXT:
            raise MalformedRequest(f"{option} takes 1 to {MAX_TEXT} characters")
        return text

    return parse_text


def _fields(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in Process.JSON and name not in Holdings.JSON:
            more = ", ".join(Holdings.JSON)
            raise MalformedRequest(f"there is no field {name[:40]}: `help ps` lists them; and {more}")
    if len(set(names)) < len(names):
        raise MalformedRequest("--fields names a field twice")
    return names


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "--top": _top,
    "--sort": _sort,
    "--user": _text("--user"),
    "--match": lambda text: _text("--match")(text).casefold(),
    "--fields": _fields,
    "--at": _text("--at"),
    "--of": _text("--of"),
}
_EXAMPLES: Final = {
    "--top": "--top 20",
    "--sort": f"--sort {'|'.join(SORT_KEYS)}",
    "--user": "--user NAME",
    "--match": "--match TEXT",
    "--fields": "--fields pid,user,command",
    "--at": "--at 15m",
    "--of": "--of NODE",
}
