"""`gom report`: one file that needs nothing else, and is its maker's alone."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gom.command import main
from gom.report.charts import chart, with_gaps
from gom.report.command import report, write_private
from gom.report.facts import Facts, NodeFacts, downtimes
from gom.report.page import page
from libgomd.errors import MalformedRequest
from libgomd.model import Event, EventKind, HistoryRow, Node, Status
from tests.unit.history.contract import process

Captured = pytest.CaptureFixture[str]
START = 1_700_000_000.0
UP = Node(3, "gamma", "10.0.0.3", Status.CONFIGURED | Status.UP)


def row(field: str, at: float, value: float, by: int = 3) -> HistoryRow:
    """Return a row of node 3."""
    return HistoryRow(START + at, field, value, value, value + 1, 3, by)


def event(kind: EventKind, at: float, node: int = 3, reason: str = "so") -> Event:
    """Return an event."""
    return Event(START + at, kind, node, "gamma", reason, 1)


FACTS = Facts(
    START, START + 3600,
    [
        NodeFacts(
            UP,
            {"load": [row("load", at, at, 1) for at in (0, 60, 120, 900)], "mem": [row("mem", 0, 1 << 30)]},
            START + 900, [process(11, 99.0, "<b>spin</b> & more", user="alice")], "",
        ),
        NodeFacts(Node(4, "delta", "10.0.0.4", Status.CONFIGURED), {}, None, (), "node 4 does not answer"),
    ],
    [event(EventKind.DOWN, 100), event(EventKind.UP, 200), event(EventKind.MIGRATED, 300, reason="<i>")],
)  # fmt: skip


def test_the_page_needs_nothing_else() -> None:
    """No script, no file from elsewhere, every chart inside; what people named is only text."""
    found = page(FACTS)
    assert "<script" not in found
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//", found)
    assert "default-src 'none'" in found
    assert found.count("<svg") == 2
    assert "&lt;b&gt;spin&lt;/b&gt; &amp; more" in found
    assert "<b>spin" not in found
    assert "<i>" not in found


def test_what_is_not_known_is_said() -> None:
    """No zeros for a node of which nothing is known; whose memory the rest is."""
    found = page(FACTS)
    assert "Nothing is known of this time." in found
    assert "node 4 does not answer" in found
    assert "As node 1 remembers it." in found
    assert "2023-11-14 22:15:00" in found  # down from


def test_downtimes() -> None:
    """From down to up; one that has not ended is open, and repeated news change nothing."""
    assert downtimes(FACTS, 3) == [(START + 100, START + 200)]
    news = [event(EventKind.UP, 1), event(EventKind.DOWN, 2), event(EventKind.DOWN, 3)]
    news.append(event(EventKind.DOWN, 4, node=5))
    assert downtimes(Facts(START, START + 9, [], news), 3) == [(START + 2, None)]


def test_checkpoints_are_marks() -> None:
    """Each is named with its moment, and an upright line in the charts of its node."""
    marked = replace(FACTS, events=[*FACTS.events, event(EventKind.CHECKPOINT, 120, reason="before<upgrade")])
    found = page(marked)
    assert "Checkpoints: 2023-11-14 22:15:20 before&lt;upgrade" in found
    assert found.count("stroke-dasharray") > page(FACTS).count("stroke-dasharray")
    assert "Checkpoints:" not in page(FACTS)


def test_a_gap_in_a_line() -> None:
    """Is not bridged."""
    line = [(0.0, 1.0), (60.0, 2.0), (600.0, 3.0)]
    assert with_gaps(line) == [(0.0, 1.0), (60.0, 2.0), (120.0, None), (600.0, 3.0)]
    assert with_gaps(line[:1]) == line[:1]


def test_a_chart_is_one_tree() -> None:
    """Whatever the title is; also of one point, and of equal ones."""
    for points in ([(START, 5.0)], [(START, 5.0), (START + 60, 5.0)]):
        drawn = chart("a <title> & more", {"load": points}, START, START + 3600, str)
        assert ElementTree.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize(
    "words", [("--from", "1h"), ("--since",), ("-o",), ("--since", "1h", "--since", "2h")]
)
def test_wrong_options(words: tuple[str, ...], capsys: Captured) -> None:
    """They are one sentence, and nothing is asked."""
    assert main(["report", *words]) == 2
    assert capsys.readouterr().err.startswith("gom: ")


def test_the_time_has_a_beginning_before_its_end() -> None:
    """Before anything is asked."""
    with pytest.raises(MalformedRequest, match="before"):
        report("", "", ("--since", "1h", "--until", "2h"), lambda: START)


def test_only_its_maker_may_read_it(tmp_path: Path) -> None:
    """Whatever the umask is, and a file that was open to others is closed."""
    path = tmp_path / "report.html"
    path.write_text("longer than what follows")
    path.chmod(0o644)
    write_private(str(path), b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    os.symlink(path, tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"):
        write_private(str(tmp_path / "link"), b"x")


def test_a_file_that_was_there_is_not_written_into(tmp_path: Path) -> None:
    """Another user's would stay theirs, and who has it open would read it; a device stays as it is."""
    path = tmp_path / "report.html"
    path.write_text("somebody's")
    with path.open() as before:
        write_private(str(path), b"secret")
        assert before.read() == "somebody's"
    assert path.stat().st_uid == os.geteuid()
    os.mkfifo(tmp_path / "fifo")
    mode = (tmp_path / "fifo").stat().st_mode
    with pytest.raises(OSError, match="no plain file"):
        write_private(str(tmp_path / "fifo"), b"secret")
    assert (tmp_path / "fifo").stat().st_mode == mode
