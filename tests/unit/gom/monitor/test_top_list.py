"""The rows of the window: the cursor keeps its process, and rows do not move under a dialog."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gom.monitor.rows import ProcessRow
from gom.monitor.table import MergedTable
from gom.monitor.top_list import MAX_BRANCH, ProcessList, branches
from tests.unit.gom.monitor.cluster import a_process, a_table


def table_of(*pids: int) -> MergedTable:
    """Return a table in the order of the numbers given."""
    return a_table([a_process(pid, cpu_percent=100.0 - at) for at, pid in enumerate(pids)])


def a_list(*pids: int, height: int = 4) -> ProcessList:
    """Return a list that shows these processes."""
    found = ProcessList()
    found.update(table_of(*pids))
    found.rows(height)
    return found


def shown(found: ProcessList, height: int = 4) -> list[int]:
    """Return the numbers in the window."""
    return [int(each.identity.split("-")[1]) for each in found.rows(height)]


def test_the_cursor_on_the_first_line_follows_the_order() -> None:
    """As long as nobody has moved it."""
    found = a_list(1, 2, 3)
    assert found.selected() == "1-1-9"
    assert found.update(table_of(3, 1, 2)) == ""
    assert found.selected() == "1-3-9"


def test_the_cursor_keeps_its_process_and_its_line() -> None:
    """The window moves instead."""
    found = a_list(*range(1, 21))
    found.go(9)
    assert (found.selected(), shown(found)) == ("1-10-9", [7, 8, 9, 10])
    order = [10, *range(1, 10), *range(11, 21)]
    found.update(table_of(*order))
    assert (found.selected(), shown(found)) == ("1-10-9", [10, 1, 2, 3])
    order = [*range(1, 10), *range(11, 16), 10, *range(16, 21)]
    found.update(table_of(*order))
    assert (found.selected(), found.cursor - found.top) == ("1-10-9", 0)


def test_a_process_that_ends_under_the_cursor_is_said() -> None:
    """The cursor stays on its line, and whoever looks is told."""
    found = a_list(1, 2, 3)
    found.go(1)
    assert found.update(table_of(1, 3)) == "1-2-9"
    assert found.selected() == "1-3-9"
    assert found.update(None) == ""
    assert found.selected() is None
    assert found.rows(3) == []


def test_rows_do_not_move_while_the_order_is_held() -> None:
    """Values change, new processes wait, and one that has ended leaves its line."""
    found = a_list(1, 2, 3)
    found.go(1)
    found.hold()
    found.update(table_of(4, 3, 2))
    assert shown(found) == [1, 2, 3]
    rows = found.rows(4)
    assert [row.process is None for row in rows] == [True, False, False]
    assert rows[1].process is not None
    assert (found.selected(), rows[1].process.cpu_percent) == ("1-2-9", 98.0)
    found.release()
    assert (shown(found), found.selected()) == ([4, 3, 2], "1-2-9")


def test_marks_are_of_processes() -> None:
    """They stay when rows move, and go with their process."""
    found = a_list(1, 2, 3)
    found.toggle_mark()
    found.toggle_mark()
    assert found.chosen() == ["1-1-9", "1-2-9"]
    found.update(table_of(3, 2))
    assert found.chosen() == ["1-2-9"]


def test_a_local_filter() -> None:
    """Until the nodes have answered with it."""
    found = a_list(1, 12, 3, 21)
    found.match = "prog1"
    found.arrange()
    assert shown(found) == [1, 12]


@given(
    st.lists(
        st.tuples(st.sampled_from(["move", "page", "go", "scroll", "rows", "mark"]), st.integers(-30, 30))
    )
)
def test_the_cursor_is_always_in_the_window(steps: list[tuple[str, int]]) -> None:
    """Whatever is pressed."""
    found = a_list(*range(1, 13))
    for name, number in steps:
        if name == "rows":
            found.rows(abs(number) % 15)
        elif name == "mark":
            found.toggle_mark()
        else:
            getattr(found, name)(number)
        rows = found.rows(5)
        assert 0 <= found.top <= found.cursor < found.top + len(rows) <= 12
        assert rows[found.cursor - found.top].identity == found.selected()


def test_a_tree() -> None:
    """Children stand below their parents, in the order of the list; a circle does no harm."""
    processes = [
        a_process(9, ppid=2), a_process(2, ppid=1), a_process(3, ppid=1), a_process(1, ppid=0),
        a_process(7, ppid=99), a_process(5, ppid=6), a_process(6, ppid=5), a_process(2, 2, ppid=1),
    ]  # fmt: skip
    tree = [(int(each.split("-")[1]), branch) for each, branch in branches(processes).items()]
    assert tree == [(1, ""), (2, "├─"), (9, "│ └─"), (3, "└─"), (7, ""), (2, ""), (5, ""), (6, "└─")]


def test_a_deep_tree() -> None:
    """A thousand generations are shown, and not in a thousand columns."""
    chain: list[ProcessRow] = [a_process(pid, ppid=pid - 1) for pid in range(1, 1001)]
    assert max(map(len, branches(chain).values())) <= MAX_BRANCH + 2
