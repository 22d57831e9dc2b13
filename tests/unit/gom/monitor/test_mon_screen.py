"""The pictures of `gom mon`: bars, the heat map, migrations, and screens of all sizes."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gom.monitor.heat_map import cells_of
from gom.monitor.mon_bars import columns_of
from gom.monitor.mon_model import ClusterView
from gom.monitor.mon_moves import Move
from gom.monitor.mon_screen import draw, is_map, picture
from gom.monitor.mon_values import at_height, height_of, round_up, short, size
from gom.monitor.mon_view import Metric, MonLayout, Numbering, View
from gom.monitor.spans import Style, line_width, text_of
from tests.unit.gom.monitor.clusters import DOWN, GIB, cluster, node

NOW = 1_000_000.0
PLAIN = View()
MOVE = Move(1, 3, NOW - 12.0, 1, 7, "of ada: ./simulate")


def many(count: int, **values: object) -> ClusterView:
    return cluster(*(node(number, name=f"node{number:04}", **values) for number in range(1, count + 1)))


def screen(found: ClusterView, view: View = PLAIN, cells: int = 80, rows: int = 24) -> list[str]:
    return [text_of(line).rstrip() for line in draw(found, view, NOW, cells, rows).lines]


def whole(found: ClusterView, view: View = PLAIN, cells: int = 80) -> str:
    return "\n".join(text_of(line).rstrip() for line in picture(found, view, NOW, cells))


def column_of(lines: list[str], x: int) -> str:
    return "".join(line[x] if x < len(line) else " " for line in lines)


# -- bars


def test_a_bar_is_as_high_as_its_load_on_a_round_axis() -> None:
    lines = screen(cluster(node(1, load=100), node(2, load=50), node(3, load=0)), rows=26)
    bars = [line for line in lines if line[5:6] in ("│", "┤")]
    places = [at for at, cell in enumerate(bars[-1]) if cell == "█"]
    full, half = column_of(bars, places[0]), column_of(bars, places[-1])
    assert (full.count("█"), half.strip("█▄ ")) == (len(bars), "")
    assert half.count("█") == len(bars) // 2
    assert bars[0].startswith("    1┤")


def test_below_a_bar_are_its_value_its_id_and_its_name() -> None:
    told = whole(cluster(node(1, load=123, name="alpha"), node(2, load=7, name="beta")))
    values, ids, names = told.splitlines()[-3:]
    assert values.split() == ["1.23", "0.07"]
    assert ids.split() == ["1", "2"]
    assert names.split() == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (Metric.LOAD, ["0.50", "-"]),
        (Metric.SPEED, ["31.0kx4", "-"]),
        (Metric.MEMORY, ["2.0G", "-"]),
        (Metric.RAW_MEMORY, ["6.0G", "-"]),
        (Metric.UTIL, ["390%", "-"]),
    ],
)
def test_each_metric_has_its_value_and_none_is_made_up(metric: Metric, values: list[str]) -> None:
    quiet = {"load": None, "speed": None, "mem": None, "rmem": None, "tmem": None, "util": None}
    found = cluster(node(1, speed=31000, cpus=4, util=390), node(2, **quiet))
    lines = whole(found, View(metric=metric)).splitlines()
    assert lines[-3].split() == values
    assert "?" in lines[-4]


def test_free_memory_is_plus_signs_up_to_the_total() -> None:
    lines = screen(cluster(node(1, mem=4 * GIB, tmem=8 * GIB)), View(metric=Metric.MEMORY), rows=26)
    column = column_of([line for line in lines if line[5:6] in ("│", "┤")], 8).strip()
    assert set(column) <= set("+█▁▂▃▄▅▆▇")
    assert abs(column.count("+") - column.count("█")) <= 1


def test_a_dead_node_says_so_in_place_of_its_bar() -> None:
    lines = screen(cluster(node(1), node(2, status=DOWN)))
    bars = [line for line in lines if line[5:6] in ("│", "┤")]
    assert any(column_of(bars, x).endswith("DEAD") for x in range(80))
    assert "1 of 2 up" in lines[0]
    told = whole(cluster(node(1), node(2, status=DOWN, name="beta")))
    assert told.endswith("D down: beta")


def test_dead_nodes_are_left_out_on_request() -> None:
    told = whole(cluster(node(1), node(2, status=DOWN, name="beta")), View(dead=False))
    assert "beta" not in told
    assert "1 of 2 up" in told


def test_blocked_and_old_nodes_have_their_letter() -> None:
    told = whole(cluster(node(1, status=19, name="shut"), node(2, age=30.0, name="late")))
    assert told.splitlines()[-5].split() == ["B", "0.50", "O", "0.50"]
    assert "O old values: late\nB refuses guests: shut" in told


def test_numbers_go_vertical_when_they_do_not_fit_side_by_side() -> None:
    assert columns_of(many(10).nodes, Numbering.AUTO, 80).wide
    narrow = columns_of(many(30).nodes, Numbering.AUTO, 80)
    assert (narrow.wide, narrow.cell) == (False, 2)
    assert columns_of(many(70).nodes, Numbering.AUTO, 80).cell == 1
    lines = screen(many(30))
    assert lines[-3].split() == list("123456789" + "0123456789" * 2 + "0")
    assert columns_of(many(30).nodes, Numbering.WIDE, 80).wide
    assert columns_of(many(3).nodes, Numbering.TIGHT, 80).cell == 1


# -- the map


def test_the_map_comes_when_the_bars_do_not_fit() -> None:
    assert not is_map(many(73).nodes, View(), 80)
    assert is_map(many(74).nodes, View(), 80)
    assert not is_map(many(74).nodes, View(layout=MonLayout.BARS), 80)
    assert is_map(many(2).nodes, View(layout=MonLayout.MAP), 80)


def test_the_map_says_the_names_when_there_is_room() -> None:
    told = whole(many(100, load=73))
    assert all(f"node{number:04} 7" in told for number in range(1, 101))


def test_a_full_screen_drops_what_all_names_begin_with() -> None:
    lines = screen(many(200, load=20))
    assert "0200 2" in "\n".join(lines)
    assert "node..." in lines[-2]


def test_a_thousand_nodes_fit_on_the_smallest_screen() -> None:
    found = many(1000, load=100)
    lines = screen(replace(found, nodes=(*found.nodes[:-1], node(1000, status=DOWN))))
    cells = "".join(line[6:] for line in lines[2:-2])
    assert (cells.count("9"), cells.count("D")) == (999, 1)


def test_a_thousand_names_are_in_a_picture() -> None:
    told = whole(many(1000), cells=120)
    assert all(f"node{number:04}" in told for number in range(1, 1001))
    assert max(map(len, told.splitlines())) <= 120


def test_the_mark_of_a_cell_tells_what_its_colour_does() -> None:
    found = cluster(
        node(1, load=0), node(2, load=99), node(3, load=105), node(4, status=DOWN), node(5, status=19),
        node(6, load=None),
    )  # fmt: skip
    told = whole(found, View(layout=MonLayout.MAP)).splitlines()[2].split()
    assert told[1::2] == ["0", "9", "+", "D", "B", "?"]


def test_cells_hold_wide_names_and_names_that_differ_in_nothing_but_their_ends() -> None:
    wide = cluster(*(node(number, name=f"北京{number}") for number in range(1, 60)))
    for line in picture(wide, View(layout=MonLayout.MAP), NOW, 40):
        assert line_width(line) <= 40
    ends = cells_of(many(190).nodes, 80, 18)
    assert (ends.prefix, ends.names[0]) == ("node", "0001")


# -- migrations


def test_a_migration_is_a_line_from_bar_to_bar() -> None:
    lines = screen(replace(cluster(node(1), node(2), node(3)), moves=(MOVE,)))
    [arc] = [line for line in lines if "╰" in line]
    ids = lines[lines.index(arc) - 2]
    assert abs(arc.index("╰") - ids.index("1")) <= 1
    assert abs(arc.index("▶") - ids.index("3")) <= 1
    assert "▶  node1 -> node3  12 s ago  job 1-7 of ada: ./s" in arc


def test_a_migration_to_the_left_points_to_the_left() -> None:
    lines = screen(replace(cluster(node(1), node(2), node(3)), moves=(replace(MOVE, source=3, target=1),)))
    assert any("◀" in line and line.index("◀") < line.index("╯") for line in lines)


def test_a_migration_is_told_in_words_where_there_are_no_bars() -> None:
    found = replace(cluster(node(1), node(2), node(3)), moves=(MOVE, replace(MOVE, source=0)))
    told = whole(found, View(layout=MonLayout.MAP))
    assert "migrations of the last minute: 2" in told
    assert "node1 -> node3  12 s ago  job 1-7 of ada: ./simulate\n? -> node3" in told


def test_a_command_cannot_steer_the_terminal() -> None:
    evil = replace(MOVE, what="of ada: \x1b[2J")
    assert "\x1b" not in whole(replace(cluster(node(1), node(3)), moves=(evil,)))


# -- screens


def test_trouble_is_said_with_the_age_of_what_is_shown() -> None:
    lines = screen(replace(cluster(node(1)), trouble="the daemon closed the connection", trouble_age=7.4))
    assert lines[1] == "the daemon closed the connection (this is 7 s old)"


def test_a_small_screen_says_the_trouble_too() -> None:
    lines = screen(replace(cluster(node(1)), trouble="no daemon", trouble_age=1.0), cells=20, rows=5)
    assert lines[0] == "no daemon"


def test_nothing_is_shown_of_an_empty_cluster() -> None:
    assert "there are no nodes to show" in whole(ClusterView())
    assert "nothing is known yet" in "\n".join(screen(ClusterView(trouble="no daemon")))


def test_the_selected_node_is_spelled_out() -> None:
    lines = screen(cluster(node(1, name="alpha", cpus=4, util=390)), View(selected=1))
    assert lines[-1] == "alpha (node 1) 10.0.0.1  up  load 0.50  speed 15000 x 4  util 390%  memory 2.0G…"


def test_a_click_finds_the_node() -> None:
    for layout in (MonLayout.BARS, MonLayout.MAP):
        drawn = draw(cluster(node(5), node(7), node(9)), View(layout=layout), NOW, 80, 24)
        found = {drawn.node_at(x, y) for x in range(80) for y in range(24)}
        assert found == {0, 5, 7, 9}
        assert drawn.node_at(20, 0) == drawn.node_at(20, 23) == 0


@settings(deadline=None, max_examples=150)
@given(
    cells=st.integers(1, 250),
    rows=st.integers(1, 70),
    count=st.integers(0, 150),
    metric=st.sampled_from(Metric),
    numbering=st.sampled_from(Numbering),
    layout=st.sampled_from(MonLayout),
    first=st.integers(0, 160),
    load=st.none() | st.integers(-5, 10**9),
    name=st.text(max_size=20),
)
def test_a_screen_of_any_size_is_filled_and_never_overfull(
    cells: int, rows: int, count: int, metric: Metric, numbering: Numbering, layout: MonLayout, first: int,
    load: int | None, name: str,
) -> None:  # fmt: skip
    nodes = [
        node(number, load=load, name=f"{name}{number}", status=3 if number % 7 else 1)
        for number in range(1, count + 1)
    ]
    found = replace(cluster(*nodes), moves=(MOVE, replace(MOVE, source=3, target=1)))
    view = View(metric, numbering, layout, first, selected=2)
    drawn = draw(found, view, NOW, cells, rows)
    assert len(drawn.lines) == rows
    assert drawn.page.nodes >= 1
    for line in drawn.lines:
        assert line_width(line) == cells
        assert not any(unicodedata.category(each)[0] == "C" for each in text_of(line))


# -- numbers


@given(st.floats(1e-3, 1e12))
def test_the_axis_ends_above_the_highest_bar(number: float) -> None:
    assert number * (1 - 1e-6) <= round_up(number) <= 2.0 * number


@given(st.sampled_from(Metric), st.floats(0.02, 1.0))
def test_the_axis_says_what_a_height_means(metric: Metric, height: float) -> None:
    assert height_of(metric, at_height(metric, height, 5.0), 5.0) == pytest.approx(height)


@given(st.floats(0, 1e15))
def test_numbers_are_short(number: float) -> None:
    assert len(short(number)) <= 6
    assert len(size(number)) <= 5


def test_colours_say_how_full_and_dead_is_bad() -> None:
    lines = picture(
        cluster(node(1, load=5), node(2, load=200), node(3, status=DOWN)), View(layout=MonLayout.MAP), NOW, 80
    )
    styles = [span.style for span in lines[2] if span.text.strip()]
    assert styles == [Style.LEVEL_1, Style.LEVEL_5, Style.BAD]
