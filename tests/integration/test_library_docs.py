"""The examples of docs/library.rst, run exactly as they are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd import blocking
from tests.integration.daemon import Daemon

PAGE = Path(__file__).parents[2] / "docs" / "library.rst"
EXAMPLES = [
    textwrap.dedent(found)
    for found in re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text())
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon that the examples find."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--source", "memory", "--telnet", "unix:") as running:
        with blocking.connect(running.unix) as client:
            while client.node().age is None:
                time.sleep(0.02)
        yield running


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon on this machine's own processes, for the examples that run jobs."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--telnet", "unix:") as running:
        yield running


def test_the_page_has_examples() -> None:
    """Every example is found, so none is left out of the test below because of its indentation."""
    assert len(EXAMPLES) == PAGE.read_text().count("code-block") == 11


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example{number}" for number in range(len(EXAMPLES))])
def test_an_example_works(example: str, daemon: Daemon, machine: Daemon) -> None:
    """The example succeeds, prints something and warns of nothing."""
    daemon = machine if "gomd.run(" in example else daemon
    port = daemon.wait_for(r"PeerProtocol starting on (\d+)")[1]
    example = example.replace("/var/lib/gomd/key", str(daemon.state / "key")).replace(":5428", f":{port}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        env={**os.environ, "GOMD_ENDPOINT": daemon.unix},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
