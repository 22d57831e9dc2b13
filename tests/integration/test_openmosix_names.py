"""The old names against a daemon over a captured openMosix tree, and against one that follows a script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gom.openmosix import migrate, mosctl, mosrun, mps
from gom.openmosix.program import Work, run
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.scripted import Start, scripted_daemons

start = pytest.fixture(scripted_daemons)
DATA = Path(__file__).parents[1] / "data" / "openmosix-proc" / "node1" / "proc"
#: Runs an old name and returns its exit status, standard output and standard error.
Say = Callable[..., tuple[int, str, str]]

MOSRUN = "import sys; from gom.openmosix.mosrun import main; sys.exit(main())"
ROW = (
    '{"id": %d, "name": "n1", "address": "10.0.0.1", "status": %d, "up": true, "load": 57, "speed": 38881, '
    '"cpus": 1, "util": 100, "mem": 1, "rmem": 1, "tmem": 1, "age": 0}'
)
MOVED = '200 {"pid": 36, "node": %d, "seconds": 0.5, "moved": true}'


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """``say(endpoint, mosctl.mosctl, "status")``"""
    monkeypatch.delenv("GOMD_TOKEN", raising=False)

    def say(endpoint: str, work: Work, *words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("GOMD_ENDPOINT", endpoint)
        status = run(work.__name__, work, words)
        return (status, *capsys.readouterr())

    return say


def _daemon(home: Path) -> Daemon:
    """A daemon on node 1 of a cluster of three, of which node 3 is down; not started."""
    home.mkdir()
    root = home / "proc"
    shutil.copytree(DATA, root, copy_function=shutil.copyfile)
    for where, _, files in os.walk(root):
        os.chmod(where, 0o755)
        for name in files:
            os.chmod(os.path.join(where, name), 0o644)
    for order in ("bring", "expel"):
        (root / "hpc/admin" / order).touch(0o222)
    return Daemon(home, "--source", "openmosix", "--proc-root", str(root), "--node-id", "1", "--name", "n1")


@pytest.fixture(scope="module")
def openmosix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all who only ask."""
    with _daemon(tmp_path_factory.mktemp("openmosix") / "home") as daemon:
        yield daemon


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("status", "up."), ("status 2", "up."), ("stat 3", "down."), ("isup", "yes"), ("isup 2", "yes"),
        ("getload", "load=57"), ("getload 2", "load=76"), ("getspeed", "speed=36809."),
        ("speedof 1", "speed=36809."), ("getmem", "free memory = 123715584 of 134086656"),
        ("memory 1", "free memory = 123715584 of 134086656"), ("getutil", "Utilizability = 100%"),
        ("getyard", "Yardstick speed currently set to 15000 (matching a PIV/1500 processor)."),
        ("whois", "This is openMosix #1"), ("whois 2", "10.0.0.2"),
        ("whois 10.0.0.2", "10.0.0.2 is openMosix #2"), ("whois n1", "n1 is openMosix #1"),
    ],
)  # fmt: skip
def test_mosctl_answers_in_openmosix_words(words: str, answer: str, openmosix: Daemon, say: Say) -> None:
    """Each line as the original printed it, and exit status 0."""
    assert say(openmosix.unix, mosctl.mosctl, *words.split()) == (0, f"{answer}\n", "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("getload 3", "Error: Network is unreachable"), ("getmem 3", "Error: Network is unreachable"),
        ("getyard 3", "Error: Network is unreachable"), ("status 4", "Node #4 is not configured"),
        ("whois 10.0.0.9", "Node at 10.0.0.9 is not configured"), ("getwell", "mosctl: No such option."),
        ("setspeed fast", "mosctl: a speed is a number from 1 to 65535."),
    ],
)  # fmt: skip
def test_mosctl_exits_with_1_when_it_could_not(
    words: str, sentence: str, openmosix: Daemon, say: Say
) -> None:
    """The original said these words too, but exited with 0."""
    assert say(openmosix.unix, mosctl.mosctl, *words.split()) == (1, "", f"{sentence}\n")


