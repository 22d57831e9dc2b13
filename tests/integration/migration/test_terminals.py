"""
What people try first at a prompt: shells, editors and pagers move with their terminals.

Somebody types in a `gom run` on a real terminal, and goes on typing behind each move.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job, process
from tests.integration.migration.prompt import PromptJob
from tests.integration.migration.test_refusals import refused

USERS = ("root", "nobody")
MOVES = 10
#: Seconds that a program has to begin, or to take note of a signal, where nothing on the screen tells.
SOON = 0.5
#: What a shell does until it is told to `go_on`.
HOLD = "go=; trap go=1 USR1; until [ $go ]; do sleep 0.1; done; trap - USR1; "


def go_on(job: Job) -> None:
    """Let a job go on behind its `HOLD`."""
    assert ask(job.home, f"kill {job.number} USR1").code == 200


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    """Return who is at the prompt."""
    return str(request.param)


@pytest.fixture
def hosts(three: list[Host]) -> Iterator[list[Host]]:
    """Return two hosts, at the first of which somebody is; no caller is left behind."""
    yield three
    for prompt in PromptJob.opened:
        prompt.end()
    PromptJob.opened.clear()


def there(number: int) -> str:
    """Return where the move of this number goes: away, home, away ..."""
    return "home" if number % 2 else "2"


def shell(host: Host, user: str, *words: str) -> PromptJob:
    """Return a shell at its prompt."""
    job = PromptJob(host, *(words or ("bash", "--norc")), user=user)
    job.type("PS1='ready> '\n")
    job.see(r"ready> $")
    return job


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


def test_what_was_typed_ahead(hosts: list[Host], user: str) -> None:
    """Whole lines, an end of file, and half a line that is edited behind the move: all of it comes once."""
    program = HOLD + "read a; echo [$a]; cat; echo end; read b; echo [$b]"
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    time.sleep(SOON)
    job.type("one\ntwo\n\x04ab")
    time.sleep(SOON)
    job.move("2")
    job.type("\x7fX\n")
    time.sleep(SOON)
    go_on(job)
    job.see(r"\[one\].*two.*end.*\[aX\]")
    assert job.wait() == 0
    assert job.drawn.count(b"two") == 2  # its echo, and that of cat


def test_what_was_typed_ahead_in_raw_mode(hosts: list[Host], user: str) -> None:
    """No key has a meaning of its own there, and none gets one on the way."""
    program = (
        f"stty raw -echo; echo go; {HOLD} stty -raw; dd bs=1 count=6 2>/dev/null | od -An -tx1; stty sane"
    )
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("go")
    job.type(b"a\x03\x04\r\x00\x7f")
    time.sleep(SOON)
    job.move("2")
    go_on(job)
    job.see("61 03 04 0d 00 7f")
    assert job.wait() == 0


def test_a_password_is_not_shown(hosts: list[Host], user: str) -> None:
    """The terminal does not echo while a password is typed, and echoes again behind it."""
    program = "read -s -p pass: x; echo; echo =$x=; read y; echo =$y="
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("pass:")
    job.move("2")
    job.type("sec")
    job.move("home")
    job.type("ret\n")
    job.see("=secret=")
    assert job.drawn.count(b"sec") == 1
    job.type("shown\n")
    job.see("shown.*=shown=")
    assert job.wait() == 0


def test_a_large_paste(hosts: list[Host], user: str) -> None:
    """More than a terminal holds for a program that does not read yet: every byte comes, once."""
    data = b"".join(b"line %d\n" % number for number in range(8000))[:60000]
    program = f"stty -echo -icanon; echo go; {HOLD} head -c 60000 | md5sum; stty sane"
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("go")
    job.type(data)
    job.move("2")
    job.move("home")
    go_on(job)
    job.see(hashlib.md5(data, usedforsecurity=False).hexdigest())
    assert job.wait() == 0


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
    _need("vim")
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
    _need("less")
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


def test_top_goes_on(hosts: list[Host], user: str) -> None:
    """It draws by itself, each second."""
    _need("top")
    job = PromptJob(hosts[0], "top", "-d", "1", user=user)
    for number in range(2):
        job.see("load average")
        job.move(there(number))
    job.see("load average")
    job.type("q")
    assert job.wait() == 0


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


def test_an_end_of_file_behind_a_move(hosts: list[Host], user: str) -> None:
    """A program that reads lines gets them, and ends at Ctrl-D."""
    job = PromptJob(hosts[0], "cat", user=user)
    job.type("a\n")
    job.see(r"a\r\na")
    job.move("2")
    job.type("b\n")
    job.see(r"b\r\nb")
    job.type("\x04")
    assert job.wait() == 0


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


@pytest.mark.parametrize("call", ["select(undef, undef, undef, 3)", "sleep(3)", "usleep(2900000)"])
def test_a_sleep_is_as_long_as_it_was_to_be(hosts: list[Host], call: str) -> None:
    """A move does not end it: whoever sleeps without expecting a signal looks at no error."""
    program = (
        "use Time::HiRes qw(usleep time); $| = 1; $b = time; print qq(go\\n); "
        f"{call}; print time - $b >= 2.8 ? qq(whole\\n) : qq(cut\\n)"
    )
    job = Job(hosts[0], "-n", "1", "perl", "-e", program, user="nobody")
    eventually(lambda: job.out == b"go\n")
    job.move("2")
    assert job.wait() == 0
    assert job.out == b"go\nwhole\n"


def test_a_terminal_that_the_job_made_itself(hosts: list[Host], user: str) -> None:
    """A shell that python has started on one, with the process at its other end."""
    program = "import pty, os; os._exit(os.waitstatus_to_exitcode(pty.spawn(['bash', '--norc'])))"
    job = Job(hosts[0], "-n", "1", "python3", "-c", program, user=user)
    for number in range(4):
        job.move(there(number))
        job.write(b"tty; echo $((6*7))\n")
        eventually(lambda number=number: job.out.count(b"42\r\n") == number + 1)  # type: ignore[misc]
    job.write(b"exit 5\n")
    assert job.wait() == 5


def test_dev_tty_of_a_terminal_that_the_job_made_itself(hosts: list[Host], user: str) -> None:
    """criu cannot carry it; the refusal says that beforehand, as `cantmove` does."""
    program = "import pty; pty.spawn(['dash', '-i'])"
    job = Job(hosts[0], "-n", "1", "python3", "-c", program, user=user)
    eventually(lambda: job.out.endswith((b"# ", b"$ ")))
    eventually(lambda: "/dev/tty" in process(hosts[0], job.pid)["cantmove"])
    refused(job, "a terminal that it has made itself is open as /dev/tty")


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


def _need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: make system")
