"""
Every command in the documentation and in README.rst, run as it is printed, on the cluster that it is for.

What cannot be run here stands behind a mark, see `tests.doc_blocks`. Pages whose commands an ordinary user
can run as well, on one daemon, are those of test_docs_commands.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.doc_blocks import BLOCKS, Block, Numbers, commands, shape, steps
from tests.integration.docs_cluster import PID, DocsCluster, docs_cluster
from tests.integration.hosts import missing
from tests.integration.test_criu import find_criu

FOUND = [block for block in BLOCKS if block.language in ("console", "sh") and not block.mark]
#: Commands that go on until they are interrupted.
_ENDLESS = re.compile(r"curl -sN |watch events")
#: What changes how a node takes part in the cluster.
_SWITCHES = re.compile(r"\b(?:l?stay|block|quiet|bring|expel)\b")
#: Seconds until they are.
MOMENT = 2.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[DocsCluster]:
    """alpha, beta and gamma."""
    if why_not := missing():
        pytest.skip(why_not)
    with docs_cluster(find_criu()) as found:
        yield found


@pytest.mark.parametrize("block", FOUND, ids=[block.place for block in FOUND])
def test_it_goes_as_shown(block: Block, cluster: DocsCluster) -> None:
    """Each command succeeds, or is refused where that is shown; what it prints has the shown shape."""
    cluster.begin_page()
    numbers = Numbers()
    text = block.text
    directory = "/home/ann/runs" if "/home/ann/runs" in text else "/tmp"
    has_job = bool(re.search(rf"\b{PID}\b", text))
    if has_job:
        for ours, theirs in cluster.begin_job(directory).items():
            text = re.sub(rf"(?<=[ /]){ours}\b|(?<=: ){ours}\b", theirs, text)
    try:
        if block.language == "sh":
            runs_script(text, cluster)
        else:
            for step in steps(block._replace(text=text)):
                runs_step(step.command, step.output, numbers, cluster)
    finally:
        cluster.reset(has_job, _SWITCHES.search(text) is not None)


def runs_script(text: str, cluster: DocsCluster) -> None:
    """Run a script whole; one that never ends is interrupted, and has said nothing is wrong by then."""
    done = cluster.run(f"set -e\n{text}", *([MOMENT] if _ENDLESS.search(text) else []))
    assert done.returncode in ((0, 124) if _ENDLESS.search(text) else (0,)), done
    assert done.stderr == "", done


def runs_step(command: str, output: tuple[str, ...], numbers: Numbers, cluster: DocsCluster) -> None:
    """Run a command behind a prompt, and compare what it prints with what is shown, if something is."""
    command = numbers.put(command)
    if command.startswith("twistd -n "):
        cluster.run_daemon(command)
        return
    is_endless = _ENDLESS.search(command)
    done = cluster.run(command, *([MOMENT] if is_endless else []))
    printed = cluster.as_shown(done.stdout + done.stderr).splitlines()
    if not (output and output[0].startswith("gom: ")):  # a refusal, or a word beside the output
        expected = (0, 124) if is_endless else (0, 1) if "gom doctor" in command else (0,)
        assert done.returncode in expected, (command, done)
    if output:
        assert [shape(line) for line in printed] == [shape(line) for line in output], command
        for shown, line in zip(output, printed, strict=True):
            numbers.learn(shown, line)


def test_it_is_much() -> None:
    """The blocks are found: most pages have some, and most of what they have is run here."""
    assert len({block.page for block in FOUND}) >= 10
    assert sum(len(commands(block)) for block in FOUND) >= 40