def test_isup_is_a_question_that_scripts_ask(openmosix: Daemon, say: Say) -> None:
    """A node that is down is no error: the answer is on standard output, and in the exit status."""
    assert say(openmosix.unix, mosctl.mosctl, "isup", "3") == (1, "no\n", "")


@pytest.mark.parametrize("words", ["", "status 1 2", "stay 2", "setspeed", "setspeed 1 2"])
def test_mosctl_says_its_usage(words: str, openmosix: Daemon, say: Say) -> None:
    """And changes nothing."""
    status, printed, errors = say(openmosix.unix, mosctl.mosctl, *words.split())
    assert (status, printed) == (1, "")
    assert errors.startswith("usage: mosctl ")


def test_mosctl_switches(tmp_path: Path, say: Say) -> None:
    """stay, block and their like: said, done, and said when it was so already."""
    if os.geteuid() != 0:
        pytest.skip("only root is admin over the unix socket")

    proc = tmp_path / "home" / "proc" / "hpc" / "admin"

    def files(*names: str) -> str:
        return "".join((proc / name).read_text().strip() for name in names)

    with _daemon(tmp_path / "home") as daemon:

        def mos(*words: str) -> str:
            status, printed, errors = say(daemon.unix, mosctl.mosctl, *words)
            assert (status, errors) == (0, "")
            return printed

        assert mos("stay") == (
            "Automatic load-balancing disabled: no processes will leave This node\n"
            "(except by an explicit request)\n"
        )
        assert mos("stay") == "Automatic load-balancing already disabled.\n"
        assert [mos("lstay").count("disabled"), mos("block").count("disabled")] == [1, 1]
        assert files("stay", "lstay", "block", "quiet") == "1110"
        for name in ("stay", "lstay", "block"):
            assert "enabled" in mos(f"no{name}")
        assert mos("-stay") == "Automatic load-balancing already enabled.\n"
        assert files("stay", "lstay", "block") == "000"
        assert "All guests have left This node" in mos("expel")
        assert "All processes of This node are home" in mos("bring")
        assert files("expel", "bring") == "11"
        assert mos("setspeed", "20000") == ""
        assert mos("setyard", "12000") == ""
        assert files("speed") == "20000"
        assert mos("getyard") == "Yardstick speed currently set to 12000.\n"


def test_mosctl_is_not_for_everybody(openmosix: Daemon, say: Say) -> None:
    """Over tcp nobody is admin: the daemon's sentence, and exit status 1."""
    status, printed, errors = say(openmosix.tcp, mosctl.mosctl, "stay")
    assert (status, printed) == (1, "")
    assert errors.startswith("mosctl: ")


def test_status_has_openmosix_order(start: Start, say: Say) -> None:
    """up,stay,lstay,block."""
    row = ROW % (1, 31)
    assert say(start({"node": f"201 node\n{row}\n."}).endpoint, mosctl.mosctl, "status") == (
        0, "up,stay,lstay,block.\n", "",
    )  # fmt: skip


def test_no_daemon_is_exit_status_3(say: Say) -> None:
    """As with gom."""
    status, printed, errors = say("tcp:127.0.0.1:1", mosctl.mosctl, "status")
    assert (status, printed) == (3, "")
    assert errors.startswith("mosctl: no daemon at tcp:127.0.0.1:1")


def test_migrate_is_silent_when_it_is_done(start: Start, say: Say) -> None:
    """`balance` is the best node."""
    row = ROW % (2, 3)
    daemon = start(
        {
            "migrate 36 best": MOVED % 2,
            "migrate 36 home": MOVED % 1,
            "migrate 36 2": MOVED % 2,
            "node beta": f"201 node\n{row}\n.",
        }
    )
    for target in ("balance", "home", "beta"):
        assert say(daemon.endpoint, migrate.migrate, "36", target) == (0, "", "")
    assert daemon.all_gone()
    assert [heard[-1] for heard in daemon.heard] == ["migrate 36 best", "migrate 36 home", "migrate 36 2"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("404 there is no process 36 here", "No such process (36)."),
        ("403 process 36 is bob's", "Permission denied."),
        ("405 it has a socket", "Process #36 is unmovable."),
        ("409 it moves just now", "Process was already sent elsewhere."),
    ],
)
def test_migrate_fails_in_openmosix_words(reply: str, words: str, start: Start, say: Say) -> None:
    """And says under them what the daemon knows."""
    daemon = start({"migrate 36 home": reply})
    assert say(daemon.endpoint, migrate.migrate, "36", "home") == (1, "", f"{words}\nmigrate: {reply[4:]}\n")


