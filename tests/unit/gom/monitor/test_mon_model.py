"""What `gom mon` works out from nodes and events."""

from __future__ import annotations

from typing import Any

import pytest

from gom.monitor.mon_model import State, balance_of, busy_of, presentable, state_of, totals_of, words_of
from gom.monitor.mon_moves import Move, moves_of, recent
from gom.monitor.rows import EventRow
from tests.unit.gom.monitor.clusters import DOWN, GIB, cluster, node

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("values", "state", "words"),
    [
        ({}, State.NORMAL, "up"),
        ({"status": DOWN}, State.DEAD, "down"),
        ({"status": 0}, State.DEAD, "down"),
        ({"age": 16.0}, State.OLD, "up"),
        ({"age": None}, State.NORMAL, "up"),
        ({"status": 19}, State.BLOCK, "up,block"),
        ({"status": 7}, State.STAY, "up,stay"),
        ({"status": 11}, State.LSTAY, "up,lstay"),
        ({"status": 35}, State.QUIET, "up,quiet"),
        ({"status": 31}, State.BLOCK, "up,stay,lstay,block"),
        ({"status": 19, "age": 99.0}, State.OLD, "up,block"),
    ],
)
def test_the_most_urgent_state_is_the_one_that_is_shown(
    values: dict[str, Any], state: State, words: str
) -> None:
    found = node(1, **values)
    assert (state_of(found), words_of(found)) == (state, words)


def test_every_state_but_the_normal_one_has_a_letter_of_its_own() -> None:
    letters = [state.letter for state in State if state is not State.NORMAL]
    assert len(set(letters)) == len(letters)
    assert all(letter.isalpha() and letter.isupper() for letter in letters)


def test_a_processor_twice_as_fast_is_as_busy_with_half_the_load() -> None:
    assert busy_of(node(1, load=100, speed=15000)) == pytest.approx(1.0)
    assert busy_of(node(1, load=50, speed=30000)) == pytest.approx(1.0)
    assert busy_of(node(1, load=50, speed=30000), standard=30000) == pytest.approx(0.5)
    assert busy_of(node(1, load=None)) is None
    assert busy_of(node(1, speed=0)) is None


def test_the_totals_are_those_of_the_nodes_that_are_up() -> None:
    found = totals_of([node(1, cpus=4, load=100), node(2, load=0), node(3, status=DOWN)])
    assert (found.nodes, found.up, found.cpus) == (3, 2, 5)
    assert found.running == pytest.approx(4.0)
    assert (found.used, found.memory) == (4 * GIB, 16 * GIB)


@pytest.mark.parametrize(
    ("loads", "balance"),
    [
        ([], None),
        ([None], None),
        ([100], 100),
        ([100, 100], 100),
        ([400, 0, 0, 0], 25),
        ([9, 0, 0], 100),
        ([100, 50], 75),
    ],
)
def test_the_balance_is_the_ideal_load_to_the_highest(loads: list[int | None], balance: int | None) -> None:
    assert balance_of([node(at, load=load) for at, load in enumerate(loads, 1)]) == balance


def test_a_faster_node_counts_for_more_in_the_balance() -> None:
    assert balance_of([node(1, load=100, cpus=3), node(2, load=0)]) == 75


def test_names_cannot_steer_the_terminal() -> None:
    [found] = presentable([node(1, name="\x1b[31mred", address="\x07")])
    assert (found.name, found.address) == (r"\x1b[31mred", r"\x07")


def test_nodes_are_ordered_by_id_and_a_nameless_one_is_its_number() -> None:
    found = cluster(node(9, name=""), node(2))
    assert [each.id for each in found.nodes] == [2, 9]
    assert (found.name(9), found.name(2), found.name(5), found.name(0)) == ("9", "node2", "5", "?")


# -- migrations


def _event(reason: str, node: int, by: int, ago: float = 5.0, seconds: float | None = None) -> EventRow:
    return EventRow(NOW - ago, "migrated", node, "", reason, by, seconds)


def test_a_move_from_its_home_is_told_by_the_home_with_its_cost() -> None:
    told = [_event("job 3 of ada moved to node 2: ./simulate 42", 2, 1, seconds=1.2)]
    [found] = moves_of(told, NOW)
    assert found == Move(1, 2, NOW - 5.0, 1, 3, "of ada: ./simulate 42")
    assert found.label == "job 1-3 of ada: ./simulate 42"


def test_what_home_source_and_target_tell_is_one_move() -> None:
    """From node 2 to node 3, at home on node 1; their clocks differ by a second."""
    told = [
        _event("guest 1-3 moved to node 3", 3, 3, 5.0),
        _event("guest 1-3 moved to node 3", 3, 2, 6.0, seconds=0.9),
        _event("job 3 of ada moved to node 3: ./simulate", 3, 1, 5.5),
    ]
    for order in (told, told[::-1]):
        [found] = moves_of(order, NOW)
        assert (found.source, found.target, found.what) == (2, 3, "of ada: ./simulate")


def test_where_it_was_before_is_where_it_comes_from() -> None:
    """The home alone tells that its guest went from node 2 on to node 3, and that it came back."""
    told = [
        _event("job 3 of ada moved to node 2: x", 2, 1, 50.0, seconds=1.0),
        _event("job 3 of ada moved to node 3: x", 3, 1, 30.0),
        _event("job 3 of ada moved to node 1: x", 1, 1, 10.0),
    ]
    assert [(move.source, move.target) for move in moves_of(told, NOW)] == [(3, 1), (2, 3), (1, 2)]


def test_the_source_is_unknown_when_nobody_tells() -> None:
    assert [move.source for move in moves_of([_event("guest 1-3 moved to node 3", 3, 3)], NOW)] == [0]


def test_only_the_last_minute_is_shown_but_the_hour_before_tells_the_source() -> None:
    told = [
        _event("job 3 of ada moved to node 2: x", 2, 1, 600.0, seconds=1.0),
        _event("job 3 of ada moved to node 3: x", 3, 1, 59.0),
    ]
    assert [(move.source, move.target) for move in recent(moves_of(told, NOW), NOW)] == [(2, 3)]


def test_a_job_that_goes_to_and_fro_has_moved_each_time() -> None:
    told = [
        _event("job 3 of ada moved to node 2: x", 2, 1, 9.0, seconds=1.0),
        _event("job 3 of ada moved to node 1: x", 1, 1, 8.0),
        _event("job 3 of ada moved to node 2: x", 2, 1, 7.0, seconds=1.0),
    ]
    assert [(move.source, move.target) for move in moves_of(told, NOW)] == [(1, 2), (2, 1), (1, 2)]


def test_other_events_and_other_words_are_no_moves() -> None:
    told = [
        EventRow(NOW, "started", 1, "", "job 3 of ada moved to node 2: x", 1),
        _event("something else moved", 2, 1),
        _event("", 2, 1),
    ]
    assert moves_of(told, NOW) == ()
