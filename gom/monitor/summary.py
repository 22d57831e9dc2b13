"""The upper lines of a screen: nodes, load, memory, jobs, the last event, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gom.monitor.feed import ClusterState
from gom.monitor.figures import age, bar, short_bytes
from gom.monitor.rows import EventRow
from gom.monitor.spans import Line, Span, Style, line, visible

_KINDS: Final = {
    "down": Style.BAD, "suspect": Style.WARN, "leave": Style.WARN, "join": Style.GOOD, "up": Style.GOOD
}  # fmt: skip
#: Above this share of all processors, and of all memory, a cluster is full.
_FULL: Final = 0.9
#: Cells of a bar.
_BAR: Final = 22
#: Seconds without news of the nodes, in periods, after which they are stale.
STALE_PERIODS: Final = 3


def summary(snapshot: ClusterState, period: float) -> list[Line]:
    """Return two lines: nodes, jobs and load; memory."""
    up = [node for node in snapshot.nodes if node.up]
    total = len(snapshot.nodes)
    loads = [(node.load, node.id) for node in up if node.load is not None]
    cpus = sum(node.cpus or 0 for node in up)
    mean = sum(load for load, _ in loads) / len(loads) if loads else None
    highest = max(loads, default=None)
    style = Style.GOOD if len(up) == total else Style.BAD
    first = [
        Span("nodes ", Style.DIM), Span(f"{len(up)} of {total} up", style),
        Span("   jobs ", Style.DIM), Span("-" if snapshot.jobs is None else str(snapshot.jobs)),
        Span("   cpus ", Style.DIM), Span(str(cpus)),
        Span("   load ", Style.DIM), Span("-" if mean is None else f"{mean:.0f} mean"),
    ]  # fmt: skip
    if highest is not None and len(loads) > 1:
        first.append(Span(f", {highest[0]} on node {highest[1]}"))
    stale = snapshot.nodes_at is not None and snapshot.at - snapshot.nodes_at > STALE_PERIODS * period + 1
    if stale and snapshot.nodes_at is not None:
        first.append(Span(f"   as it was {age(snapshot.at - snapshot.nodes_at)} ago", Style.BAD))
    return [tuple(first), _memory(snapshot)]


def _memory(snapshot: ClusterState) -> Line:
    known = [(node.mem, node.tmem) for node in snapshot.nodes if node.mem is not None and node.tmem]
    total = sum(tmem for _, tmem in known)
    free = sum(min(mem, tmem) for mem, tmem in known)
    if not total:
        return line(Span("memory ", Style.DIM), "-")
    share = 1 - free / total
    style = Style.BAD if share >= _FULL else Style.GOOD
    return line(
        Span("memory ", Style.DIM), Span(bar(share, _BAR), style),
        f" {short_bytes(total - free)} of {short_bytes(total)} in use, {100 * share:.0f} %",
    )  # fmt: skip


def last_event(snapshot: ClusterState, when: Callable[[float], str]) -> Line:
    """Return the last event as a line. :param when: writes a moment, in seconds since the epoch."""
    if not snapshot.events:
        return line(Span("event  ", Style.DIM), Span("none yet", Style.DIM))
    return event_line(snapshot.events[-1], when)


def event_line(event: EventRow, when: Callable[[float], str]) -> Line:
    """Return one event as a line."""
    return line(
        Span("event  ", Style.DIM), Span(f"{when(event.time)} "),
        Span(f"{visible(event.kind)} ", _KINDS.get(event.kind, Style.PLAIN)),
        f"node {event.node} {visible(event.name)}: {visible(event.reason)}",
    )  # fmt: skip