@pytest.mark.parametrize("words", [[], ["36"], ["x", "home"], ["-1", "home"], ["1", "2", "3"]])
def test_migrate_says_its_usage(words: Sequence[str], say: Say) -> None:
    """Before it asks anybody."""
    assert say("tcp:127.0.0.1:1", migrate.migrate, *words) == (
        1,
        "",
        "usage: migrate PID NODE|home|balance\n",
    )


def test_mps_shows_where_each_process_runs(openmosix: Daemon, say: Say) -> None:
    """Two of the three spinners of the captured node had moved to node 2."""
    status, printed, errors = say(openmosix.unix, mps.mps, "ax")
    assert (status, errors) == (0, "")
    head, *rows = printed.splitlines()
    assert head == "    PID TTY       NODE STAT   TIME COMMAND"
    nodes = {row.split()[0]: row.split()[2] for row in rows}
    assert nodes == {"1": "0", "2": "0", "36": "2", "37": "2", "38": "0"}


def test_mps_ominfo(openmosix: Daemon, say: Say) -> None:
    """The columns of openMosix, and those of the long form after them; sorted as asked."""
    status, printed, _ = say(openmosix.unix, mps.mps, "-e", "--ominfo", "--sort", "node")
    head, *rows = printed.splitlines()
    assert status == 0
    assert head.split() == ["USER", "COMMAND", "PID", "NODE", "NMIGS", "LOCK", "CANTMOVE"]
    assert [row.split()[2] for row in rows] == ["1", "2", "38", "36", "37"]
    assert rows[-1].split()[1:] == ["testapp", "37", "2", "1", "0", "migratable"]
    head = say(openmosix.unix, mps.mps, "--ominfol", "36")[1].splitlines()[0]
    assert " ".join(head.split()[7:]) == "PPID PRI NI %CPU %MEM SIZE RSS STAT START TIME"


def test_mps_of_a_process_that_is_not_there(openmosix: Daemon, say: Say) -> None:
    """Alone it is an error; among others what is there is shown, and the exit status tells."""
    assert say(openmosix.unix, mps.mps, "999") == (1, "", "No such process (999).\n")
    status, printed, _ = say(openmosix.unix, mps.mps, "36", "999")
    assert status == 1
    assert [row.split()[0] for row in printed.splitlines()[1:]] == ["36"]


def test_mosrun_to_a_node_that_cannot_be(openmosix: Daemon, say: Say) -> None:
    """openMosix's words, before anything is started."""
    words = "Migration Failed: Network is unreachable\n"
    assert say(openmosix.unix, mosrun.mosrun, "-3", "true") == (1, "", words)
    words = "Migration Failed: No such device or address\n"
    assert say(openmosix.unix, mosrun.mosrun, "-4", "true") == (1, "", words)


def test_mosrun_runs_and_gives_the_exit_status(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """The program's output and status, wherever it was sent; 127 for one that is not there."""
    daemon = start_daemon("--source", "linux", "--node-id", "1", "--name", "alpha")

    def run_one(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-c", MOSRUN, *words],
            env={**os.environ, "GOMD_ENDPOINT": daemon.unix}, cwd=tmp_path, text=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    for place in ("-l", "-h", "-1", "-j1-3"):
        assert run_one(place, "sh", "-c", "pwd; exit 7") == (7, f"{tmp_path}\n", "")
    status, printed, errors = run_one("-l", "no-such-program")
    assert (status, printed) == (127, "")
    assert errors.startswith("mosrun: ")
