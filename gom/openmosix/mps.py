"""The command mps: lists the processes of this node and where each runs, in openMosix's columns."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gom.openmosix.program import DONE, FAILED, Failed, connect, run
from libgomd.blocking import Client
from libgomd.errors import GomdError, NotFound
from libgomd.model import Process
from libgomd.wire.text import printable

USAGE = """\
usage: mps [a] [x] [-A|-e] [--ominfo|--ominfol] [--sort KEY | O KEY] [PID ...]
  a  with a terminal, everybody's       x  yours, also without a terminal      ax, -A, -e  all
  --ominfo   USER COMMAND PID NODE NMIGS LOCK CANTMOVE; --ominfol adds the columns of `ps l`
  KEY        w or node, # or nmigs, l or lock, L or cantmove, p or pid
NODE is 0 for a process that runs at home."""


class Row(NamedTuple):
    """A process, with the values that only its /proc/PID/stat has."""

    process: Process
    terminal: int
    priority: int | None


class MpsOptions(NamedTuple):
    """Which processes to show, in which columns and order."""

    everybody: bool = False
    detached: bool = False
    layout: str = "short"
    sort: str = "pid"
    pids: tuple[int, ...] = ()


def main() -> int:
    """Run the command: the entry point."""
    return run("mps", mps, sys.argv[1:])


def mps(argv: Sequence[str]) -> int:
    """Print the processes and return the exit status, 1 if a requested process does not exist. Blocks."""
    if list(argv) == ["--help"]:
        print(USAGE)
        return DONE
    options = parse(argv)
    with connect() as gomd:
        try:
            processes = gomd.ps(*options.pids)
        except NotFound:
            raise Failed(f"No such process ({options.pids[0]}).") from None
        rows = sorted(_selected(gomd, processes, options), key=_KEYS[options.sort])
        all_memory = (gomd.node().tmem if options.layout == "--ominfol" else None) or 0
    columns = LAYOUTS[options.layout]
    print("".join(column.title() for column in columns).rstrip())
    for row in rows:
        print("".join(column.cell(row, all_memory) for column in columns).rstrip())
    return FAILED if len(rows) < len(set(options.pids)) else DONE


def parse(argv: Sequence[str]) -> MpsOptions:
    """Return the options in ``argv``. :raises Failed: they are not valid; the text is the usage."""
    options = MpsOptions()
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in LAYOUTS and word.startswith("--"):
            options = options._replace(layout=word)
        elif word in ("-A", "-e"):
            options = options._replace(everybody=True, detached=True)
        elif word in ("--sort", "O"):
            key = words.pop(0) if words else ""
            options = options._replace(sort=_sort_key(key))
        elif word.startswith("O"):
            options = options._replace(sort=_sort_key(word[1:]))
        elif word.isascii() and word.isdigit() and len(word) <= 10:
            options = options._replace(pids=(*options.pids, int(word)))
        elif word.lstrip("-") and set(word.lstrip("-")) <= {"a", "x"} and not word.startswith("--"):
            options = options._replace(
                everybody=options.everybody or "a" in word, detached=options.detached or "x" in word
            )
        else:
            raise Failed(USAGE)
    return options


def _sort_key(word: str) -> str:
    key = _LETTERS.get(word, word)
    if key not in _KEYS:
        raise Failed(USAGE)
    return key


def _selected(gomd: Client, processes: Sequence[Process], options: MpsOptions) -> list[Row]:
    """Return the processes to show: by default the caller's on this terminal, as in ps."""
    uid, own_terminal = os.getuid(), _own_terminal()
    wanted = [one for one in processes if options.everybody or options.pids or one.uid == uid]
    if options.pids or options.detached:
        if options.layout == "--ominfo":  # needs neither terminal nor priority, so no request per process
            return [Row(process, 0, None) for process in wanted]
        return [_row(gomd, process) for process in wanted]
    rows = [_row(gomd, process) for process in wanted]
    if options.everybody:
        return [row for row in rows if row.terminal]
    return [row for row in rows if own_terminal in (0, row.terminal)]


def _row(gomd: Client, process: Process) -> Row:
    """Request terminal and priority. Without them if the process has just ended or is hidden. Blocks."""
    try:
        fields = gomd.get(f"/proc/{process.pid}/stat").rpartition(")")[2].split()
        return Row(process, int(fields[4]), int(fields[15]))
    except (GomdError, ValueError, IndexError):
        return Row(process, 0, None)


def _own_terminal() -> int:
    """Return the kernel's number of the terminal this program runs on, 0 without one."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[4])
    except (OSError, ValueError, IndexError):
        return 0


def terminal_name(number: int) -> str:
    """Return the name of a terminal as ps shows it, ``?`` for none."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major <= 143:
        return f"pts/{minor + (major - 136) * 256}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return f"{major},{minor}" if number else "?"


