"""Files that travel with a job between two hosts which have a file system of their own, and come home at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Gom, Job

#: Where each host has files of its own, and a directory of user nobody at the first one.
OWN = "/srv"
WORK = f"{OWN}/work"
NOBODY = "65534"


@pytest.fixture
def own(three: list[Host]) -> Iterator[tuple[Host, Host]]:
    """Return two hosts; /srv of each is its own, and only the first one has /srv/work, which is nobody's."""
    first, second, _third = three
    for host in (first, second):
        host.run("mount", "-t", "tmpfs", "tmpfs", OWN)
    first.run("install", "-d", "-o", NOBODY, "-g", NOBODY, WORK)
    yield first, second
    for host in (first, second):
        host.run("umount", "-l", OWN)


def write(host: Host, path: str, text: str) -> None:
    """Write a file of nobody's on a host."""
    host.run("setpriv", f"--reuid={NOBODY}", "--clear-groups", "tee", path, text=text)


def read(host: Host, path: str) -> str:
    """Return what is in a file on a host."""
    return host.run("cat", path)


def names(host: Host, path: str) -> list[str]:
    """Return the names in a directory on a host."""
    return host.run("ls", "-A", path).split()


def run(host: Host, *words: str, user: str = "nobody") -> tuple[int, str, str]:
    """Run a job to its end; return its exit status and what was printed."""
    gom = Gom(host, "run", *words, user=user)
    gom.close()
    return gom.wait(), gom.out.decode(), gom.err.decode()


def test_files_go_there_and_come_home(own: tuple[Host, Host]) -> None:
    """An input, an output that is not there yet and a directory, on a node that has none of them."""
    first, second = own
    write(first, f"{WORK}/in", "hello\n")
    first.run("install", "-d", "-o", NOBODY, f"{WORK}/tree")
    write(first, f"{WORK}/tree/old", "old\n")
    write(first, f"{WORK}/tree/gone", "gone\n")
    script = (
        f"tr a-z A-Z < {WORK}/in > {WORK}/out; cd {WORK}/tree; echo more >> old; rm gone; "
        "mkdir new; echo x > new/file; ln -s file new/link; hostname"
    )
    status, out, err = run(
        first, "-n", "2", "--carry", f"{WORK}/in", f"--carry={WORK}/out", "--carry", f"{WORK}/tree",
        "sh", "-c", script,
    )  # fmt: skip
    assert (status, out, err) == (0, "h2\n", "")
    assert read(first, f"{WORK}/out") == "HELLO\n"
    assert read(first, f"{WORK}/in") == "hello\n"
    assert read(first, f"{WORK}/tree/old") == "old\nmore\n"
    assert names(first, f"{WORK}/tree") == ["new", "old"]
    assert first.run("readlink", f"{WORK}/tree/new/link") == "file\n"
    assert first.run("stat", "-c", "%u", f"{WORK}/tree/new/file") == f"{NOBODY}\n"
    assert names(second, OWN) == []
    assert eventually(lambda: not carried(second) and not carried(first))


def carried(host: Host) -> list[str]:
    """Return the directories of carried files that a host has."""
    spool = host.daemon.state / "spool"
    return [path.name for path in spool.iterdir() if path.name.endswith(".carry")]


@pytest.mark.parametrize("user", ["nobody", "root"])
def test_files_move_with_the_job(own: tuple[Host, Host], user: str) -> None:
    """Open files and the working directory travel from home to a node and back; home sees nothing until the end."""
    first, _second = own
    write(first, f"{WORK}/in", "".join(f"{number}\n" for number in range(200)))
    script = f"exec 3>>{WORK}/out; while read x; do echo $((x * x)) >&3; sleep 0.05; done < in; pwd"
    first.run("chown", "root" if user == "root" else NOBODY, WORK)
    job = Job(first, "-n", "1", "--carry", WORK, "sh", "-c", f"cd {WORK} && {script}", user=user)
    job.close()
    for target in ("2", "home", "2"):
        job.move(target)
        assert "out" not in names(first, WORK)
    assert job.wait() == 0, job.err
    assert (job.out.decode(), job.err.decode()) == (f"{WORK}\n", "")
    assert read(first, f"{WORK}/out") == "".join(f"{number * number}\n" for number in range(200))


def test_a_file_that_changed_at_home_is_kept(own: tuple[Host, Host]) -> None:
    """The job's version stands beside it, and `gom run` says so; its exit status is the command's."""
    first, _second = own
    write(first, f"{WORK}/data", "one\n")
    write(first, f"{WORK}/same", "same\n")
    job = Job(
        first, "-n", "2", "--carry", WORK, "sh", "-c", f"cd {WORK}; read go; echo two > data; exit 5", user="nobody"
    )
    write(first, f"{WORK}/data", "changed here\n")
    write(first, f"{WORK}/same", "changed here as well\n")
    job.write(b"go\n")
    assert job.wait() == 5
    beside = f"{WORK}/data.gomd-1-{job.number}"
    assert f"{WORK}/data was changed here meanwhile and is kept: the job's version is {beside}" in job.err.decode()
    assert read(first, f"{WORK}/data") == "changed here\n"
    assert read(first, f"{WORK}/same") == "changed here as well\n"
    assert read(first, beside) == "two\n"
    assert beside in str(job.row()["reason"])


def test_a_lost_job_changes_nothing(own: tuple[Host, Host]) -> None:
    """Home stays as it was, and that is said."""
    first, second = own
    write(first, f"{WORK}/data", "one\n")
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", f"echo two > {WORK}/data; sleep 100", user="nobody")
    assert eventually(lambda: "sleep" in second.run("ps", "-A", "-o", "comm"))
    pids = second.run("ps", "-A", "-o", "pid=,comm=").splitlines()
    [supervisor] = [line.split()[0] for line in pids if line.split()[1] == "gomd-job"]
    second.run("kill", "-KILL", supervisor)
    assert job.wait() == 143
    assert "the carried files at home are as they were when it began" in job.err.decode()
    assert read(first, f"{WORK}/data") == "one\n"
    assert names(first, WORK) == ["data"]


def test_what_cannot_be_carried_is_refused(own: tuple[Host, Host]) -> None:
    """A device, somebody else's secrets, too many bytes: one sentence, and nothing runs."""
    first, _second = own
    first.run("install", "-m", "600", "/dev/null", f"{OWN}/secret")
    first.run("mknod", f"{WORK}/null", "c", "1", "3")
    for path, why in (
        (f"{WORK}/null", "is a device"),
        (f"{OWN}/secret", "Permission denied"),
        ("/proc/self", "cannot be carried"),
        ("/etc/passwd", "not the user's to replace"),
    ):
        status, out, err = run(first, "-n", "2", "--carry", path, "echo", "ran")
        assert (status, out) == (1, ""), err
        assert why in err
    assert ask(first, "carry 1").code in (404, 409, 403)


def test_nothing_is_lost_when_daemons_restart(own: tuple[Host, Host]) -> None:
    """Both daemons are killed and started again while the job runs; its files come home all the same."""
    first, second = own
    write(first, f"{WORK}/in", "hello\n")
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", f"cd {WORK}; read go; cat in > out", user="nobody")
    for host in (second, first):
        host.daemon.kill()
        host.daemon.start()
    eventually(lambda: ask(first, "nodes").code == 201)
    job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert read(first, f"{WORK}/out") == "hello\n"
