"""The report as one HTML page: it loads nothing, has no scripts, and can be printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from typing import Final

from gom.report.charts import Line, chart
from gom.report.facts import Facts, NodeFacts, downtimes
from libgomd.model import EventKind, HistoryRow
from libgomd.wire.text import printable

_STYLE: Final = """
body { font: 14px/1.45 sans-serif; color: #111827; max-width: 960px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; border-top: 1px solid #d1d5db; padding-top: 1em; }
table { border-collapse: collapse; margin: .5em 0 1em; width: 100%; }
th, td { text-align: left; padding: .15em .6em; border-bottom: 1px solid #e5e7eb; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.command { font-family: monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } p.note { color: #6b7280; }
@media print { body { margin: 0; max-width: none; } section { break-inside: avoid; } }
"""
#: The latest events that are listed.
MAX_EVENTS: Final = 200
_GIGA: Final = 1 << 30
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(facts: Facts) -> str:
    """Return the page."""
    title = f"Nodes from {_stamp(facts.since)} to {_stamp(facts.until)}"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">",
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body><h1>{_text(title)}</h1>",
        "<p class='note'>Times are UTC. Whoever has this file sees what its maker may see.</p>",
        *_overview(facts),
        *(part for node in facts.nodes for part in _node(facts, node)),
        *_events(facts),
        "</body></html>",
    ]
    return "\n".join(parts)


def _overview(facts: Facts) -> Iterator[str]:
    yield "<section><h2>All nodes</h2>"
    rows = []
    for each in facts.nodes:
        loads = each.rows.get("load", ())
        means = [row.mean for row in loads if row.mean is not None]
        tops = [row.max for row in loads if row.max is not None]
        moves = sum(e.kind is EventKind.MIGRATED and e.node == each.node.id for e in facts.events)
        rows.append((
            str(each.node.id), each.node.name, "up" if each.node.up else "down",
            f"{sum(means) / len(means):.0f}" if means else "-", f"{max(tops):.0f}" if tops else "-",
            str(len(downtimes(facts, each.node.id))), str(moves),
        ))  # fmt: skip
    yield _table(
        ("Node", "Name", "Now", "Load, mean", "Load, max", "Downtimes", "Moves to it"), rows, {3, 4, 5, 6}
    )
    yield "</section>"


def _node(facts: Facts, each: NodeFacts) -> Iterator[str]:
    yield f"<section><h2>Node {each.node.id} {_text(each.node.name)}</h2>"
    if each.trouble:
        yield f"<p class='note'>{_text(each.trouble)}</p>"
    by = {row.by for rows in each.rows.values() for row in rows} - {each.node.id}
    if by:
        yield f"<p class='note'>As node {', '.join(map(str, sorted(by)))} remembers it.</p>"
    load = each.rows.get("load", ())
    marks = [e for e in facts.events if e.kind is EventKind.CHECKPOINT and e.node == each.node.id]
    if marks:
        named = "; ".join(f"{_stamp(mark.time)} {mark.reason}" for mark in marks)
        yield f"<p class='note'>Checkpoints: {_text(named)}</p>"
    times = [mark.time for mark in marks]
    if not load:
        yield "<p class='note'>Nothing is known of this time.</p>"
    else:
        lines = {"mean": _line(load, "mean"), "largest": _line(load, "max")}
        yield _drawn(
            "Load (100 is one busy standard processor)", lines, facts, lambda value: f"{value:.0f}", times
        )
        lines = {
            name: [
                (at, None if value is None else value / _GIGA)
                for at, value in _line(each.rows[field], "mean")
            ]
            for name, field in (("available", "mem"), ("all", "tmem"))
            if each.rows.get(field)
        }
        if lines:
            yield _drawn("Memory, GiB", lines, facts, lambda value: f"{value:.1f}", times)
    if each.rows.get("processes"):
        lines = {"processes": _line(each.rows["processes"], "mean")}
        yield _drawn("Processes", lines, facts, lambda value: f"{value:.0f}", times)
    if away := downtimes(facts, each.node.id):
        yield _table(
            ("Down from", "until"),
            [(_stamp(start), "now" if end is None else _stamp(end)) for start, end in away],
        )
    if each.busiest and each.peak is not None:
        yield f"<p>The busiest processes about {_stamp(each.peak)}, when the load was highest:</p>"
        yield _table(
            ("PID", "User", "% CPU", "MiB", "Command"),
            [
                (
                    str(process.pid), process.user,
                    "-" if process.cpu_percent is None else f"{process.cpu_percent:.1f}",
                    "-" if process.rss is None else f"{process.rss / (1 << 20):.0f}", process.command,
                )
                for process in each.busiest
            ],
            {0, 2, 3},
        )  # fmt: skip
    yield "</section>"


def _events(facts: Facts) -> Iterator[str]:
    yield "<section><h2>Events</h2>"
    if len(facts.events) > MAX_EVENTS:
        yield f"<p class='note'>The last {MAX_EVENTS} of {len(facts.events)}.</p>"
    yield _table(
        ("Time", "Kind", "Node", "Name", "Reason"),
        [
            (_stamp(event.time), event.kind.value, str(event.node), event.name, event.reason)
            for event in facts.events[-MAX_EVENTS:]
        ],
        {2},
    )
    yield "</section>"


def _drawn(
    title: str,
    lines: Mapping[str, Line],
    facts: Facts,
    shown: Callable[[float], str],
    marks: Sequence[float],
) -> str:
    return f"<div>{chart(title, lines, facts.since, facts.until, shown, marks)}</div>"


def _line(rows: Sequence[HistoryRow], name: str) -> list[tuple[float, float | None]]:
    return [(row.time, getattr(row, name)) for row in rows]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def cells(tag: str, texts: Sequence[str]) -> str:
        found = []
        for at, text in enumerate(texts):
            kind = " class='number'" if at in right else " class='command'" if heads[at] == "Command" else ""
            found.append(f"<{tag}{kind}>{_text(text)}</{tag}>")
        return f"<tr>{''.join(found)}</tr>"

    return f"<table>{cells('th', heads)}{''.join(cells('td', row) for row in rows)}</table>"


def _text(text: str) -> str:
    return escape(printable(text))


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
