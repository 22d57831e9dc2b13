"""
Jobs that asked to be told of the end of their parent (PR_SET_PDEATHSIG) move and are not told of any.

On the target node criu is the parent of nothing: it is a child of the job's supervisor, as the copy is.
"""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import TOUR, Job

#: Three generations of processes, each with a death signal; they tell it whenever they are asked.
_FAMILY = """
import ctypes, os, signal, sys, time
prctl = ctypes.CDLL(None).prctl
def tell(number, frame):
    print("died", flush=True)
    os._exit(0)
def own():
    found = ctypes.c_int()
    prctl(2, ctypes.byref(found))
    return found.value
def child(number, below):
    to, answer = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(number, tell)
        prctl(1, number)
        os.close(to[1])
        more = below()
        while os.read(to[0], 1):
            os.write(answer[1], b"%d %s " % (own(), more()))
        while True:
            time.sleep(1)
    def ask():
        os.write(to[1], b"?")
        return os.read(answer[0], 100)
    ask.pid = pid
    return ask
prctl(1, int(sys.argv[1]))
nothing = lambda: (lambda: b"")
first = child(signal.SIGUSR1, lambda: child(signal.SIGHUP, nothing))
for line in sys.stdin:
    if line == "kill\\n":
        os.kill(first.pid, signal.SIGKILL)
        os.waitpid(first.pid, 0)
        continue
    print(own(), *first().decode().split(), flush=True)
"""


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR2])
def test_a_family_with_death_signals_moves(three: list[Host], user: str, number: int) -> None:
    """All of them are told nothing, keep what they asked for, and get it when a parent really ends."""
    job = Job(three[0], "-n", "1", "/usr/bin/python3", "-c", _FAMILY, str(int(number)), user=user)
    expected = f"{int(number)} {int(signal.SIGUSR1)} {int(signal.SIGHUP)}"

    def told(lines: int) -> list[str]:
        job.write(b"tell\n")
        assert eventually(lambda: job.out.count(b"\n") >= lines), (job.out, job.err, job.row())
        return job.out.decode().splitlines()

    assert told(1) == [expected]
    for count, target in enumerate((*TOUR, *TOUR), 2):
        job.move(target)
        assert told(count) == [expected] * count
    job.write(b"kill\n")
    assert eventually(lambda: job.out.endswith(b"died\n")), (job.out, job.err)
    job.close()
    assert (job.wait(), job.err) == (0, b"")


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_program_that_setpriv_has_started(three: list[Host], user: str) -> None:
    """It comes out of its tour with what it would have said at home."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed: make system")
    words = ("setpriv", "--pdeathsig", "TERM", "/bin/cat")
    job = Job(three[0], "-n", "1", *words, user=user)
    for target in TOUR:
        job.write(target.encode() + b"\n")
        job.move(target)
    job.close()
    assert (job.wait(), job.out, job.err) == (0, b"2\n3\nhome\n", b"")