class MpsColumn(NamedTuple):
    """A column: its heading, its width, the text of its cells, and whether they are left-aligned."""

    head: str
    width: int
    text: Callable[[Row, int], str]
    left: bool = False

    def title(self) -> str:
        """The heading, padded to the width of the column."""
        return self._padded(self.head)

    def cell(self, row: Row, all_memory: int) -> str:
        """The text for one process, padded to the width of the column."""
        return self._padded(printable(self.text(row, all_memory)))

    def _padded(self, text: str) -> str:
        return f"{text:<{self.width}} " if self.left else f"{text:>{self.width}} "


def _cpu_time(process: Process) -> str:
    if process.cpu_seconds is None:
        return "-"
    seconds = int(process.cpu_seconds)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _start(process: Process) -> str:
    if process.start_time is None:
        return "-"
    try:
        began = time.localtime(process.start_time)
    except (OverflowError, OSError, ValueError):  # a year that this machine cannot represent
        return "?"
    today = time.localtime()[:3] == began[:3]
    return time.strftime("%H:%M" if today else "%b%d", began)


def _name(process: Process) -> str:
    """The bare name of the program, as in the COMMAND column of openMosix's mps."""
    first = process.command.split(" ", 1)[0]
    return first if first.startswith("[") else os.path.basename(first)


def _can_move(process: Process) -> str:
    return process.cantmove or ("migratable but locked" if process.lock else "migratable")


def _share(row: Row, all_memory: int) -> str:
    resident = row.process.rss
    return f"{100 * resident / all_memory:.1f}" if all_memory and resident is not None else "-"


def _number(value: int | None, unit: int = 1) -> str:
    return "-" if value is None else str(value // unit)


def _percent(row: Row, all_memory: int) -> str:
    return "-" if row.process.cpu_percent is None else f"{row.process.cpu_percent:.1f}"


_INFO = (
    MpsColumn("USER", 8, lambda row, _: row.process.user, left=True),
    MpsColumn("COMMAND", 15, lambda row, _: _name(row.process)[:15], left=True),
    MpsColumn("PID", 7, lambda row, _: str(row.process.pid)),
    MpsColumn("NODE", 5, lambda row, _: str(row.process.where)),
    MpsColumn("NMIGS", 5, lambda row, _: str(row.process.nmigs)),
    MpsColumn("LOCK", 4, lambda row, _: str(int(row.process.lock))),
    MpsColumn("CANTMOVE", 21, lambda row, _: _can_move(row.process), left=True),
)
LAYOUTS = {
    "short": (
        MpsColumn("PID", 7, lambda row, _: str(row.process.pid)),
        MpsColumn("TTY", 8, lambda row, _: terminal_name(row.terminal), left=True),
        MpsColumn("NODE", 5, lambda row, _: str(row.process.where)),
        MpsColumn("STAT", 4, lambda row, _: row.process.state, left=True),
        MpsColumn("TIME", 6, lambda row, _: _cpu_time(row.process)),
        MpsColumn("COMMAND", 1, lambda row, _: row.process.command, left=True),
    ),
    "--ominfo": _INFO,
    "--ominfol": (
        *_INFO,
        MpsColumn("PPID", 7, lambda row, _: str(row.process.ppid)),
        MpsColumn("PRI", 3, lambda row, _: "-" if row.priority is None else str(row.priority)),
        MpsColumn("NI", 3, lambda row, _: _number(row.process.nice)),
        MpsColumn("%CPU", 5, _percent),
        MpsColumn("%MEM", 4, _share),
        MpsColumn("SIZE", 8, lambda row, _: _number(row.process.vsize, 1024)),
        MpsColumn("RSS", 8, lambda row, _: _number(row.process.rss, 1024)),
        MpsColumn("STAT", 4, lambda row, _: row.process.state, left=True),
        MpsColumn("START", 5, lambda row, _: _start(row.process)),
        MpsColumn("TIME", 6, lambda row, _: _cpu_time(row.process)),
    ),
}
_KEYS: dict[str, Callable[[Row], tuple[int | str, ...]]] = {
    "pid": lambda row: (row.process.pid,),
    "node": lambda row: (row.process.where, row.process.pid),
    "nmigs": lambda row: (-row.process.nmigs, row.process.pid),
    "lock": lambda row: (-int(row.process.lock), row.process.pid),
    "cantmove": lambda row: (_can_move(row.process), row.process.pid),
}
_LETTERS = {"w": "node", "#": "nmigs", "l": "lock", "L": "cantmove", "p": "pid"}
