"""Terminals that a job has made itself."""

from __future__ import annotations

from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Job, process
from tests.integration.migration.terminals.shells import there
from tests.integration.migration.test_refusals import refused


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
