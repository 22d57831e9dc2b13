"""
Writes metrics as text: OpenMetrics 1.0, or the older text format of Prometheus 0.0.4. Does no I/O.

Most of a page is the same from scrape to scrape: the lines about a metric and the text of its labels. Both
are remembered, so that a scrape of one node costs the daemon well below a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from libgomd.wire.text import printable

OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Endings by which OpenMetrics knows the unit of a metric.
UNITS: Final = ("bytes", "seconds", "ratio")
#: Metrics, and sets of labels, that are remembered: enough for a thousand nodes, and bounded.
_MAX_HEADS: Final = 2048
_MAX_LABELS: Final = 8192

Number = int | float | None
Labels = Mapping[str, str]
#: One metric: its name without ``_total``, its kind (gauge, counter or unknown), its description, its values.
Row = tuple[str, str, str, Iterable[tuple[Labels, Number]]]


class _Head(NamedTuple):
    """What stands before the values of a metric. :ivar text: its lines. :ivar sample: the name of a value."""

    text: str
    sample: str


def write(rows: Iterable[Row], prefix: str, openmetrics: bool) -> bytes:
    """
    Return every metric that has a value; of two with the same name, the first.

    :param prefix: stands before each name. :param openmetrics: whether it is OpenMetrics.
    """
    written: list[str] = []
    seen: set[str] = set()
    for name, kind, text, values in rows:
        if name in seen:
            continue
        begun = len(written)
        head = _head(prefix + name, kind, text, openmetrics)
        told: set[str] = set()
        for labels, value in values:
            if value is None:
                continue
            words = _label_text(tuple(labels.items()), 0) if labels else ""
            number = 1
            while words in told:
                # Prometheus refuses a whole page that has the same labels twice. Sources never give two
                # things one name, so this only limits the harm of a mistake.
                number += 1
                words = _label_text(tuple(labels.items()), number)
            told.add(words)
            written.append(f"{head.sample}{words} {_number(value)}\n")
        if len(written) > begun:
            seen.add(name)
            written.insert(begun, head.text)
    if openmetrics:
        written.append("# EOF\n")
    return "".join(written).encode()


@lru_cache(maxsize=_MAX_HEADS)
def _head(name: str, kind: str, text: str, openmetrics: bool) -> _Head:
    """Return the lines about one metric."""
    help_text = valid(text).replace("\\", "\\\\")
    family = sample = name.removesuffix("_total") if kind == "counter" else name
    if kind == "counter":
        sample = f"{family}_total"
    if not openmetrics:
        plain = "untyped" if kind == "unknown" else kind
        return _Head(f"# HELP {sample} {help_text}\n# TYPE {sample} {plain}\n", sample)
    help_text = help_text.replace('"', '\\"')
    unit = family.rpartition("_")[2]
    unit_line = f"# UNIT {family} {unit}\n" if unit in UNITS else ""
    return _Head(f"# HELP {family} {help_text}\n# TYPE {family} {kind}\n{unit_line}", sample)


@lru_cache(maxsize=_MAX_LABELS)
def _label_text(labels: tuple[tuple[str, str], ...], number: int) -> str:
    """Return labels in braces. :param number: unless 0 it follows the first value, to make it unlike."""
    if not labels:
        return f'{{number="{number}"}}'
    words = [(name, valid(value)) for name, value in labels]
    if number:
        words[0] = (words[0][0], f"{words[0][1]}#{number}")
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(words)) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _number(value: int | float) -> str:
    value = float(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def valid(text: str) -> str:
    """Return ``text`` with escapes: the name of an interface or of a file may have any bytes."""
    return printable(text).replace("\t", "\\x09")
