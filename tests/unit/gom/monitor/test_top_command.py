"""The options of `gom top`, its picture as text, and why there may be no live screen."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

from gom.command import main
from gom.monitor import picture
from gom.monitor.extra import NoScreen, check_screen, is_hung_up
from gom.monitor.feed import ClusterState, ProcessQuery, jobs_in, kept
from gom.monitor.figures import bar, percent, rate, short_bytes, short_seconds, sparkline
from gom.monitor.spans import Span, Style, line, text_of, width
from gom.monitor.top import parse
from gom.monitor.top_picture import draw
from gomd.verbs.selection import Selection
from gomd.verbs.selection import parse as parse_selection
from libgomd.errors import MalformedRequest
from tests.unit.gom.monitor.cluster import a_process, a_snapshot, round_of


def test_options() -> None:
    assert parse([]) == (ProcessQuery(), 1.0, False)
    words = ["--once", "-n", "0.5", "--sort=memory", "--user", "ada", "--match", "xz", "--jobs"]
    assert parse(words) == (ProcessQuery(20, "rss", "xz", "ada", True), 0.5, True)
    assert parse(["-n5"]).period == parse(["-n=5"]).period == parse(["-n", "5"]).period == 5.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--sort", "--sort needs a value"), ("--sort shoe", "--sort is one of cpu, rss"),
        ("-n 0", "-n takes 0.1"),
        ("-n nan", "-n takes 0.1"), ("-n 1e9", "-n takes 0.1"), ("--once=yes", "--once takes no value"),
        ("--jobs=", "--jobs takes no value"), ("-nope", "-n takes 0.1"), ("--json", "gom --json @all ps"),
        ("--match a\nb", r"without \\x0a"), ("--user \x1b[2J", r"without \\x1b"),
        ("--match \udcff", "plain text, without"),
        ("--user=", "--user takes 1 to"), ("--match=", "--match takes 1 to"), ("ps", "no option ps"),
    ],
)  # fmt: skip
def test_wrong_options(words: str, said: str) -> None:
    with pytest.raises(MalformedRequest, match=said):
        parse(words.split(" "))


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """And the sentence names the help of the command that was used wrongly."""
    assert main(["top", "--what"]) == 2
    assert capsys.readouterr().err == "gom: gom top has no option --what; see `gom top --help`\n"
    for words, text in (
        (["top", "--sort", "foo"], "see `gom top --help`"), (["mon", "--what"], "see `gom mon --help`"),
        (["run", "--what"], "see `gom run --help`"), (["page", "what"], "see `gom page --help`"),
        (["@3", "migrate", "--what", "1", "2"], "see `gom migrate --help`"), (["--what"], "see `gom --help`"),
        (["-c", "what:", "top"], "see `gom --help`"), (["report", "--what"], "see `gom report --help`"),
    ):  # fmt: skip
        assert main(words) == 2
        said = capsys.readouterr().err
        assert text in said
        assert said.count("--help") == 1
    assert main(["--json", "top"]) == 2
    assert "gom --json @all ps" in capsys.readouterr().err


@pytest.mark.parametrize("sort", ["cpu", "rss", "time", "io", "pid", "start"])
def test_the_nodes_understand_what_is_asked(sort: str) -> None:
    """The words are those of `ps`, whatever a person types."""
    for text in ("xz", "--top 5", "'\"\\ é", "x" * 1000):
        node, verb, *options = ProcessQuery(7, sort, text, text, True, 3).words()
        assert (node, verb) == ("@3", "ps")
        selection = parse_selection(options)
        assert isinstance(selection, Selection)
        assert (selection.top, selection.sort, selection.jobs) == (7, sort, True)
        assert selection.match == text[:256].casefold()
        assert selection.user == text[:256]


def test_jobs_are_counted_once_each() -> None:
    """A node that cannot say is left out; nobody said is not nought."""
    rows: list[dict[str, Any]] = [
        {"from": 1, "value": 2},
        {"from": 2, "code": 404, "error": "no"},
        {"from": 3, "value": 3},
    ]
    assert jobs_in(round_of(rows)) == 5
    assert jobs_in(round_of(rows[1:2])) is None


def test_rows_that_stay() -> None:
    """More rows, or those of one node, do not make the last rows of a silent node worse."""
    snapshot = a_snapshot([a_process(1, 1), a_process(2, 2)])
    assert sorted(kept(snapshot, ProcessQuery(top=40))) == [1, 2]
    assert sorted(kept(snapshot, ProcessQuery(node=2))) == [2]
    for other in (
        ProcessQuery(sort="rss"),
        ProcessQuery(match="x"),
        ProcessQuery(user="ada"),
        ProcessQuery(jobs=True),
    ):
        assert kept(snapshot, other) == {}
    assert kept(ClusterState(0.0), ProcessQuery()) == {}


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_why_there_is_no_screen() -> None:
    """One sentence, which says what to do."""
    terminal, pipe, xterm = Terminal(), io.StringIO(), {"TERM": "xterm"}
    check_screen("top", has_textual=True, streams=(terminal,) * 3, environment=xterm)
    with pytest.raises(NoScreen, match=r"pip install .*\[monitor\].*--once"):
        check_screen("top", has_textual=False, streams=(terminal,) * 3, environment=xterm)
    for streams, environment in (
        ((pipe, terminal, terminal), xterm), ((terminal, pipe, terminal), xterm),
        ((terminal, terminal, pipe), xterm), ((terminal,) * 3, {}), ((terminal,) * 3, {"TERM": "dumb"}),
    ):  # fmt: skip
        with pytest.raises(NoScreen, match=r"terminal.*--once"):
            check_screen("top", has_textual=True, streams=streams, environment=environment)


def test_a_terminal_that_is_gone() -> None:
    """That is seen without a signal, which may be ignored."""
    master, slave = os.openpty()
    try:
        assert not is_hung_up(slave)
        os.write(master, b"q\n")
        assert not is_hung_up(slave)
        os.close(master)
        assert is_hung_up(slave)
    finally:
        os.close(slave)


def test_a_picture_has_colours_on_a_terminal_only() -> None:
    lines = [line("a ", Span("b", Style.BAD), "  ")]
    assert picture.text(lines, False) == "a b\n"
    assert picture.text(lines, True) == "a \x1b[31mb\x1b[0m\n"
    assert picture.wants_colour(Terminal(), {"TERM": "xterm"})
    for environment in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
        assert not picture.wants_colour(Terminal(), environment)
    assert not picture.wants_colour(io.StringIO(), {"TERM": "xterm"})


def test_the_size_of_a_picture() -> None:
    """In a pipe every row is there, and as many columns as the caller says."""
    assert picture.size(io.StringIO(), {}) == (160, 0)
    assert picture.size(io.StringIO(), {"COLUMNS": "70"}) == (70, 0)
    assert picture.size(io.StringIO(), {"COLUMNS": "shoe"}) == (160, 0)


def test_the_picture_once() -> None:
    """It fits a terminal; in a pipe it has every row."""
    many = [a_process(pid, 1 + pid % 2, cpu_percent=float(pid)) for pid in range(50)]
    snapshot = a_snapshot(many, matched=70)
    whole = [text_of(each) for each in draw(snapshot, ProcessQuery(), 120, 0, 1.0, str)]
    assert sum("prog" in text for text in whole) == 50
    assert "25 of 70 on node 1, 25 of 70 on node 2" in whole
    short = draw(snapshot, ProcessQuery(), 120, 20, 1.0, str)
    assert len(short) == 19
    nodes = [a_process(node, node) for node in range(1, 20)]
    assert "19 of 38 on 19 nodes" in [
        text_of(each) for each in draw(a_snapshot(nodes, matched=2), ProcessQuery(), 120, 0, 1.0, str)
    ]


def test_numbers_fit_their_columns() -> None:
    """From nothing to more than any machine has."""
    assert [short_bytes(value) for value in (None, 0, 999, 1000, 1 << 20, 123 << 30)] == [
        "-", "0", "999", "1.0K", "1.0M", "123G",
    ]  # fmt: skip
    assert [percent(value) for value in (None, 0.04, 100.0, 12345.6)] == ["-", "0.0", "100.0", "12346"]
    assert [short_seconds(value) for value in (None, 7.9, 5999, 6000, 86399, 1e6)] == [
        "-", "0:07", "99:59", "1h40", "23h59", "11d13h",
    ]  # fmt: skip
    assert [rate(value) for value in (None, 0.0, 0.4, 2048.0)] == ["-", ".", ".", "2.0K"]
    assert [bar(share, 6) for share in (None, 0.0, 0.5, 2.0)] == ["[    ]", "[    ]", "[||  ]", "[||||]"]
    for exponent in range(60):
        assert width(short_bytes(10.0**exponent)) <= 5 or exponent > 20
        assert width(short_seconds(10.0**exponent)) <= 7 or exponent > 10


def test_a_sparkline() -> None:
    """What is not known is a gap."""
    assert sparkline([0.0, None, 50.0, 100.0], 10, 100.0) == "▁ ▅█"
    assert sparkline([1.0] * 30, 4) == "████"
    assert sparkline([], 5) == ""
