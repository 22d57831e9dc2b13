"""`gom run` at the prompt of a shell: in the background, Ctrl-Z, Ctrl-C, `~.`, pipelines and loops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, begin, gom, job, jobs, running, until
from tests.integration.prompt import Prompt

pytestmark = pytest.mark.usefixtures("run_program")


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Iterator[Daemon]:
    """A daemon, whose jobs are ended after the test."""
    started = start_daemon()
    yield started
    for row in jobs(started):
        if row["state"] == "running":
            gom(started, "kill", str(row["job"]), "KILL")
    until(lambda: all(row["state"] != "running" for row in jobs(started)))


@pytest.fixture
def prompt(
    daemon: Daemon, tmp_path: Path, run_program: str, request: pytest.FixtureRequest
) -> Iterator[Prompt]:
    """A person at a prompt."""
    with Prompt(daemon.unix, tmp_path, request.param.split()) as started:
        yield started


def state(pid: int) -> str:
    """Return the state of a process, as ps shows it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_jobs_in_the_background(prompt: Prompt) -> None:
    """`&`, a loop and `wait`: they end by themselves, have no terminal, and the shell keeps the keys."""
    assert "not a tty" in prompt.run("gom run tty & wait $!")
    prompt.type("for i in 1 2 3; do gom run sh -c 'sleep 1; echo job' & done; wait; echo all over\n")
    text = prompt.wait("\nall over\n")
    assert len(re.findall("(?m)^job$", text)) == 3
    assert "Stopped" not in text
    assert re.search(r"(?m)^speed", prompt.mode())


def test_a_job_that_reads_in_the_background_and_is_brought_to_the_foreground(
    daemon: Daemon, prompt: Prompt
) -> None:
    """Until `fg` the keys are the shell's; from then on they are the job's."""
    prompt.run("gom run sed s/^/got-/ &")
    running(daemon)
    assert prompt.run("echo for the shell").endswith("for the shell\n")
    prompt.type("fg\n")
    prompt.wait("gom run sed")
    prompt.type("hello\n\x04")
    prompt.wait("\ngot-hello\n")
    assert prompt.run("echo status $?").endswith("status 0\n")


def test_ctrl_z_stops_both_and_fg_continues_both(daemon: Daemon, prompt: Prompt) -> None:
    """Without a job terminal: the shell says Stopped when the job's first process has; then it goes on."""
    prompt.type("gom run -T sh -c 'echo up; read x; echo heard $x'\n")
    prompt.wait("\nup\n")
    pid = running(daemon)["pid"]
    prompt.type("\x1a")
    prompt.wait("Stopped")
    assert state(pid) == "T"
    prompt.type("fg\n")
    prompt.wait("gom run -T")
    until(lambda: state(pid) == "S")
    prompt.type("me\n")
    prompt.wait("heard me\n")


def test_ctrl_z_on_the_terminal_of_a_job(daemon: Daemon, prompt: Prompt) -> None:
    """Its first process is stopped by its own terminal; ours has its modes back until `fg`."""
    before = prompt.mode()
    prompt.type("gom run sh -c 'echo up; read x; echo heard $x; read x; echo heard $x'\n")
    prompt.wait("up\n")
    pid = running(daemon)["pid"]
    for word in ("one", "two"):
        prompt.type("\x1a")
        prompt.wait("Stopped")
        assert state(pid) == "T"
        assert prompt.mode() == before
        prompt.type("fg\n")
        prompt.wait("gom run")
        until(lambda: state(pid) == "S")
        prompt.type(f"{word}\r")
        prompt.wait(f"heard {word}\n")
    assert prompt.run("echo status $?").endswith("status 0\n")


def test_a_stopped_job_goes_on_in_the_background(daemon: Daemon, prompt: Prompt) -> None:
    """`bg` continues it, and the terminal is the shell's."""
    prompt.type("gom run -T sh -c 'echo up; sleep 2; echo finished'\n")
    prompt.wait("\nup\n")
    prompt.type("\x1a")
    prompt.wait("Stopped")
    prompt.run("bg")
    assert prompt.run("echo mine").endswith("mine\n")
    prompt.wait("finished\n")
    prompt.run("wait; true")


