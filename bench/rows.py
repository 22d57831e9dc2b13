"""The results of benchmarks as rows, for the table on the screen and for bench/results.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Row = dict[str, Any]
_WORDS = {True: "yes", False: "NO", None: "-"}
_HEAD = ("MEASURED", "VALUE", "UNIT", "NEXT TO", "ITS VALUE", "RATIO", "SPREAD", "GOAL", "OK")
#: Width of each column; a negative one is aligned to the right.
_WIDTHS = (40, -9, 8, 26, -9, -7, 13, 6, 7)


def row(
    name: str,
    value: float,
    unit: str,
    versus: str,
    versus_value: float,
    goal: float,
    *,
    at_least: bool = False,
    spread: tuple[float, float] | None = None,
) -> Row:
    """
    Return one result: ``value`` next to ``versus_value``, both measured in this run, or a fixed limit.

    :param goal: what the ratio of the two has to be: at most this, or ``at_least``.
    :param spread: the lowest and the highest ratio of the rounds; None when there was one round only.
    """
    ratio = value / versus_value
    return {
        "name": name,
        "value": _rounded(value),
        "unit": unit,
        "versus": versus,
        "versus_value": _rounded(versus_value),
        "ratio": round(ratio, 3),
        "spread": None if spread is None else [round(each, 3) for each in spread],
        "goal": goal,
        "ok": ratio >= goal if at_least else ratio <= goal,
    }


def compared(
    name: str,
    values: Sequence[float],
    unit: str,
    versus: str,
    versus_values: Sequence[float],
    goal: float,
    *,
    at_least: bool = False,
) -> Row:
    """
    Return the result of interleaved rounds: the medians of both, and the spread of the ratios of the rounds.

    :param values: one for each round, and so are ``versus_values``.
    """
    ratios = [ours / theirs for ours, theirs in zip(values, versus_values, strict=True)]
    return row(
        name,
        statistics.median(values),
        unit,
        versus,
        statistics.median(versus_values),
        goal,
        at_least=at_least,
        spread=(min(ratios), max(ratios)),
    )


def stated(name: str, values: Sequence[float], unit: str, versus: str, versus_values: Sequence[float]) -> Row:
    """Return the result of interleaved rounds that has no goal: it is stated."""
    return {**compared(name, values, unit, versus, versus_values, 1.0), "goal": None, "ok": None}


def aim(name: str, value: float, unit: str, versus: str, versus_value: float, goal: float) -> Row:
    """Return a result whose goal is only an aim: missing it is not a failure."""
    one = row(name, value, unit, versus, versus_value, goal)
    return {**one, "ok": one["ok"] or None}


def limit(name: str, value: float, unit: str, most: float) -> Row:
    """Return a result that is compared with a fixed limit."""
    return row(name, value, unit, "the limit", most, 1.0)


def unmeasured(name: str, value: float | None, unit: str, versus: str, goal: float | None) -> Row:
    """Return a result without a verdict, because there was nothing to compare it with; ``versus`` says so."""
    return {
        "name": name, "value": None if value is None else _rounded(value), "unit": unit, "versus": versus,
        "versus_value": None, "ratio": None, "spread": None, "goal": goal, "ok": None,
    }  # fmt: skip


def failed(name: str, why: str) -> Row:
    """Return the row of a benchmark that could not be carried through; ``why`` is one sentence."""
    return {**unmeasured(f"{name}: not carried through", None, "", why, None), "ok": False}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield _line(_HEAD)
    for one in rows:
        missed = one["ok"] is None and one["ratio"] is not None and one["goal"] is not None
        spread = one.get("spread")
        yield _line((
            one["name"], one["value"], one["unit"], one["versus"], one["versus_value"], one["ratio"],
            None if spread is None else f"{spread[0]:.3g} - {spread[1]:.3g}",
            one["goal"], "not yet" if missed else _WORDS[one["ok"]],
        ))  # fmt: skip


def _line(cells: Sequence[Any]) -> str:
    texts = ("-" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells)
    return " ".join(
        text.ljust(width) if width > 0 else text.rjust(-width)
        for text, width in zip(texts, _WIDTHS, strict=True)
    ).rstrip()
