"""Charts of a report: SVG by pygal, without scripts and without anything from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, Final

import pygal
from pygal.style import Style

_SCRIPT: Final = re.compile(r"<script.*?</script>", re.DOTALL)
_WIDTH, _HEIGHT = 900, 260
_STYLE: Final = Style(
    background="transparent", plot_background="transparent", font_family="sans-serif", label_font_size=11,
    legend_font_size=12, title_font_size=14, major_label_font_size=11, stroke_width=1.5,
    colors=("#2563eb", "#dc2626", "#059669", "#7c3aed"),
)  # fmt: skip
_DASHED: Final = {"width": 1.5, "dasharray": "4, 3"}

#: Points of a line: a moment and a value, None where nothing is known.
Line = Sequence[tuple[float, float | None]]


def chart(
    title: str,
    lines: Mapping[str, Line],
    since: float,
    until: float,
    shown: Callable[[float], str],
    marks: Sequence[float] = (),
) -> str:
    """
    Return a chart as SVG.

    :param shown: gives the text of a value at the axis. :param marks: moments with an upright line.
    """
    drawn: Any = pygal.DateTimeLine(
        style=_STYLE, width=_WIDTH, height=_HEIGHT, js=(), show_dots=False,
        legend_at_bottom=True, legend_at_bottom_columns=len(lines) + bool(marks), allow_interruptions=True,
        disable_xml_declaration=True, title=title, include_x_axis=True, explicit_size=False,
        x_value_formatter=lambda at: at.strftime("%d. %H:%M"), value_formatter=shown,
        xrange=(_moment(since), _moment(until)),
    )  # fmt: skip
    drawn.x_labels = [_moment(since + (until - since) * part / 6) for part in range(7)]
    for name, line in lines.items():
        drawn.add(name, [(_moment(at), value) for at, value in with_gaps(line)])
    values = [value for line in lines.values() for _at, value in line if value is not None]
    if marks and values:
        upright = [(at, value) for at in marks for value in (0.0, max(*values, 1.0), None)]
        drawn.add("checkpoint", [(_moment(at), value) for at, value in upright], stroke_style=_DASHED)
    return _SCRIPT.sub("", drawn.render(is_unicode=True))


def with_gaps(line: Line) -> list[tuple[float, float | None]]:
    """Return a line with an unknown value where more than two of its steps are missing."""
    times = [at for at, _ in line]
    step = min((after - before for before, after in pairwise(times)), default=0.0)
    found: list[tuple[float, float | None]] = []
    for at, value in line:
        if found and step and at - found[-1][0] > 2.5 * step:
            found.append((found[-1][0] + step, None))
        found.append((at, value))
    return found


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc).replace(tzinfo=None)
