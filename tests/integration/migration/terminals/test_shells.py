"""Shells move with their terminals and their job control, and a move that fails changes nothing."""

from __future__ import annotations

import time

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.prompt import PromptJob
from tests.integration.migration.terminals.shells import MOVES, SOON, shell, there


def test_a_shell_moves_ten_times(hosts: list[Host], user: str) -> None:
    """Job control, the size, and what is in the background: nothing of it is noticed."""
    job = shell(hosts[0], user)
    job.type("tty; sleep 1000 &\n")
    job.see(r"/dev/pts/0.*ready> $")
    for number in range(MOVES):
        job.move(there(number))
        job.type("jobs; echo $((6*7)) $(stty size)\n")
        job.see(r"Running.*sleep.*42 24 80.*ready> $")
    assert b"Stopped" not in job.drawn
    job.type("fg\n")
    job.see("sleep 1000")
    time.sleep(SOON)
    job.move("2")
    job.type("\x1a")
    job.see(r"Stopped.*ready> $")
    job.move("home")
    job.type("bg; jobs\n")
    job.see(r"Running.*ready> $")
    job.type("fg\n")
    time.sleep(SOON)
    job.move("2")
    job.type("\x03")
    job.see(r"ready> $")
    job.type("exit 7\n")
    assert job.wait() == 7


def test_the_prompt_of_python(hosts: list[Host], user: str) -> None:
    """It keeps what was said, and Ctrl-C reaches what it does."""
    job = PromptJob(hosts[0], "python3", user=user)
    job.see(">>> $")
    job.type("x = 41; import time\n")
    job.see(">>> $")
    for number in range(2):
        job.move(there(number))
        job.type("x + 1\n")
        job.see(r"42\r\n>>> $")
        job.type("time.sleep(1000)\n")
        time.sleep(SOON)
        job.type("\x03")
        job.see("KeyboardInterrupt.*>>> $")
    job.type("\x04")
    job.wait()


def test_dash_with_a_job_in_the_background(hosts: list[Host], user: str) -> None:
    """It keeps /dev/tty open for its job control."""
    job = shell(hosts[0], user, "dash", "-i")
    job.type("sleep 1000 &\n")
    job.see(r"ready> $")
    job.move("2")
    job.type("jobs\n")
    job.see(r"Running.*ready> $")
    job.type("fg\n")
    time.sleep(SOON)
    job.move("home")
    job.type("\x03")
    job.see(r"ready> $")
    job.type("exit\n")
    job.wait()


def test_script_goes_on(hosts: list[Host], user: str) -> None:
    """It waits in poll(2) for both terminals and expects no signal: it is not told of one."""
    job = shell(hosts[0], user, "script", "-q", "-c", "bash --norc", "/dev/null")
    for number in range(4):
        job.move(there(number))
        job.type("tty; echo $((6*7))\n")
        job.see(r"pts/1.*42.*ready> $")
    job.resize(33, 111)
    time.sleep(SOON)
    job.type("stty size\n")
    job.see("33 111")
    job.type("exit\n")
    assert job.wait() == 0


def test_the_caller_goes_away_behind_a_move(hosts: list[Host], user: str) -> None:
    """What is in the foreground is hung up like the shell, wherever it is."""
    job = shell(hosts[0], user)
    job.type("trap '' HUP; sh -c 'trap \"exit 0\" HUP; sleep 1000'\n")
    time.sleep(SOON)
    job.move("2")
    began = time.monotonic()
    job.process.kill()
    eventually(lambda: job.row()["state"] == "done")
    assert time.monotonic() - began < 30


_IN_TRANSIT = (
    "import socket, time; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0]); time.sleep(1000)"
)


def test_a_move_that_fails_changes_nothing(hosts: list[Host]) -> None:
    """The shell runs on with its job, and does not take the freeze for a Ctrl-Z."""
    job = shell(hosts[0], "nobody")
    job.type(f'python3 -c "{_IN_TRANSIT}" &\n')
    job.see(r"ready> $")
    time.sleep(SOON)
    for _ in range(5):
        said = ask(hosts[0], f"migrate {job.pid} 2")
        assert (said.code, "it has sent open files" in said.text) == (405, True), said
        job.type("jobs; echo $((6*7))\n")
        job.see(r"Running.*42.*ready> $")
    assert b"Stopped" not in job.drawn
    job.type("exit\n")
    job.wait()
