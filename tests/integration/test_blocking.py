"""The blocking client, against a daemon on the other end of a socket pair that follows a script."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libgomd import blocking, calls
from libgomd.endpoints import Unix
from libgomd.errors import ConnectionLost, MalformedReply, MalformedRequest, NotAllowed, NotFound, TimedOut
from libgomd.linesocket import dial
from libgomd.model import Output
from tests.integration.scripted import Daemon, Start, scripted_daemons

start = pytest.fixture(scripted_daemons)


@contextmanager
def connected(daemon: Daemon, token: str | None = None, timeout: float = 10.0) -> Iterator[blocking.Client]:
    with blocking.connect(daemon.endpoint, token, timeout) as client:
        yield client


def test_questions_and_answers(start: Start) -> None:
    """One method a verb, typed values back, refusals as errors that leave the connection usable."""
    daemon = start(
        {"load": "200 57", "ls /proc": '201 2\n{"name": "1"}\n{"name": "hpc"}\n.', "where 9": "404 no"}
    )
    with connected(daemon) as gomd:
        assert gomd.load() == 57
        assert gomd.ls("/proc") == ["1", "hpc"]
        with pytest.raises(NotFound, match="no"):
            gomd.where(9)
        assert gomd.call(calls.load()) == 57
    assert daemon.all_gone()


def test_a_token_comes_first_and_is_used_for_streams_too(start: Start) -> None:
    """Each connection shows it before anything else."""
    daemon = start({"auth s3cret": "200 admin ann", "do x": '201 x\n{"line": null, "exit": 0}\n.'})
    with connected(daemon, "s3cret") as gomd:
        assert list(gomd.do("x")) == [Output(None, 0)]
    assert daemon.all_gone()
    assert daemon.heard == [["auth s3cret", "format json"], ["auth s3cret", "format json", "do x"]]


def test_a_wrong_token_is_refused(start: Start) -> None:
    """With the daemon's sentence, and nothing left open."""
    daemon = start({"auth wrong": "403 this token is not known here"})
    with pytest.raises(NotAllowed, match="not known here"):
        blocking.connect(daemon.endpoint, "wrong")
    assert daemon.all_gone()


def test_a_watch_ends_when_its_loop_does(start: Start) -> None:
    """Questions can be asked in between; leaving the loop closes its connection at the daemon."""
    rounds = "\n".join(json.dumps({"round": n, "rows": 1, "value": n * 10}) for n in (1, 2, 3))
    daemon = start({"load": "200 5", "watch -n 0.5 load": f"201 watching\n{rounds}"})
    with connected(daemon) as gomd:
        seen = []
        for load in gomd.watch(calls.load(), seconds=0.5):
            seen.append((load, gomd.load()))
            if len(seen) == 2:
                break
        assert seen == [(10, 5), (20, 5)]
        daemon._threads[1].join(10)
        assert not daemon._threads[1].is_alive()
        assert gomd.load() == 5


def test_a_closed_client_says_so(start: Start) -> None:
    """Calls and streams alike; closing twice is no error."""
    daemon = start({"load": "200 5"})
    with connected(daemon) as gomd:
        gomd.close()
        with pytest.raises(ConnectionLost, match="is closed"):
            gomd.load()
        with pytest.raises(ConnectionLost, match="is closed"):
            next(gomd.watch_events())


def test_a_daemon_that_goes_away_is_noticed(start: Start) -> None:
    """In the middle of a question and before the next."""
    daemon = start({"load": "HANG UP"})
    with connected(daemon) as gomd:
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                gomd.load()


def test_an_answer_that_does_not_come_ends_the_connection(start: Start) -> None:
    """A late answer could be taken for that of the next question."""
    daemon = start({"ls /": "201 never ends"})
    with connected(daemon, timeout=0.05) as gomd:
        with pytest.raises(TimedOut, match=r"within 0\.05 seconds"):
            gomd.load()
        with pytest.raises(ConnectionLost):
            gomd.load()
    with connected(daemon, timeout=0.05) as gomd, pytest.raises(TimedOut):
        gomd.ls("/")
    assert daemon.all_gone()


@pytest.mark.parametrize("greeting", ["SSH-2.0-OpenSSH_9.2", "200 hello", "201 hello"])
def test_another_program_is_not_taken_for_a_daemon(start: Start, greeting: str) -> None:
    """One error, and the connection is closed."""
    daemon = start({}, greeting=greeting)
    with pytest.raises(MalformedReply):
        blocking.connect(daemon.endpoint)
    assert daemon.all_gone()


def test_where_no_daemon_is_every_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user sees what was tried and why each failed."""
    for path in (tmp_path / "none", tmp_path / ("long" * 50)):
        with pytest.raises(ConnectionLost, match=r"is gomd running\?") as caught:
            blocking.connect(f"unix:{path}")
        assert str(path) in str(caught.value)


def test_the_usual_places_are_tried_in_turn(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that was killed leaves its socket; the next place counts."""
    daemon = start({"load": "200 5"})
    stale = Path(daemon.endpoint.removeprefix("unix:")).with_name("stale")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    line = dial([Unix(str(stale)), Unix(daemon.endpoint.removeprefix("unix:"))], 10.0)
    assert str(line.endpoint) == daemon.endpoint
    line.close()
    monkeypatch.setenv("GOMD_ENDPOINT", daemon.endpoint)
    with blocking.connect() as gomd:
        assert gomd.load() == 5


def test_an_argument_that_is_no_word_of_a_line_is_not_sent(start: Start) -> None:
    """And the connection goes on."""
    daemon = start({"load": "200 5"})
    with connected(daemon) as gomd:
        with pytest.raises(MalformedRequest):
            gomd.put("/proc/hpc/admin/stay", "1\r\nshutdown")
        assert gomd.load() == 5
    assert daemon.heard == [["format json", "load"]]


def test_a_script_does_not_pay_for_twisted() -> None:
    """Nothing but the standard library is imported."""
    code = (
        "import sys; standard = sys.stdlib_module_names;"
        "import libgomd.blocking, gom.command, gom.relay, gom.token, gom.key;"
        "print(sorted({name.split('.')[0] for name in sys.modules} - set(standard)))"
    )
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['__main__', 'gom', 'libgomd']"
