"""The keys of `gom mon`, and its options: mosmon's letters, with the same meaning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gom.monitor.mon import MonOptions, parse
from gom.monitor.mon_help import HELP
from gom.monitor.mon_view import Metric, MonLayout, Numbering, Page, View, press
from libgomd.errors import MalformedRequest

NODES = tuple(range(10, 110, 10))  # ten nodes: 10, 20, ... 100
PLAIN = View()


def after(*keys: str, view: View = PLAIN, page: int = 4, across: int = 1) -> View:
    for key in keys:
        view = press(view, key, NODES, Page(page, across))
    return view


@pytest.mark.parametrize("metric", Metric)
def test_each_metric_has_a_key_and_the_option_of_the_same_letter(metric: Metric) -> None:
    assert after(metric.key) == replace(PLAIN, metric=metric)
    assert parse([f"-{metric.key}"]).view == replace(PLAIN, metric=metric)


@pytest.mark.parametrize("numbering", Numbering)
def test_each_numbering_has_a_key_and_the_option_of_the_same_letter(numbering: Numbering) -> None:
    assert after(numbering.value) == replace(PLAIN, numbering=numbering)
    assert parse([f"-{numbering.value}"]).view == replace(PLAIN, numbering=numbering)


def test_switches_go_on_and_off() -> None:
    assert after("d") == replace(PLAIN, dead=False) == parse(["-d"]).view
    assert after("t") == replace(PLAIN, totals=False) == parse(["-t"]).view
    assert after("y") == replace(PLAIN, yardstick=True) == parse(["-y"]).view
    assert after("d", "t", "y", "d", "t", "y") == PLAIN


def test_x_goes_round_the_layouts() -> None:
    assert [after(*["x"] * times).layout for times in range(4)] == [
        MonLayout.AUTO, MonLayout.BARS, MonLayout.MAP, MonLayout.AUTO,
    ]  # fmt: skip


def test_help_goes_with_any_key() -> None:
    assert after("h").help
    assert after("h", "m") == PLAIN


def test_the_help_tells_every_letter() -> None:
    told = "\n".join(HELP)
    keys = [*(metric.key for metric in Metric), *(each.value for each in Numbering), *"xdtynpq+"]
    assert all(f" {key} " in told for key in keys)
    assert all(len(line) <= 80 for line in HELP)
    assert len(HELP) <= 24


def test_a_screenful_forth_and_back_stops_at_the_ends() -> None:
    assert [after(*["n"] * times).first for times in range(4)] == [0, 4, 6, 6]
    assert after("n", "p", "p").first == 0
    assert after("end").first == 6
    assert after("end", "home").first == 0
    assert after("n", page=40).first == 0


def test_arrows_select_and_keep_the_node_in_sight() -> None:
    assert (after("right").selected, after("right", "right").selected) == (10, 20)
    view = after(*["right"] * 5)
    assert (view.selected, view.first) == (50, 1)
    view = after(*["right"] * 50)
    assert (view.selected, view.first) == (100, 6)
    view = after("n", "right")
    assert (view.selected, view.first) == (50, 4)
    view = after(*["left"] * 9, view=view)
    assert (view.selected, view.first) == (10, 0)
    assert after("escape", view=view).selected == 0


def test_a_selected_node_that_has_gone_is_replaced_by_one_in_sight() -> None:
    assert press(View(selected=55, first=2), "right", NODES, Page(4)).selected == 30


def test_plus_and_a_number_go_to_the_node() -> None:
    view = after("+", "7", "0")
    assert view.number == "70"
    view = after("enter", view=view)
    assert (view.number, view.selected, view.first) == (None, 70, 6)
    assert after("+", "5", "5", "enter").selected == 60
    assert after("+", "9", "9", "9", "enter").selected == 100
    assert after("+", "1", "2", "backspace", "enter").selected == 10
    assert after("+", "1", "q") == PLAIN
    assert after("+", "enter") == PLAIN
    assert after("+", *"1234567").number == "12345"


def test_no_key_fails_without_nodes() -> None:
    for key in (*"lLsmruwvVaxdtynp+h", "left", "right", "home", "end", "enter"):
        press(PLAIN, key, (), Page(1))
    assert press(View(number="3"), "enter", (), Page(1)) == PLAIN


def test_in_the_map_up_and_down_go_by_lines() -> None:
    """Ten nodes, two lines of three on the screen."""
    view = after("right", "down", page=2, across=3)
    assert (view.selected, view.first) == (40, 0)
    view = after("down", "down", "right", page=2, across=3, view=view)
    assert (view.selected, view.first) == (100, 6)
    view = after("up", "up", "up", page=2, across=3, view=view)
    assert (view.selected, view.first) == (10, 0)
    assert after("n", page=2, across=3).first == 6
    assert after("end", page=2, across=3).first == 6
    assert after("+", "5", "0", "enter", page=2, across=3).first == 3


def test_unknown_keys_do_nothing() -> None:
    assert after("z", "f5", "ctrl+x", "é") == PLAIN


def test_options_may_be_joined_and_say_where_to_begin() -> None:
    found = parse(["--once", "-mdV", "-n", "2.5", "+300"])
    view = View(metric=Metric.MEMORY, dead=False, numbering=Numbering.TIGHT)
    assert found == MonOptions(True, 2.5, view, 300)
    assert parse(["-n5"]).period == parse(["-n=5"]).period == 5.0
    assert parse(["-b"]).view.layout is MonLayout.BARS
    assert parse(["-x"]).view.layout is MonLayout.MAP


@pytest.mark.parametrize(
    "words",
    [
        ["-z"], ["--twice"], ["-n"], ["-n", "0"], ["-n", "x"], ["-n", "nan"], ["-n", "1e9"],
        ["3"], ["+"], ["+x"], ["-"], ["--"], ["+1234567"], ["--json"], ["-n=x"],
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_a_sentence(words: list[str]) -> None:
    with pytest.raises(MalformedRequest) as error:
        parse(words)
    assert len(str(error.value).splitlines()) == 1
