#!/usr/bin/env python3
"""
Draws a node's load, memory and busiest processes as they change: a small program on `libgomd.client`.

The program follows two streams of the daemon, `watch node` and `watch ps`, and redraws the screen at every
answer. When it loses the daemon it shows that and connects again. Usage: monitor.py [ENDPOINT]
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater, react

from libgomd import calls
from libgomd.client import Client, connect
from libgomd.errors import ConfigError, GomdError
from libgomd.model import Node, Process
from libgomd.replies import Call

T = TypeVar("T")

BOLD, DIM, INVERSE, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[0m"
GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"
STEPS = "▁▂▃▄▅▆▇█"
ORDERS: dict[str, tuple[str, Callable[[Process], float]]] = {
    "c": ("processor time", lambda process: process.cpu_percent or 0.0),
    "m": ("memory", lambda process: process.rss or 0),
}


class Picture:
    """The screen, drawn again at each change."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._loads: deque[int] = deque(maxlen=1000)
        self._node: Node | None = None
        self._processes: list[Process] = []
        self._order = "c"
        self.message = "connecting ..."

    def take_node(self, node: Node) -> None:
        """Draw the newest values of the node."""
        self._node, self.message = node, ""
        self._loads.append(node.load or 0)
        self.draw()

    def take_processes(self, processes: list[Process]) -> None:
        """Draw the newest process table."""
        self._processes = processes
        self.draw()

    def take_key(self, key: str) -> None:
        """Sort the processes by what the key selects."""
        self._order = key if key in ORDERS else self._order
        self.draw()

    def say(self, message: str) -> None:
        """Draw a message below everything else."""
        self.message = message
        self.draw()

    def draw(self) -> None:
        """Draw everything in the current size of the terminal."""
        width, height = os.get_terminal_size(sys.stdout.fileno())
        lines = [*self._head(width), ""]
        footer = (
            self.message or f"q quit   c by processor time   m by memory   now by {ORDERS[self._order][0]}"
        )
        lines += self._table(width, max(0, height - len(lines) - 2))
        lines += [""] * (height - 1 - len(lines))
        lines = [*lines[: height - 1], f"{RED if self.message else DIM} {footer[: width - 2]}{PLAIN}"]
        # Start at the top and clear each line behind its text: this neither flickers nor scrolls.
        self._write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines))

    def _head(self, width: int) -> list[str]:
        node = self._node
        if node is None:
            return [f"{INVERSE}{' gomd':<{width}}{PLAIN}", "", "", ""]
        title = f" gomd   node {node.id}  {node.name}  {node.address}   {node.status.words()}"
        busy = sum(process.cpu_percent or 0.0 for process in self._processes)
        cpus = node.cpus or 1
        used, total = (node.tmem or 0) - (node.mem or 0), node.tmem or 1
        memory = f"{size(used)} of {size(total)} in use"
        room = max(10, min(60, width - 48))
        return [
            f"{INVERSE}{title[:width]:<{width}}{PLAIN}",
            f" load {BOLD}{node.load or 0:>6}{PLAIN} {self._curve(room, cpus)} 100 is one busy standard CPU",
            f" cpu  {busy / cpus:>5.0f}% {bar(busy / cpus / 100, room)} {cpus} CPUs of speed {node.speed}",
            f" mem  {100 * used / total:>5.0f}% {bar(used / total, room)} {memory}",
        ]

    def _curve(self, room: int, cpus: int) -> str:
        newest = list(self._loads)[-room:]
        top = max([100 * cpus, *newest])
        drawn = "".join(STEPS[min(len(STEPS) - 1, load * len(STEPS) // top)] for load in newest)
        return f"{colour(newest[-1] / (100 * cpus) if newest else 0)}{drawn:>{room}}{PLAIN}"

    def _table(self, width: int, room: int) -> list[str]:
        processes = sorted(self._processes, key=ORDERS[self._order][1], reverse=True)
        heading = f"{'PID':>8} {'USER':<10}{'S':<2}{'NI':>3} {'CPU%':>6} {'RSS':>8} {'TIME':>9}  COMMAND"
        lines = [f"{BOLD}{heading[:width]}{PLAIN}"]
        for process in processes[:room]:
            percent = "-" if process.cpu_percent is None else f"{process.cpu_percent:.1f}"
            line = (
                f"{process.pid:>8} {process.user[:9]:<10}{process.state:<2}"
                f"{process.nice or 0:>3} {percent:>6} "
                f"{size(process.rss or 0):>8} {clock(process.cpu_seconds or 0.0):>9}  {process.command}"
            )
            lines.append(f"{'' if (process.cpu_percent or 0) >= 1 else DIM}{line[:width]}{PLAIN}")
        return lines


def colour(share: float) -> str:
    """Return the colour of a share in use, 1.0 for everything."""
    return GREEN if share < 0.6 else YELLOW if share < 0.9 else RED


def bar(share: float, room: int) -> str:
    """Draw a share of 0 to 1 as a bar."""
    filled = round(max(0.0, min(1.0, share)) * room)
    return f"{colour(share)}{'█' * filled}{PLAIN}{DIM}{'░' * (room - filled)}{PLAIN}"


def size(count: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in ("B", "K", "M", "G"):
        if count < 1000:
            return f"{count:.0f}{unit}" if unit == "B" or count >= 100 else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def clock(seconds: float) -> str:
    """Return processor time as minutes and seconds."""
    return f"{int(seconds) // 60}:{seconds % 60:05.2f}"


class Keys(Protocol):
    """Calls a function for every key that is pressed."""

    pressed: Callable[[str], object]

    def dataReceived(self, data: bytes) -> None:
        """Pass the keys on."""
        for key in data.decode("ascii", "replace"):
            self.pressed(key)


async def follow(client: Client, call: Call[T], seconds: float, take: Callable[[T], object]) -> None:
    """Pass on each answer of a watch, without end."""
    async with client.watch(call, seconds=seconds) as answers:
        async for answer in answers:
            take(answer)


async def monitor(reactor: Any, endpoint: str | None, picture: Picture) -> None:
    """Draw without end, and connect again whenever the daemon is lost."""
    while True:
        try:
            client = await connect(reactor, endpoint, timeout=5.0)
            try:
                await follow_both(client, picture)
            finally:
                await client.close()
        except ConfigError:
            raise
        except GomdError as error:
            picture.say(f"{error}; trying again")
        await deferLater(reactor, 1.0, lambda: None)


async def follow_both(client: Client, picture: Picture) -> None:
    """Draw until one of the streams fails. :raises GomdError: its error."""
    both = [
        Deferred.fromCoroutine(follow(client, calls.node(), 1.0, picture.take_node)),
        Deferred.fromCoroutine(follow(client, calls.ps(), 2.0, picture.take_processes)),
    ]
    try:
        await gatherResults(both, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()


@contextmanager
def drawing_on(terminal: int) -> Iterator[None]:
    """Use the whole screen and read keys without Enter; restore the terminal in any case."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        os.write(terminal, b"\x1b[?1049h\x1b[?25l\x1b[2J")  # the other screen, no cursor, cleared
        yield
    finally:
        os.set_blocking(terminal, True)
        os.write(terminal, b"\x1b[?25h\x1b[?1049l")
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def main() -> None:
    """Run the program."""
    endpoint = sys.argv[1] if len(sys.argv) > 1 else None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.exit("monitor.py draws on a terminal; for scripts there is `gom watch node`")
    with drawing_on(sys.stdin.fileno()):
        react(lambda reactor: Deferred.fromCoroutine(show(reactor, endpoint)))


async def show(reactor: Any, endpoint: str | None) -> None:
    """Draw until somebody presses q, or Ctrl-C."""
    screen = StandardIO(keys := Keys(), reactor=reactor)
    picture = Picture(lambda text: screen.write(text.encode()))
    keys.pressed = lambda key: reactor.stop() if key == "q" else picture.take_key(key)
    signal.signal(signal.SIGWINCH, lambda *_: reactor.callFromThread(picture.draw))
    picture.draw()
    following = Deferred.fromCoroutine(monitor(reactor, endpoint, picture))
    reactor.addSystemEventTrigger(
        "before", "shutdown", following.cancel
    )  # else broken streams are complained of
    try:
        await following
    except CancelledError:
        pass


if __name__ == "__main__":
    main()
