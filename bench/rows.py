"""The results of benchmarks as rows, for the table on the screen and for bench/results.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]
_WORDS = {True: "yes", False: "NO", None: "-"}
_WIDTHS = (38, 12, 8, 26, 12, 8)


def row(
    name: str,
    value: float,
    unit: str,
    versus: str,
    versus_value: float,
    goal: float,
    *,
    at_least: bool = False,
) -> Row:
    """
    Return one result: ``value`` next to ``versus_value``, both measured in this run, or a fixed limit.

    :param goal: what the ratio of the two has to be: at most this, or ``at_least``.
    """
    ratio = value / versus_value
    return {
        "name": name,
        "value": _rounded(value),
        "unit": unit,
        "versus": versus,
        "versus_value": _rounded(versus_value),
        "ratio": round(ratio, 3),
        "goal": goal,
        "ok": ratio >= goal if at_least else ratio <= goal,
    }


def aim(name: str, value: float, unit: str, versus: str, versus_value: float, goal: float) -> Row:
    """Return a result whose goal is only an aim: missing it is not a failure."""
    one = row(name, value, unit, versus, versus_value, goal)
    return {**one, "ok": one["ok"] or None}


def limit(name: str, value: float, unit: str, most: float) -> Row:
    """Return a result that is compared with a fixed limit."""
    return row(name, value, unit, "the limit", most, 1.0)


def unmeasured(name: str, value: float, unit: str, versus: str, goal: float) -> Row:
    """Return a result without a verdict, because there was nothing to compare it with; ``versus`` says so."""
    return {
        "name": name, "value": _rounded(value), "unit": unit, "versus": versus, "versus_value": None,
        "ratio": None, "goal": goal, "ok": None,
    }  # fmt: skip


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield _line("MEASURED", "VALUE", "UNIT", "NEXT TO", "ITS VALUE", "RATIO") + " GOAL   OK"
    for one in rows:
        cells = (one["name"], one["value"], one["unit"], one["versus"], one["versus_value"], one["ratio"])
        missed = one["ok"] is None and one["ratio"] is not None
        yield f"{_line(*cells)} {one['goal']:<6g} {'not yet' if missed else _WORDS[one['ok']]}"


def _line(name: str, value: Any, unit: str, versus: str, versus_value: Any, ratio: Any) -> str:
    widths = iter(_WIDTHS)
    return " ".join(
        f"{cell:<{width}}" if isinstance(cell, str) and cell not in ("VALUE", "ITS VALUE", "RATIO")
        else f"{cell:>{width}}"
        for cell, width in zip(
            ("-" if cell is None else cell for cell in (name, value, unit, versus, versus_value, ratio)),
            widths,
            strict=True,
        )
    )  # fmt: skip
