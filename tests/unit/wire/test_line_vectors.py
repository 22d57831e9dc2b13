"""tests/data/line: what other programs test their side of the telnet line with."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from libgomd.wire.lines import BlockLine, ReplyParser, StatusLine
from tests.unit.wire.line_vectors import FILE, vectors


def test_the_file_is_what_the_generator_writes() -> None:
    """Nobody changed it by hand, and the line has not changed behind its back."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == vectors()


def test_the_library_reads_them() -> None:
    """Status lines and lines of blocks, with their dots."""
    for vector in vectors():
        parser = ReplyParser()
        events = list(parser.feed(bytes.fromhex(vector["bytes"])))
        said = [(each.code, each.text) for each in events if isinstance(each, StatusLine)]
        assert said == [(reply["code"], reply["text"]) for reply in vector["replies"]], vector["name"]
        lines = [each.text for each in events if isinstance(each, BlockLine)]
        if vector["replies"][-1]["error"] is not None:
            del lines[-1]
        assert lines == [line for reply in vector["replies"] for line in reply["lines"]], vector["name"]
        assert parser.rest.hex() == vector.get("frames", "")


@pytest.mark.skipif(
    shutil.which("node") is None, reason="node.js is not installed: the checker in JavaScript is"
)
def test_a_program_in_another_language_agrees() -> None:
    """check.js, written from docs/line.md alone, reads every vector whole and byte by byte."""
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, str(FILE.parent / "check.js")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) == 2 * len(vectors())
