"""`gom mon` with real daemons: one picture in a pipe, the screen on a terminal, daemons that go away."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from libgomd.installation import installation
from tests.integration.cluster_of import cluster_of, nodes_up
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, gom, until

_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-9;?>$]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|[()][0-9A-B]|.)"
)
#: What brings the terminal's other screen back.
LEAVES = b"\x1b[?1049l"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    with cluster_of(tmp_path_factory.mktemp("mon"), 3) as daemons:
        yield daemons


class Terminal:
    """A person at a terminal on which `gom mon` runs."""

    def __init__(self, *words: str, env: dict[str, str] | None = None) -> None:
        self.ours, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(its)
        self.its = its
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        self.process = subprocess.Popen(
            [*GOM, *words], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(its, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.its)

    def read(self) -> bytes:
        """Take what is there, and return all that was seen."""
        while select.select([self.ours], [], [], 0.05)[0]:
            self.seen += os.read(self.ours, 1 << 16)
        return self.seen

    def shows(self, text: str) -> None:
        """Wait until a text was drawn."""
        until(lambda: text in _SEQUENCE.sub(b"", self.read()).decode("utf-8", "replace"))

    def types(self, keys: bytes) -> None:
        """Press keys; what was seen before is forgotten."""
        self.read()
        self.seen = b""
        os.write(self.ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        self.read()
        self.seen = b""
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.process.pid, signal.SIGWINCH)

    def ended(self) -> int:
        """Wait for the end, and return the exit status; the terminal is as it was before."""
        until(lambda: (self.read(), self.process.poll() is not None)[1])
        self.read()
        assert LEAVES in self.seen
        assert termios.tcgetattr(self.its) == self.before
        return self.process.returncode


def once(daemon: Daemon, *words: str) -> str:
    """Return the picture that ``gom mon --once`` prints."""
    done = gom(daemon, "mon", "--once", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_one_picture_in_a_pipe(nodes: Sequence[Daemon]) -> None:
    """Each node with its id, its name and a bar; totals and balance; no escape sequence."""
    told = once(nodes[0])
    assert told.startswith("gom mon node1: 3 of 3 up, ")
    assert "balance " in told.splitlines()[0]
    assert told.splitlines()[-1].split() == ["node1", "node2", "node3"]
    assert "\x1b" not in told
    assert "memory used" in once(nodes[0], "-m")


def test_a_reader_that_stops_early_ends_it_quietly(nodes: Sequence[Daemon]) -> None:
    command = [*GOM, "-c", nodes[0].unix, "mon", "--once"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


def test_without_a_daemon_there_is_one_sentence(tmp_path: Path) -> None:
    for words in (("mon", "--once"), ("mon",)):
        with Terminal("-c", f"unix:{tmp_path}/none", *words) as terminal:
            terminal.shows("no daemon at unix:")
            assert terminal.process.wait(PATIENCE) == 3
            assert LEAVES not in terminal.read()


def test_a_wrong_token_is_refused_before_the_screen_is_taken(nodes: Sequence[Daemon]) -> None:
    with Terminal("-c", f"tcp:127.0.0.1:{nodes[0].port}", "-t", "wrong", "mon") as terminal:
        terminal.shows("gom: ")
        assert terminal.process.wait(PATIENCE) == 1
        assert LEAVES not in terminal.read()


def test_without_textual_the_extra_is_named_and_once_works(nodes: Sequence[Daemon], tmp_path: Path) -> None:
    """As where only `pip install gomd` was said."""
    hide = "import sys; sys.modules['textual'] = sys.modules['rich'] = None; "
    run = f"{hide}sys.argv[0] = 'gom'; from gom.command import run; sys.exit(run())"
    command = [sys.executable, "-c", run, "-c", nodes[0].unix, "mon"]
    done = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 up" in done.stdout
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert installation().libraries("monitor") in done.stderr
    assert "gom mon --once" in done.stderr


def test_the_screen_takes_keys_and_sizes_and_leaves_the_terminal_as_it_was(nodes: Sequence[Daemon]) -> None:
    with Terminal("-c", nodes[0].unix, "mon") as terminal:
        terminal.shows("3 of 3 up")
        terminal.shows("node3")
        terminal.types(b"m")
        terminal.shows("memory used")
        terminal.resize(5, 20)
        terminal.shows("gom mon node1: 3 o")
        terminal.resize(30, 120)
        terminal.types(b"\x1b[C")  # the right arrow
        terminal.shows("node1 (node 1) 127.0.0.1")
        terminal.types(b"q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_with_the_terminal_restored(nodes: Sequence[Daemon], number: signal.Signals) -> None:
    with Terminal("-c", nodes[1].unix, "mon", env={"NO_COLOR": "1"}) as terminal:
        terminal.shows("3 of 3 up")
        os.kill(terminal.process.pid, number)
        assert terminal.ended() == 128 + number


def test_a_daemon_goes_and_comes_back(tmp_path: Path) -> None:
    """The dead node says so; the daemon that is asked goes, which is said, and comes back."""
    with cluster_of(tmp_path, 2) as (asked, other), Terminal("-c", asked.unix, "mon") as terminal:
        terminal.shows("2 of 2 up")
        other.kill()
        until(lambda: nodes_up(asked) == 1)
        terminal.shows("1 of 2 up")
        told = once(asked)
        assert told.rstrip().endswith("D down: node2")
        assert [column for column in zip(*_bars(told), strict=True) if "".join(column).endswith("DEAD")]
        terminal.types(b"")
        asked.kill()
        terminal.shows("no daemon at")
        terminal.types(b"")
        asked.start()
        until(lambda: nodes_up(asked) >= 1)
        terminal.shows(" up, ")
        terminal.types(b"q")
        assert terminal.ended() == 0


def _bars(picture: str) -> list[str]:
    """Return the lines of a picture that have the axis, equally long."""
    lines = [line for line in picture.splitlines() if line[5:6] in ("│", "┤")]
    longest = max(map(len, lines))
    return [line.ljust(longest) for line in lines]