def test_a_job_that_ignores_ctrl_z(daemon: Daemon, prompt: Prompt) -> None:
    """Nothing stops; it is as without `gom run`."""
    prompt.type("gom run -T sh -c 'trap \"\" TSTP; echo up; sleep 1; echo down'\n")
    prompt.wait("\nup\n")
    prompt.type("\x1a")
    assert "Stopped" not in prompt.wait("down\n")


def test_three_ctrl_c_end_a_job_that_does_not(daemon: Daemon, prompt: Prompt) -> None:
    """It gets each of them; the second asks, the third kills."""
    prompt.type("gom run -T sh -c 'trap \"echo no\" INT; echo up; while :; do sleep 0.1; done'\n")
    prompt.wait("\nup\n")
    prompt.type("\x03")
    prompt.wait("no\n")
    prompt.type("\x03")
    prompt.wait("job 1 still runs; press Ctrl-C once more to kill it\n")
    prompt.type("\x03")
    prompt.wait("job 1 is killed\n")
    assert prompt.run("echo status $?").endswith("status 137\n")


@pytest.mark.parametrize("option", ["-T", "-t"])
def test_ctrl_c_leaves_a_loop(daemon: Daemon, prompt: Prompt, tmp_path: Path, option: str) -> None:
    """Of a shell that is typed to, and of a script: gom ends by the signal that has ended its job."""
    loop = f"for i in 1 2 3; do echo turn $i; gom run {option} sh -c 'echo up; exec sleep 1000'; done"
    (tmp_path / "script").write_text(f"{loop}\necho not reached\n")
    for line in (loop, f"sh {tmp_path}/script"):
        prompt.type(f"{line}\n")
        prompt.wait("\nup\n")
        running(daemon)
        prompt.type("\x03")
        prompt.idle()
        assert prompt.run("echo status $?").endswith("status 130\n")
        assert len(jobs(daemon)) == (1 if line == loop else 2)


def test_the_way_out_of_a_job_with_a_terminal(daemon: Daemon, prompt: Prompt) -> None:
    """`~.` at the start of a line: the job ends as at a closed terminal, ours has its modes again."""
    before = prompt.mode()
    prompt.type("gom run sh -c 'stty raw -echo; echo up; exec sleep 1000'\n")
    prompt.wait("\nup\n")
    number = running(daemon)["job"]
    prompt.type("\x03\x1ax~.\r~?")
    assert "~^Z  suspend gom" in prompt.wait("at the start of a line only.\n")
    prompt.type("~.")
    prompt.wait("~\\.\n")
    assert prompt.run("echo status $?").endswith("status 129\n")
    assert prompt.mode() == before
    until(lambda: job(daemon, number)["state"] == "done")


def test_suspending_by_an_escape(daemon: Daemon, prompt: Prompt) -> None:
    """`~^Z` stops gom alone, as ssh's; the job goes on, and after `fg` the keys are its."""
    before = prompt.mode()
    prompt.type("gom run -e % sh -c 'echo up; read x; echo heard $x'\n")
    prompt.wait("\nup\n")
    pid = running(daemon)["pid"]
    prompt.type("%\x1a")
    prompt.wait("Stopped")
    until(lambda: state(pid) == "S")
    assert prompt.mode() == before
    prompt.type("fg\n")
    prompt.wait("gom run -e %")
    prompt.type("~.me\r")
    prompt.wait("heard ~.me\n")


def test_a_loop_that_reads(prompt: Prompt, tmp_path: Path) -> None:
    """`gom run` reads the list of a `while read` loop, as ssh does, unless `--no-input` is said."""
    (tmp_path / "list").write_text("one\ntwo\nthree\n")
    prompt.type(f"while read x; do gom run --no-input cat; echo $x; done < {tmp_path}/list; echo over\n")
    assert "\none\ntwo\nthree\nover\n" in prompt.wait("\nover\n")
    prompt.type(f"while read x; do gom run cat; done < {tmp_path}/list; echo over\n")
    assert "\ntwo\nthree\nover\n" in prompt.wait("\nover\n")


