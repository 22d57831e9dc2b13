"""The conversation and the program of README.rst, run exactly as they are printed there."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import until

README = (Path(__file__).parents[2] / "README.rst").read_text(encoding="utf-8")
_STATUS = re.compile(r"[2-5][0-9][0-9] ")


def example(heading: str) -> str:
    """Return the literal block after ``heading``."""
    section = README.split(f"\n{heading}\n", 1)[1]
    found = re.search(r"::(?: \w+)?\n\n((?:    .*\n|\n)+)", section)
    assert found, heading
    return textwrap.dedent(found[1])


def conversation() -> list[tuple[str, list[str]]]:
    """Return the requests of the README's telnet session, each with the answer that is shown."""
    asked: list[tuple[str, list[str]]] = []
    in_block = False
    for line in example("A conversation").splitlines()[2:]:
        if in_block or _STATUS.match(line):
            asked[-1][1].append(line)
            in_block = line != "." if in_block else line.startswith("201 ")
        elif line:
            asked.append((line, []))
    return asked


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Node 1, alpha, as in the README."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1", "--name", "alpha") as running:
        with running.connect() as line:  # its first sample may take a while
            until(lambda: line.ask("load").code == 200)
        yield running


def shape(line: str) -> str:
    """Return ``line`` without the numbers, which differ from moment to moment and from machine to machine."""
    return re.sub(r"\s+", " ", re.sub(r"[0-9]+(\.[0-9]+)?", "N", line[4:])).strip()


def test_the_conversation_goes_as_shown(daemon: Daemon) -> None:
    """Each request of the README gets an answer of the same code and shape."""
    asked = conversation()
    assert len(asked) > 5
    with daemon.connect() as line:
        for request, shown in asked:
            reply = line.ask(request)
            assert reply.code == int(shown[0][:3]), request
            assert shape(f"{reply.code} {reply.text}") == shape(shown[0]), request
            if reply.block is not None:
                assert len(reply.block) == len(shown) - 2, request
                assert reply.block[0].split()[0] == shown[1].split()[0] or request.startswith("get")


def test_the_ten_lines_work(daemon: Daemon) -> None:
    """The program prints the load and every process."""
    program = example("Ten lines of libgomd").replace("tcp:127.0.0.1:2901", daemon.tcp)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"load [0-9]+\n1 ", done.stdout)
