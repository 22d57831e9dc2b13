"""The pane of one process in `gom top`: its values, its processor share over the last minutes, its cgroup."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from gom.monitor.figures import percent, rate, short_bytes, short_seconds, sparkline
from gom.monitor.rows import ProcessRow
from gom.monitor.spans import Line, Span, Style, clip, line, visible
from gom.monitor.top_actions import ActionResult, Asked
from gom.monitor.top_dialogs import CLOSE, STAY, Step, sentences
from libgomd.wire.lines import Request

#: Seconds of history of one process, and the processes that have one.
HISTORY: Final = 300.0
MAX_FOLLOWED: Final = 500
#: The files that are shown, those that everybody may see first; `io` is for the owner.
FILES: Final = ("cgroup", "io", "limits")
_FILE_LINES: Final = 24


class History:
    """The processor shares of the processes that were shown lately."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, deque[tuple[float, float | None]]] = OrderedDict()

    def note(self, process: ProcessRow, at: float) -> None:
        """Note the share of a process at a moment, in seconds of the monotonic clock; once a round."""
        values = self._values.setdefault(process.identity, deque())
        self._values.move_to_end(process.identity)
        if values and values[-1][0] >= at:
            return
        values.append((at, process.cpu_percent))
        while values and values[0][0] < at - HISTORY:
            values.popleft()
        while len(self._values) > MAX_FOLLOWED:
            self._values.popitem(last=False)

    def of(self, identity: str, cells: int) -> list[float | None]:
        """Return the shares over the last minutes in so many equal steps, None where none is known."""
        values = self._values.get(identity)
        if not values or cells < 1:
            return []
        last = values[-1][0]
        step = max(1.0, min(HISTORY, last - values[0][0] + 1.0) / cells)
        found: dict[int, list[float]] = {}
        for at, value in values:
            if value is not None:
                found.setdefault(int((last - at) / step), []).append(value)
        length = min(cells, max(found, default=-1) + 1)
        return [
            sum(found[back]) / len(found[back]) if back in found else None
            for back in range(length - 1, -1, -1)
        ]

    def seconds(self, identity: str) -> float:
        """Return how many seconds of a process are known."""
        values = self._values.get(identity)
        return values[-1][0] - values[0][0] if values else 0.0


class Detail:
    """
    The pane. :param identity: of its process. :param find: gives the process as it is now; None when it has
    ended. :param when: writes a moment, in seconds since the epoch.
    """

    is_pane = True

    def __init__(
        self,
        process: ProcessRow,
        find: Callable[[], ProcessRow | None],
        history: History,
        when: Callable[[float], str],
    ) -> None:
        self.identity = process.identity
        self._process = process
        self._find = find
        self._history = history
        self._when = when
        self._files: dict[str, ActionResult] = {}
        self._skip = 0

    @property
    def title(self) -> str:
        """See `Dialog.title`."""
        return f"process {self._process.pid} on node {self._process.node}"

    def ask(self) -> tuple[Asked, ...]:
        """Return the requests for its files, of the node that it runs on."""
        process = self._process
        return tuple(
            Asked(
                ("file", self.identity, name),
                Request("get", (f"/proc/{process.pid}/{name}",), str(process.node)),
            )
            for name in FILES
        )

    def answer(self, answer: ActionResult) -> Step:
        """See `Dialog.answer`."""
        if answer.key[:2] == ("file", self.identity):
            self._files[answer.key[2]] = answer
        return STAY

    def press(self, key: str, text: str) -> Step:
        """See `Dialog.press`."""
        if key in ("escape", "enter", "q"):
            return CLOSE
        steps = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -10_000}
        self._skip = max(0, self._skip + steps.get(key, 0))
        return STAY

    def lines(self, width: int, height: int) -> list[Line]:
        """See `Dialog.lines`."""
        found = self._find()
        if found is not None:
            self._process = found
        shown = self._values(width, found is not None) + self._spark(width) + self._shown_files(width)
        self._skip = min(self._skip, max(0, len(shown) - height))
        return shown[self._skip : self._skip + height]

    def _values(self, width: int, is_there: bool) -> list[Line]:
        process = self._process
        moved = f", moved {process.nmigs} times" if process.nmigs else ""
        pairs = (
            ("user", visible(process.user)),
            ("state", f"{visible(process.state)}{' (does not answer)' if process.stuck else ''}   nice "
                      f"{_known(process.nice)}   threads {_known(process.threads)}"),
            ("node", f"{process.node}, started on {process.home}{moved}"),
            ("parent", f"{process.ppid}   identity {visible(process.identity)}"),
            ("started", "-" if process.start_time is None else self._when(process.start_time)),
            ("cpu", f"{percent(process.cpu_percent)} %   {short_seconds(process.cpu_seconds)} in all"),
            ("memory", short_bytes(process.rss)),
            ("storage", f"{rate(process.read_rate)} read, {rate(process.write_rate)} written a second"),
            ("moving", _moving(process)),
        )  # fmt: skip
        shown = sentences(process.command[: 4 * width], width, Style.TITLE)[:4]
        if not is_there:
            shown.append(line(Span("It is no longer in the list: these are its last values.", Style.WARN)))
        return shown + [
            line(Span(f"{name:<8} ", Style.DIM), clip(text, max(0, width - 9))) for name, text in pairs
        ]

    def _spark(self, width: int) -> list[Line]:
        cells = max(1, width - 9)
        values = self._history.of(self.identity, cells)
        known = [value for value in values if value is not None]
        if not known:
            return []
        minutes = self._history.seconds(self.identity) / 60
        return [
            line(
                Span(f"{'cpu':<8} ", Style.DIM),
                Span(sparkline(values, cells, max(100.0, *known)), Style.GOOD),
            ),
            line(Span(f"{'':<8} {minutes:.1f} min, {min(known):.1f} to {max(known):.1f} %", Style.DIM)),
        ]

    def _shown_files(self, width: int) -> list[Line]:
        shown: list[Line] = []
        for name in FILES:
            answer = self._files.get(name)
            shown.append(line(Span(name, Style.HEADING)))
            if answer is None:
                shown.append(line(Span("asking ...", Style.DIM)))
            elif answer.done:
                rows = answer.text.split("\n")[:_FILE_LINES]
                shown += [line(clip(visible(row.expandtabs()), width)) for row in rows]
            else:
                shown += sentences(answer.text, width, Style.DIM)
        return shown


def _known(value: object) -> str:
    return "-" if value is None else str(value)


def _moving(process: ProcessRow) -> str:
    if process.cantmove:
        return f"cannot: {visible(process.cantmove)}"
    return "locked: balancing leaves it here" if process.lock else "may be moved"


def notes(history: History, rows: Sequence[ProcessRow | None], at: float) -> None:
    """Note the processes that are shown."""
    for process in rows:
        if process is not None:
            history.note(process, at)