def test_pipelines_and_substitutions(prompt: Prompt) -> None:
    """Early ends, `$(...)`, a script in the background: all as any command."""
    assert prompt.run("gom run yes | head -2 | tr y z").endswith("z\nz\n")
    assert prompt.run('echo "<$(gom run echo hello)>"').endswith("<hello>\n")
    assert prompt.run("echo hello | gom run cat | gom run tr h j").endswith("jello\n")
    prompt.type("(gom run echo one; gom run sh -c 'exit 3'; echo two $?) & wait; echo over\n")
    assert re.search(r"one\n[^\n]*two 3\n", prompt.wait("\nover\n"))
    assert re.search(r"(?m)^speed", prompt.mode())


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_streams(daemon: Daemon, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """`gom run ... <&-`: what is closed reads and writes as /dev/null; nothing hangs."""
    marker = tmp_path / "marker"
    script = f"cat > {marker}; echo out; echo error >&2; exit 5"
    arguments = [*GOM, "-c", daemon.unix, "run", "sh", "-c", script]
    redirections = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *arguments],
        input=b"in", capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert marker.read_bytes() == (b"" if 0 in closed else b"in")
    assert done.stdout == (b"" if 1 in closed else b"out\n")
    assert done.stderr == (b"" if 2 in closed else b"error\n")
    for words in ("nodes", "attach 1", "--version"):
        shown = subprocess.run(
            ["sh", "-c", f'"$@" {words} {redirections}', "sh", *GOM, "-c", daemon.unix],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert b"Traceback" not in shown.stderr
        assert bool(shown.stdout) is (1 not in closed and words != "attach 1")


def test_without_any_terminal(daemon: Daemon) -> None:
    """As in cron: a session of its own and nothing to read. SIGTERM is the job's."""
    script = "trap 'echo ended; exit 7' TERM; tty; echo up; while :; do sleep 0.1; done"
    started = begin(
        daemon, "run", "sh", "-c", script, stdin=subprocess.DEVNULL, start_new_session=True
    )  # fmt: skip
    assert started.stdout is not None
    assert (started.stdout.readline(), started.stdout.readline()) == (b"not a tty\n", b"up\n")
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE) == 7
    assert started.stdout.read() == b"ended\n"


def test_a_stop_that_nobody_could_end(daemon: Daemon) -> None:
    """Ctrl-Z in a session without a shell: the kernel does not stop gom, so the job goes on at once."""
    started = begin(daemon, "run", "sh", "-c", "echo up; read x; exit 6", start_new_session=True)
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    pid = running(daemon)["pid"]
    started.send_signal(signal.SIGTSTP)
    time.sleep(0.5)
    until(lambda: state(pid) == "S")
    assert state(started.pid) != "T"
    assert started.stdin is not None
    started.stdin.close()
    assert started.wait(PATIENCE) == 6


def test_ways_out_while_the_daemon_is_away(daemon: Daemon) -> None:
    """gom waits for a daemon that was killed to come back, but not against a SIGTERM."""
    started = begin(daemon, "run", "sh", "-c", "echo up; sleep 1000")
    assert started.stdout is not None
    assert started.stdout.readline() == b"up\n"
    number = running(daemon)["job"]
    daemon.kill()
    time.sleep(0.5)
    assert started.poll() is None
    started.send_signal(signal.SIGTERM)
    assert started.wait(PATIENCE) == 143
    daemon.start()
    until(lambda: job(daemon, number))
    gom(daemon, "kill", str(number), "KILL")


def test_a_job_outlives_nothing_of_its_shell(daemon: Daemon, tmp_path: Path) -> None:
    """A closed window ends the job that ran in it, in the background too."""
    with Prompt(daemon.unix, tmp_path) as prompt:
        prompt.run("gom run sleep 1000 &")
        number = running(daemon)["job"]
        os.kill(prompt.pid, signal.SIGHUP)
        until(lambda: job(daemon, number)["state"] == "done")


@pytest.mark.one_program
def test_a_daemon_that_is_started_with_closed_streams(tmp_path: Path) -> None:
    """Nothing of it gets their descriptors, and its jobs have theirs."""
    started = Daemon(tmp_path / "closed")
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *started.command()], cwd=started.home
    )
    try:
        until(lambda: started.socket.exists() and gom(started, "nodes").returncode == 0)
        streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert streams == [os.devnull] * 3
        assert gom(started, "run", "sh", "-c", "cat; echo out", stdin=b"in ").stdout == b"in out\n"
    finally:
        process.terminate()
        process.wait(PATIENCE)
