"""How the daemon starts, refuses to start, takes a new configuration and ends."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, QUIET, TWISTD, output_of, run
from tests.integration.line import Line

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def refusal(outcome: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence with which a start was refused."""
    assert outcome.returncode == 1, outcome
    [sentence] = outcome.stderr.splitlines()
    assert sentence.startswith("gomd: ")
    return sentence


# -- before it runs


def test_listing_the_plugins_imports_nothing_of_gomd() -> None:
    """`twistd --help` names gomd and stays quick: the daemon is imported when it is chosen."""
    assert "general openMosix daemon" in " ".join(output_of([TWISTD, "--help"]).split())
    code = (
        "import sys; from twisted.plugin import getPlugins; from twisted.application.service import *;"
        "assert 'gomd' in [plugin.tapname for plugin in getPlugins(IServiceMaker)];"
        "print([name for name in sys.modules if name.split('.')[0] in ('gomd', 'libgomd')])"
    )
    assert output_of([sys.executable, "-c", code]) == "[]\n"


def test_an_idle_daemon_has_loaded_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """With the settings as shipped: what requests, jobs, many peers and names need comes with them."""
    code = (
        "import sys, threading\n"
        "def tell():\n"
        "    sys.__stdin__.readline()\n"
        "    print('LOADED', *sorted(sys.modules), file=sys.__stdout__, flush=True)\n"
        "threading.Thread(target=tell, daemon=True).start()\n"
        "from twisted.scripts.twistd import run; run()"
    )
    (tmp_path / "gomd.ini").write_text(QUIET)
    options = ("--state-dir", str(tmp_path / "state"), "--telnet", "tcp:127.0.0.1:0")
    daemon = subprocess.Popen(
        [sys.executable, "-c", code, "-n", "--pidfile=", "gomd", *options],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert daemon.stdout is not None
        for line in daemon.stdout:
            if "the telnet line is at" in line:
                break
        assert daemon.stdin is not None
        daemon.stdin.write("\n")
        daemon.stdin.flush()
        loaded = next(line for line in daemon.stdout if line.startswith("LOADED ")).split()
    finally:
        daemon.kill()
        daemon.wait()
    assert "gomd.protocols.peer_server" in loaded, "it has peers"
    unused = (
        "encodings.idna", "email.message", "http", "urllib.request", "pdb", "unittest", "configobj",
        "gomd.jobs.service", "gomd.verbs.passing_on", "gomd.verbs.tree_fan_out", "gomd.web", "twisted.web",
    )  # fmt: skip
    assert [name for name in unused if name in loaded] == []


def test_a_good_configuration_is_called_good(tmp_path: Path) -> None:
    """And nothing is started or made."""
    outcome = run(tmp_path, "--check", "--state-dir", str(tmp_path / "state"))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert f"the configuration is good ({tmp_path}/gomd.ini)" in outcome.stdout
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("check", [("--check",), ()])
def test_every_mistake_is_listed_with_its_place(tmp_path: Path, check: tuple[str, ...]) -> None:
    """In one run, with file, line, what was found and what is allowed."""
    ini = "[colector]\n[telnet]\nidle_timeout = soon\n[node]\nnmae = alpha\nsource = bsd\n"
    outcome = run(tmp_path, *check, "--set", "history.kind=sql", "--node-id", "70000", ini=ini)
    assert outcome.returncode == 1
    first = QUIET.count("\n") + 1
    places = [
        f"gomd.ini:{first}: ",
        f"gomd.ini:{first + 2}: ",
        f"gomd.ini:{first + 4}: ",
        f"gomd.ini:{first + 5}: ",
    ]
    found = outcome.stderr.splitlines()
    for place in places:
        assert any(place in text for text in found), (place, found)
    for word in ("collector", "'soon'", "name?", "linux, openmosix or memory", "sql", "65535"):
        assert any(word in text for text in found), (word, found)
    assert len(found) == 6
    assert not any("Traceback" in text for text in found)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """It names the endpoint and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp:127.0.0.1:{other.getsockname()[1]}"
        outcome = run(tmp_path, "--state-dir", str(tmp_path / "state"), "--telnet", endpoint)
    sentence = refusal(outcome)
    assert endpoint in sentence
    assert "Address already in use" in sentence
    assert "[telnet] endpoints" in sentence
    assert not (tmp_path / "state" / "gomd.sock").exists()


@pytest.mark.parametrize("state", ["/proc/gomd", "/dev/null"])
def test_a_state_that_cannot_be_used_is_one_sentence(tmp_path: Path, state: str) -> None:
    """Even root cannot make a directory there."""
    assert state in refusal(run(tmp_path, "--state-dir", state))


def test_a_state_of_somebody_else_is_one_sentence(tmp_path: Path) -> None:
    """An ordinary user is told to choose a directory of their own."""
    if os.geteuid() == 0:
        state = tmp_path / "state"
        state.mkdir(0o777)
        state.chmod(0o777)
    else:
        state = Path("/root/gomd")
    assert f"STATE {state}" in refusal(run(tmp_path, "--state-dir", str(state)))


def test_a_log_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    """It names twistd's option."""
    (tmp_path / "gomd.ini").write_text(QUIET)
    log = str(tmp_path / "none" / "log")
    options = ("--state-dir", str(tmp_path / "state"), "--telnet", "tcp:127.0.0.1:0")
    outcome = subprocess.run(
        [TWISTD, "-n", "--logfile", log, "gomd", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    sentence = refusal(outcome)
    assert log in sentence
    assert "--logfile" in sentence


def test_a_second_daemon_on_the_same_state_is_refused(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It says which process has it, and the first one goes on."""
    first = start_daemon()
    (tmp_path / "second").mkdir()
    options = ("--state-dir", str(first.state), "--telnet", "tcp:127.0.0.1:0")
    sentence = refusal(run(tmp_path / "second", *options))
    assert f"pid {first.process.pid}" in sentence
    with first.connect_unix() as line:
        assert line.ask("load").code == 200


# -- its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_left(start_daemon: StartDaemon, number: signal.Signals) -> None:
    """Within two seconds, whoever is connected and whatever they are being sent."""
    daemon = start_daemon()
    with daemon.connect() as idle, daemon.connect() as busy, daemon.connect_unix() as local:
        busy.send(b"watch -n 0.1 ps\r\n")
        assert busy.line().startswith("201 ")
        assert local.ask("load").code == 200
        began = time.monotonic()
        daemon.signal(number)
        assert daemon.wait() in (0, -number)  # Twisted ends as the signal would have
        assert time.monotonic() - began < 2.0
        assert idle.at_end()
    assert not daemon.socket.exists()
    with pytest.raises(ConnectionRefusedError):
        daemon.connect()
    assert not [text for text in daemon.lines if "Traceback" in text or "Unhandled" in text]


def test_shutdown_answers_and_ends_it(start_daemon: StartDaemon) -> None:
    """The admin reads 200, then the end of the connection; the log says who asked."""
    daemon = start_daemon()
    with daemon.connect_unix() as line:
        assert line.ask("shutdown") == (200, "gomd stops", None)
        assert line.at_end()
    assert daemon.wait() == 0
    daemon.wait_for(r"stopping: asked by \S+ via unix")


def test_after_kill_9_a_new_one_starts_at_once(start_daemon: StartDaemon) -> None:
    """The socket that is left and the lock of STATE are in nobody's way."""
    daemon = start_daemon()
    daemon.kill()
    assert daemon.socket.exists()
    again = start_daemon(home=daemon.home)
    with again.connect_unix() as line:
        assert line.ask("load").code == 200


@pytest.fixture
def orphans() -> Iterator[Callable[[int], None]]:
    """Adopt what daemonises, and return what waits for the end of one; not every pid 1 does."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield wait_for_end
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def wait_for_end(pid: int) -> None:
    """Wait until a child has ended, and bury it."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], PATIENCE)[0], f"{pid} still runs"
    finally:
        os.close(descriptor)
    os.waitpid(pid, 0)


def test_daemonised_it_survives_kill_9_too(tmp_path: Path, orphans: Callable[[int], None]) -> None:
    """`twistd gomd` goes into the background with a pid file; a stale one does not refuse the next start."""
    (tmp_path / "gomd.ini").write_text(QUIET)
    pidfile = tmp_path / "gomd.pid"
    command = [
        TWISTD, "--pidfile", str(pidfile), "--logfile", str(tmp_path / "log"), "gomd",
        "--state-dir", str(tmp_path / "state"), "--telnet", "tcp:127.0.0.1:0",
    ]  # fmt: skip
    pids = []
    for end in (signal.SIGKILL, signal.SIGTERM):
        started = subprocess.run(
            command, cwd=tmp_path, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert started.returncode == 0, started
        pids.append(int(pidfile.read_text()))
        try:
            with Line(str(tmp_path / "state" / "gomd.sock")) as line:
                assert line.ask("load").code == 200
        finally:
            os.kill(pids[-1], end)
        orphans(pids[-1])
    assert pids[0] != pids[1]
    assert not pidfile.exists()
    assert not (tmp_path / "state" / "gomd.sock").exists()


# -- SIGHUP


def test_a_new_configuration_is_taken_over_while_it_runs(start_daemon: StartDaemon) -> None:
    """Connections stay; what cannot change is said; the log names what did."""
    daemon = start_daemon(ini="[telnet]\nanonymous = read\n")
    with daemon.connect() as before:
        daemon.configure("[telnet]\nanonymous = none\n[node]\nname = beta\n[commands]\nhi = /bin/echo hi\n")
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        told = daemon.wait_for("configuration read again, changed: (.*)", seen)[1]
        assert set(told.split(", ")) == {"telnet.anonymous", "commands"}
        assert daemon.wait_for("need a restart: (.*)", seen)[1] == "node.name"
        assert before.ask("load").code == 200
    with daemon.connect() as after:
        assert after.ask("load").code == 401
    with daemon.connect_unix() as admin:
        assert admin.ask("do hi").block == ["hi", "exit 0"]
    for ini, told in (("[telnet]\nanonymous = read\n", {"telnet.anonymous", "commands"}), ("", {"nothing"})):
        daemon.configure(ini)
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        changed = daemon.wait_for("configuration read again, changed: (.*)", seen)[1]
        assert set(changed.split(", ")) == told


def test_a_bad_new_configuration_changes_nothing(start_daemon: StartDaemon) -> None:
    """Every mistake is in the log; the daemon keeps what it has, and takes the next good one."""
    daemon = start_daemon(ini="[telnet]\nanonymous = none\n")
    daemon.configure("[telnet]\nanonymous = all\nmax_lin = 3\n")
    seen = len(daemon.lines)
    daemon.signal(signal.SIGHUP)
    for word in ("read or none", "max_line"):
        daemon.wait_for(f"the configuration stays as it was: .*{re.escape(word)}", seen)
    with daemon.connect() as line:
        assert line.ask("load").code == 401
    daemon.configure("[telnet]\nanonymous = read\n")
    seen = len(daemon.lines)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("changed: telnet.anonymous", seen)
    with daemon.connect() as line:
        assert line.ask("load").code == 200


def test_it_raises_its_file_limit_to_what_it_may_need(start_daemon: StartDaemon) -> None:
    """A shell's soft limit of 1024 files does not turn the thousandth client away."""
    daemon = start_daemon(ini="[telnet]\nmax_connections = 3000\n")
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    match = re.search(r"Max open files +(\d+) +(\d+)", limits)
    assert match
    assert int(match[1]) >= min(3000, int(match[2]))


def test_the_options_of_the_contract(start_daemon: StartDaemon) -> None:
    """Command line over file over default."""
    daemon = start_daemon(
        "--node-id", "7", "--name", "gamma", "--source", "memory", "--set", "node.speed=20000",
        ini="[node]\nname = filed\nid = 9\n",
    )  # fmt: skip
    with daemon.connect() as line:
        assert re.fullmatch(r"220 gomd \S+ node 7 gamma", line.greeting)


def test_version_and_help_need_no_configuration(tmp_path: Path) -> None:
    """They print and exit."""
    (tmp_path / "gomd.ini").write_text("[broken\n")
    for option, word in (("--version", "gomd "), ("--help", "--state-dir")):
        found = subprocess.run(
            [TWISTD, "-n", "gomd", option], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        assert found.returncode == 0
        assert word in found.stdout


def test_a_unix_socket_in_use_by_another_is_not_taken(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A socket that answers is somebody's; a file that is no socket is left alone."""
    first = start_daemon()
    (tmp_path / "other").mkdir()
    options = ("--state-dir", str(tmp_path / "other" / "state"), "--telnet")
    assert "another daemon answers" in refusal(run(tmp_path / "other", *options, f"unix:{first.socket}"))
    plain = tmp_path / "plain"
    plain.write_text("precious")
    assert "no socket" in refusal(run(tmp_path / "other", *options, f"unix:{plain}"))
    assert plain.read_text() == "precious"
