"""`gom history`: values of a node over time as a table, JSON or CSV; on a terminal as blocks too."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, Final

from gom.relay import ask_rows
from libgomd.endpoints import Endpoint
from libgomd.wire.lines import Request
from libgomd.wire.text import printable

HISTORY_USAGE = """\
usage: gom history NODE FIELD[,FIELD...] [--since T] [--until T] [--points N] [--csv]

  NODE       whose values, by id or name; of a node that is down, what other nodes remember
  FIELD      a value such as load, mem, busy_percent or net_received_bytes; docs/history.md lists them
  --since T  when to begin; an hour ago unless said
  --until T  when to end; now unless said
  --points N the largest number of rows of each field; 60 unless said
  --csv      print comma-separated values; `gom --json history ...` prints JSON

  T is an age (90s, 15m, 12h, 3d), HH:MM (the last such time here), ISO 8601 in UTC
  (2026-11-28T03:12) or seconds since the epoch.

Times about which nothing is known have no row; in the line of blocks they are empty.
"""
_FIELDS: Final = ("time", "field", "min", "mean", "max", "node", "by")
_HEADINGS: Final = ("TIME", "FIELD", "MIN", "MEAN", "MAX")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
#: Columns of a terminal that the name and the numbers beside a line of blocks take.
_BESIDE: Final = 44
#: Seconds from which on every step of an answer has a row; and that are no gap between single samples.
_MINUTE: Final = 60.0
_SHORTEST_GAP: Final = 2.5

Rows = Sequence[dict[str, Any]]


def history(endpoints: Sequence[Endpoint], token: str, as_json: bool, as_csv: bool, request: Request) -> int:
    """Ask for the history, print it, and return the exit status. Blocks. Errors as `gom.relay.relay`."""
    text, lines = ask_rows(endpoints, token, request)
    out = sys.stdout
    if as_json:
        for line in lines:
            out.write(f"{line}\n")
        return 0
    rows = [json.loads(line) for line in lines]
    if as_csv:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_FIELDS)
        writer.writerows([[row.get(name) for name in _FIELDS] for row in rows])
        return 0
    if out.isatty():
        for line in block_lines(rows, max(20, shutil.get_terminal_size().columns - _BESIDE)):
            out.write(f"{printable(line)}\n")
        out.write("\n")
    for line in table(rows):
        out.write(f"{printable(line)}\n")
    if not rows or ", as node" in text:  # nothing is known, or it is another node's memory
        sys.stderr.write(f"gom: {printable(text)}\n")
    return 0


def table(rows: Rows) -> Iterable[str]:
    """Yield the lines of a table; a gap in which nothing is known has a line of its own."""
    cells: list[tuple[str, ...]] = [_HEADINGS]
    step, last = _step(rows), None
    longest = 1.5 * step if step >= _MINUTE else max(_SHORTEST_GAP, _usual(rows) + step / 2)
    for row in rows:
        if last is not None and step and row["time"] - last > longest:
            cells.append(("-", f"nothing is known for {_duration(row['time'] - last - step)}"))
        last = row["time"]
        cells.append((
            _stamp(row["time"]), str(row["field"]), *(_cell(row[name]) for name in ("min", "mean", "max"))
        ))  # fmt: skip
    widths = [max(len(each[at]) for each in cells if len(each) == 5) for at in range(5)]
    for each in cells:
        if len(each) == 2:
            yield f"{each[0].ljust(widths[0])} {each[1]}"
        else:
            left = f"{each[0].ljust(widths[0])} {each[1].ljust(widths[1])}"
            yield " ".join((left, *(cell.rjust(widths[2 + at]) for at, cell in enumerate(each[2:])))).rstrip()


def block_lines(rows: Rows, width: int) -> Iterable[str]:
    """Yield a line of blocks for each field, from its smallest mean to its largest, empty where unknown."""
    fields = list(dict.fromkeys(str(row["field"]) for row in rows))
    if not rows:
        return
    start, end = rows[0]["time"], rows[-1]["time"]
    step = _step(rows) or 1.0
    places = max(1, min(width, round((end - start) / step) + 1))
    name_width = max(map(len, fields))
    for field in fields:
        means: list[list[float]] = [[] for _ in range(places)]
        for row in rows:
            if row["field"] == field and row["mean"] is not None:
                at = int((row["time"] - start) / max(1e-9, end - start + step) * places)
                means[min(places - 1, at)].append(row["mean"])
        known = [sum(each) / len(each) for each in means if each]
        if not known:
            continue
        least, most = min(known), max(known)
        blocks = "".join(
            _BLOCKS[_height(sum(each) / len(each), least, most)] if each else " " for each in means
        )
        yield f"{field.ljust(name_width)} {blocks} {_short(least)} to {_short(most)}"


def _height(value: float, least: float, most: float) -> int:
    return 0 if most <= least else min(len(_BLOCKS) - 1, int((value - least) / (most - least) * len(_BLOCKS)))


def _step(rows: Rows) -> float:
    """Return the seconds from row to row of a field, the smallest distance; 0 for a single row."""
    times = sorted({row["time"] for row in rows})
    return min((after - before for before, after in pairwise(times)), default=0.0)


def _usual(rows: Rows) -> float:
    """
    Return the seconds between two rows that nine of ten are not farther apart; 0 for a single row.

    Where the steps of an answer are shorter than the time from sample to sample, some of them are empty.
    """
    times = sorted({row["time"] for row in rows})
    apart = sorted(after - before for before, after in pairwise(times))
    return apart[(len(apart) - 1) * 9 // 10] if apart else 0.0


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".removesuffix(".00")


def _short(value: float) -> str:
    for unit in ("", "k", "M", "G", "T"):
        if abs(value) < 1000:
            return f"{value:.4g}{unit}"
        value /= 1000
    return f"{value:.4g}P"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
