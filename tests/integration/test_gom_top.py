"""`gom top` on a terminal, with real daemons: what a person sees, and how it leaves the terminal."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.keys import new_key_file
from tests.integration import hosts
from tests.integration.cluster.asking import see, start
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import until
from tests.integration.screen import ENTER, LEAVE, Screen

GOM = [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that this user may command, for all tests."""
    with Daemon(tmp_path_factory.mktemp("top") / "home") as daemon:
        yield daemon


def top(daemon: Daemon, *options: str, **how: object) -> Screen:
    """Run `gom top` in a terminal."""
    return Screen([*GOM, "-c", daemon.unix, "top", *options], **how)  # type: ignore[arg-type]


@pytest.fixture
def marked() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a command line that no other one has."""
    name = f"gom-top-test-{os.getpid()}"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", name, "\x1b[2J"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_found_and_ended(daemon: Daemon, marked: subprocess.Popen[bytes]) -> None:
    """/ finds it wherever it ranks, k asks which signal, and y sends it to this very process."""
    with top(daemon, columns=250) as screen:
        screen.wait_for("nodes 1 of 1 up")
        screen.press(f"/gom-top-test-{os.getpid()}\r")
        screen.wait_for(rf"{marked.pid}[^\n]*time.sleep")
        assert b"\x1b[2J\r" not in screen.written
        mark = screen.press("k")
        screen.wait_for("send which signal", mark)
        mark = screen.press("\r")
        screen.wait_for(rf"Send SIGTERM to process {marked.pid} ", mark)
        assert marked.poll() is None
        mark = screen.press("y")
        assert marked.wait(PATIENCE) == -signal.SIGTERM
        screen.wait_for(f"sent SIGTERM to process {marked.pid}", mark)
        screen.press("q")
        assert screen.wait() == 0
        assert screen.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_restored_after_a_signal(daemon: Daemon, number: signal.Signals) -> None:
    """And the exit status says which one it was."""
    with top(daemon) as screen:
        screen.wait_for("nodes 1 of 1 up")
        assert screen.modes() != screen.before
        screen.signal(number)
        assert screen.wait() == 128 + number
        assert screen.is_restored()


@pytest.mark.parametrize("verb", ["top", "mon"])
@pytest.mark.parametrize("before", ["", "trap '' HUP; "], ids=["told", "not told"])
def test_it_ends_with_its_terminal(daemon: Daemon, before: str, verb: str) -> None:
    """Also where nobody tells it, because SIGHUP was ignored when it was started."""
    command = shlex.join([*GOM, "-c", daemon.unix, verb])
    with Screen(["sh", "-c", f"{before}exec {command}"]) as screen:
        screen.wait_for("1 of 1 up")
        screen.hang_up()
        assert screen.wait() == 129


@pytest.mark.parametrize(
    "junk", [b"\xff\xe9\xe9", b"\x1b[M\xff\xff\xff", b"\x1b[<0;500;500M\x1b[<0;500;500m", b"\x1b[O"],
    ids=["Latin-1", "old mouse", "a click beside the screen", "another window"],
)  # fmt: skip
def test_odd_input(daemon: Daemon, junk: bytes) -> None:
    """What a terminal may send besides keys ends nothing, and keys work afterwards."""
    with top(daemon) as screen:
        screen.wait_for("1 of 1 up")
        screen.press(junk)
        time.sleep(0.3)
        mark = screen.press("h")
        screen.wait_for("arrows, page", mark)
        screen.press("qq")
        assert screen.wait() == 0
        assert screen.is_restored()


def test_ctrl_c_and_ctrl_z(daemon: Daemon) -> None:
    """The shell gets its terminal back while the screen is stopped; the screen is drawn again after `fg`."""
    with top(daemon) as screen:
        screen.wait_for("nodes 1 of 1 up")
        screen.press("\x1a")
        until(lambda: screen.state() == "T")
        screen.wait_for_bytes(LEAVE)
        assert screen.is_restored()
        mark = screen.mark
        screen.signal(signal.SIGCONT)
        screen.wait_for_bytes(ENTER, mark)
        screen.wait_for("nodes 1 of 1 up", mark)
        assert screen.modes() != screen.before
        screen.press("\x03")
        assert screen.wait() == 130
        assert screen.is_restored(mark)


def test_the_daemon_goes_and_comes_back(start_daemon: StartDaemon) -> None:
    """Its last rows stay and the header says what is wrong; then it all goes on by itself."""
    daemon = start_daemon()
    with top(daemon) as screen:
        screen.wait_for("nodes 1 of 1 up")
        mark = screen.mark
        daemon.kill()
        screen.wait_for("trying again: [^\n]*(daemon|connection)", mark)
        screen.wait_for("as it was [0-9]+ s ago", mark)
        mark = screen.mark
        daemon.start()
        screen.wait_for("nodes 1 of 1 up", mark)
        screen.press("q")
        assert screen.wait() == 0


def test_small_terminals_and_other_sizes(daemon: Daemon) -> None:
    """Twenty columns of five lines are a screen, and so is what the window becomes."""
    with top(daemon, "--sort", "rss", columns=20, rows=5) as screen:
        screen.wait_for("PID")
        mark = screen.mark
        screen.resize(120, 40)
        screen.wait_for("nodes 1 of 1 up", mark)
        screen.press("k")
        mark = screen.mark
        screen.resize(20, 5)
        screen.wait_for("TERM", mark)
        screen.press("\x1b")
        screen.press("\x03")
        assert screen.wait() == 130
        assert screen.is_restored()


def test_no_colours_where_none_are_wanted(daemon: Daemon) -> None:
    """NO_COLOR leaves no sequence that sets one."""
    with top(daemon, env={"NO_COLOR": "1"}) as screen:
        screen.wait_for("nodes 1 of 1 up")
        screen.press("q")
        assert screen.wait() == 0
        for code in (b"\x1b[31", b"\x1b[32", b"\x1b[33", b"38;2;", b"38;5;", b"48;"):
            assert code not in screen.written


def test_what_cannot_be_shown_is_said(daemon: Daemon, tmp_path: Path) -> None:
    """No daemon is 3, a wrong token is 1, and the terminal is not touched."""
    for words, status, said in (
        (["-c", f"unix:{tmp_path}/none", "top"], 3, "is gomd running"),
        (["-c", daemon.unix, "-t", "junk", "top"], 1, "this token is not known"),
        (["-c", daemon.unix, "top", "--user", ""], 2, "--user takes"),
    ):
        with Screen([*GOM, *words]) as screen:
            assert screen.wait() == status
            screen.wait_for(said)
            assert ENTER not in screen.written


def test_one_picture(daemon: Daemon, marked: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """`--once` needs no terminal and no textual; escape sequences in names are text."""
    for name in ("textual", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is not for --once')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "COLUMNS": "400"}
    words = [*GOM, "-c", daemon.unix, "top", "--once", "--match", f"gom-top-test-{os.getpid()}"]

    def picture() -> list[str]:
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("nodes 1 of 1 up")
        assert "\x1b" not in done.stdout
        return [text for text in done.stdout.splitlines() if str(marked.pid) in text.split()[:3]]

    [row] = until(picture)  # the daemon's table may be a second older than the process
    assert row.split()[1] == str(marked.pid)
    assert "\\x1b[2J" in row


def test_a_reader_that_goes(daemon: Daemon) -> None:
    """`gom top --once | head -1` ends without a word."""
    words = [*GOM, "-c", daemon.unix, "top", "--once"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 141


def test_a_node_that_dies(tmp_path: Path) -> None:
    """Its last rows stay, with their age, and the header says that it is down."""
    if reason := hosts.missing():
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    new_key_file(str(tmp_path / "key"))
    with hosts.Network(tmp_path) as network:
        for _ in range(2):
            network.add(tmp_path / "key")
        start(network.hosts)
        see(network.hosts, frozenset((1, 2)))
        here, there = network.hosts
        with Screen([*GOM, "-c", f"unix:{here.home}/gomd.sock", "top", "--user", "root"]) as screen:
            screen.wait_for("nodes 2 of 2 up")
            screen.wait_for("2 on node [12]")
            mark = screen.mark
            there.daemon.kill()
            screen.wait_for("1 of 2 up", mark)
            screen.press("n2\r")
            screen.wait_for(r"on node 2, as it was [0-9]+ s ago: ", mark)
            screen.press("q")
            assert screen.wait() == 0


def test_a_screen_that_was_stopped_for_long(daemon: Daemon) -> None:
    """Stopped from outside, it reads nothing; continued, it shows what is now and not what was."""
    with top(daemon, "-n", "0.1") as screen:
        screen.wait_for("nodes 1 of 1 up")
        screen.signal(signal.SIGSTOP)
        until(lambda: screen.state() == "T")
        time.sleep(3)
        mark = screen.mark
        screen.signal(signal.SIGCONT)
        screen.press(f"/no-such-process-{os.getpid()}\r")
        screen.wait_for("no process matches", mark)
        screen.press("q")
        assert screen.wait() == 0
