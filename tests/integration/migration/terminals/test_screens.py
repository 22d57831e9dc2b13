"""Programs that draw on a terminal or ask for its size go on behind a move."""

from __future__ import annotations

import threading
import time

from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job
from tests.integration.migration.prompt import PromptJob
from tests.integration.migration.terminals.shells import SOON, go_on, need, shell, there


def test_the_size_changes_behind_a_move(hosts: list[Host], user: str) -> None:
    """And during one: the program hears it where it is then."""
    program = "trap 'echo now $(stty size)' WINCH; while :; do sleep 0.1; done"
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    time.sleep(SOON)
    for number in range(4):
        job.move(there(number))
        job.resize(30 + number, 100)
        job.see(f"now {30 + number} 100")
    mover = Mover(job, "2")
    job.resize(50, 90)
    mover.wait()
    job.see("now 50 90")
    job.type("\x03")
    assert job.wait() == 130


class Mover:
    """A move that is asked for while something else is done."""

    def __init__(self, job: Job, target: str) -> None:
        self._thread = threading.Thread(target=job.move, args=(target,))
        self._thread.start()

    def wait(self) -> None:
        """Wait until it has moved."""
        self._thread.join()


def test_much_output(hosts: list[Host], user: str) -> None:
    """No line of it is lost or comes twice, however often it moves meanwhile."""
    program = (
        "trap go=1 USR1; until [ $go ]; do i=$((i+1)); printf $i.%d'\\n' {1..200}; sleep 0.01; done; exit 0"
    )
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see(r"5\.200\r\n")
    for number in range(4):
        job.move(there(number))
    go_on(job)
    assert job.wait() == 0
    lines = job.drawn.split(b"\r\n")
    assert lines.pop() == b""
    if lines[-1].endswith(b"User defined signal 1"):  # what bash says of its sleep
        lines.pop()
    assert len(lines) % 200 == 0
    assert lines == [b"%d.%d" % (number // 200 + 1, number % 200 + 1) for number in range(len(lines))]


def test_an_editor(hosts: list[Host], user: str) -> None:
    """Vi is in the middle of a line, and knows the new size of the window behind the move."""
    need("vim")
    job = PromptJob(hosts[0], "vim", "-u", "NONE", "-N", user=user)
    job.see("VIM")
    job.type("ihello")
    job.see("hello")
    for number in range(2):
        job.move(there(number))
        job.type(" more")
        job.see("more")
    job.type("\x1b")
    job.resize(30, 100)
    eventually(lambda: _columns(job) == b"100")  # it hears of the size in its own time
    job.type(":.w !cat\n")
    job.see("hello more more")
    job.type("\n:q!\n")
    assert job.wait() == 0


def _columns(vi: PromptJob) -> bytes:
    """Ask vi how wide its window is."""
    vi.type(":set columns?\n")
    return vi.see(r"columns=(\d+)\D")[1]


def test_a_pager_at_the_end_of_a_pipe(hosts: list[Host], user: str) -> None:
    """It has /dev/tty open beside the pipe, and another process of the pipe waits until it is done."""
    need("less")
    job = shell(hosts[0], user)
    job.type("seq 100000 | less; echo over\n")
    job.see(r"\r\n23\r\n")
    job.move("2")
    job.type(" ")
    job.see(r"\r\n46\r\n")
    job.move("home")
    job.type("q")
    job.see(r"over\r\n.*ready> $")
    job.type("exit\n")
    assert job.wait() == 0


def test_top_goes_on(hosts: list[Host], user: str) -> None:
    """It draws by itself, each second."""
    need("top")
    job = PromptJob(hosts[0], "top", "-d", "1", user=user)
    for number in range(2):
        job.see("load average")
        job.move(there(number))
    job.see("load average")
    job.type("q")
    assert job.wait() == 0
