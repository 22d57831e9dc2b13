"""The rows of all nodes in one order, from the lines that a daemon sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.monitor.spans import text_of
from gom.monitor.table import KEY_FIELDS, MergedTable, NodeRows, fields, read_round
from gom.monitor.top_columns import columns_for
from gom.monitor.top_columns import row as columns_row
from libgomd.errors import GomdError
from tests.unit.gom.monitor.cluster import a_process, a_table, round_of, row

BUSY = a_process(
    11, 1, cpu_percent=90.0, rss=10, cpu_seconds=3.0, start_time=5.0, read_rate=1.0, write_rate=4.0
)
IDLE = a_process(
    12, 2, cpu_percent=0.5, rss=30, cpu_seconds=9.0, start_time=7.0, read_rate=None, write_rate=None
)
NEW = a_process(
    10, 2, cpu_percent=None, rss=None, cpu_seconds=0.0, start_time=9.0, read_rate=0.0, write_rate=7.0
)


@pytest.mark.parametrize(
    ("sort", "pids"),
    [("cpu", [11, 12, 10]), ("rss", [12, 11, 10]), ("time", [12, 11, 10]), ("io", [10, 11, 12]),
     ("pid", [10, 11, 12]), ("start", [10, 12, 11])],
)  # fmt: skip
def test_the_order_is_that_of_the_nodes(sort: str, pids: list[int]) -> None:
    """The largest first; what is not known comes last."""
    table = a_table([BUSY, IDLE, NEW], sort)
    assert [process.pid for process in table.processes()] == pids
    assert len(table) == 3
    assert table.place("1-11-9") == pids.index(11)
    assert table.find("1-11-9") == BUSY
    assert table.find("1-99-9") is None


def test_equals_stay_where_they_are() -> None:
    """Idle processes do not dance: the nodes' own order decides, lower ids first."""
    table = a_table([a_process(pid, node, cpu_percent=0.0) for node in (1, 2) for pid in (3, 1, 2)])
    shown = [(each.node, each.pid) for each in table.processes()]
    assert shown == [(1, 3), (1, 1), (1, 2), (2, 3), (2, 1), (2, 2)]


def test_a_process_that_has_moved_is_one_row() -> None:
    """Its home tells of it too; the node that it runs on knows more, whichever comes first."""
    moved = a_process(7, 2, home=1, cpu_percent=50.0)
    at_home = row(moved._replace(state="?"), sender=1)
    there = row(moved)
    table = MergedTable("cpu", read_round(round_of([at_home, there]), "cpu", 0.0, {}), 0.0)
    assert table.processes() == [moved]
    moved = a_process(7, 1, home=2, cpu_percent=50.0)
    lines = round_of([row(moved), row(moved._replace(state="?"), sender=2)])
    assert MergedTable("cpu", read_round(lines, "cpu", 0.0, {}), 0.0).processes() == [moved]


def test_a_silent_node_keeps_its_rows() -> None:
    """With their age, whether the daemon kept them or, after the daemon was started anew, this program."""
    first = read_round(round_of([row(BUSY, matched=40), row(IDLE)]), "cpu", 10.0, {})
    assert (first[1].matched, first[1].age, first[1].age_at(12.0)) == (40, 0.0, 2.0)
    aged = read_round(round_of([row(BUSY)], age=7.5), "cpu", 20.0, first)
    assert (aged[1].age_at(20.5), sorted(aged)) == (8.0, [1])
    silent = read_round(
        round_of([{"from": 1, "code": 502, "error": "node 1 is down"}, row(IDLE)]), "cpu", 30.0, first
    )
    assert silent[1] == first[1]._replace(error="node 1 is down")
    assert silent[1].age_at(30.0) == 20.0
    never = read_round(round_of([{"from": 3, "code": 504, "error": "not yet"}]), "cpu", 30.0, first)
    assert never == {3: NodeRows(3, (), 30.0, error="not yet")}
    assert read_round(round_of([{"from": 1, "left": True}]), "cpu", 30.0, first) == {}
    assert read_round([], "cpu", 30.0, first) == {}


def test_every_key_is_asked_for_first() -> None:
    """A row begins with what it is ordered by, then its identity."""
    for sort, key in KEY_FIELDS.items():
        asked = fields(sort)
        assert asked[: len(key) + 1] == (*key, "identity")
        assert len(set(asked)) == len(asked)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_lines_give_rows_or_an_error(lines: list[bytes]) -> None:
    """Nothing else is raised, also when the rows are shown."""
    try:
        table = MergedTable("cpu", read_round(lines, "cpu", 0.0, {}), 0.0)
        assert len(table.processes()) <= len(table)
    except GomdError:
        pass


ANYTHING = st.none() | st.integers() | st.text() | st.floats() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(fields("cpu")), ANYTHING))
def test_any_values_give_a_process_or_none(values: dict[str, object]) -> None:
    """A node of a later version, or a lying one, cannot end the screen."""
    [line] = round_of([row(BUSY) | values])
    for process in MergedTable("cpu", read_round([line], "cpu", 0.0, {}), 0.0).processes():
        assert isinstance(process.pid, int)
        text_of(columns_row(process, columns_for(200), 200))
        text_of(columns_row(process, columns_for(20), 20))
