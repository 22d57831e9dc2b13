"""Metrics as text, read by the parsers of prometheus_client."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as some
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gomd.web.exposition import Row, write


def read(*rows: Row) -> list[tuple[str, dict[str, str], float]]:
    """Return the samples that a reader finds; both formats say the same."""
    new = [
        each[:3] for family in parse_openmetrics(write(rows, "g_", True).decode()) for each in family.samples
    ]
    old = [each[:3] for family in parse_text(write(rows, "g_", False).decode()) for each in family.samples]
    assert [repr(each) for each in new] == [repr(each) for each in old]
    return new


def test_numbers_that_are_none() -> None:
    """Infinity and what is not a number have names of their own."""
    [low, high, odd] = read(
        ("low", "gauge", "", [({}, -math.inf)]), ("high", "gauge", "", [({}, math.inf)]),
        ("odd", "gauge", "", [({}, math.nan)]),
    )  # fmt: skip
    assert (low[2], high[2]) == (-math.inf, math.inf)
    assert math.isnan(odd[2])


def test_two_things_of_one_name_do_not_spoil_the_page() -> None:
    """Prometheus refuses a page with the same labels twice, so the second ones get a number."""
    found = read(("disk", "gauge", "", [({"name": "a"}, 1), ({"name": "a"}, 2), ({"name": "b"}, None)]))
    assert found == [("g_disk", {"name": "a"}, 1.0), ("g_disk", {"name": "a#2"}, 2.0)]
    assert len({tuple(each[1]) for each in read(("x", "gauge", "", [({}, 1), ({}, 2)]))}) == 2


def test_of_two_metrics_with_one_name_the_first_counts() -> None:
    """Unless it has no value."""
    rows: list[Row] = [
        ("a", "gauge", "", [({}, None)]),
        ("a", "counter", "", [({}, 1)]),
        ("a", "gauge", "", [({}, 2)]),
    ]
    assert read(*rows) == [("g_a_total", {}, 1.0)]


def test_a_counter_may_have_its_ending_already() -> None:
    """It is not set twice, and the unit is that before it."""
    text = write([("read_bytes_total", "counter", "read", [({}, 1)])], "g_", True).decode()
    assert "# TYPE g_read_bytes counter\n# UNIT g_read_bytes bytes\ng_read_bytes_total 1.0\n" in text


@given(
    some.dictionaries(some.sampled_from(["a", "b", "c"]), some.text(), min_size=1), some.text(), some.floats()
)
def test_any_text_and_any_number_can_be_read(labels: dict[str, str], meaning: str, number: float) -> None:
    """However odd it is, it is one sample."""
    [(name, found, value)] = read(("x", "unknown", meaning, [(labels, number)]))
    assert (name, set(found)) == ("g_x", set(labels))
    assert value == number or math.isnan(number)
