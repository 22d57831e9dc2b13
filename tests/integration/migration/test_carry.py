"""Files that travel with a job between two hosts with file systems of their own, and come home at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cluster.asking import ask, eventually
from tests.integration.hosts import Host
from tests.integration.migration.moving import Gom, Job, end_jobs

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
    end_jobs([first, second])  # their files come home while there is a place for them
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
    """Open files and the working directory go there and back; home sees nothing of it until the end."""
    first, _second = own
    write(first, f"{WORK}/in", "".join(f"{number}\n" for number in range(200)))
    script = (
        "chdir shift; open I, '<', 'in'; open O, '>>', $ARGV[0]; O->autoflush; "
        "while (<I>) { print O $_ * $_, qq(\\n); select undef, undef, undef, 0.05 } system 'pwd'"
    )
    first.run("chown", "root" if user == "root" else NOBODY, WORK)
    words = ("perl", "-MIO::Handle", "-e", script, WORK, f"{WORK}/out")
    job = Job(first, "-n", "1", "--carry", WORK, *words, user=user)
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
    script = f"cd {WORK}; read go; echo two > data; exit 5"
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", script, user="nobody")
    write(first, f"{WORK}/data", "changed here\n")
    write(first, f"{WORK}/same", "changed here as well\n")
    job.write(b"go\n")
    assert job.wait() == 5
    beside = f"{WORK}/data.gomd-1-{job.number}"
    said = f"{WORK}/data was changed here meanwhile and is kept: the job's version is {beside}"
    assert said in job.err.decode()
    assert read(first, f"{WORK}/data") == "changed here\n"
    assert read(first, f"{WORK}/same") == "changed here as well\n"
    assert read(first, beside) == "two\n"
    assert beside in str(job.row()["reason"])


def test_a_lost_job_changes_nothing(own: tuple[Host, Host]) -> None:
    """Home stays as it was, and that is said."""
    first, second = own
    write(first, f"{WORK}/data", "one\n")
    script = f"echo two > {WORK}/data; sleep 100"
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", script, user="nobody")
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
    script = f"cd {WORK}; read go; cat in > out"
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", script, user="nobody")
    for host in (second, first):
        host.daemon.kill()
        host.daemon.start()
    eventually(lambda: ask(first, "nodes").code == 201)
    job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert read(first, f"{WORK}/out") == "hello\n"


def test_a_full_disk_at_home(own: tuple[Host, Host]) -> None:
    """The status is the job's, a sentence says where its files are, and `gom carry` brings them later."""
    first, second = own
    first.run("mount", "-o", "remount,size=256k", OWN)
    script = f"cd {WORK}; read go; head -c 1000000 /dev/zero > big; echo done > small"
    job = Job(first, "-n", "2", "--carry", WORK, "sh", "-c", script, user="nobody")
    job.write(b"go\n")
    assert job.wait() == 0
    said = job.err.decode()
    why = f"{WORK}/big: No space left on device"
    assert f"not all carried files could come home: {why}" in said
    assert f"try `gom carry {job.number}`" in said
    assert names(first, WORK) == ["small"]
    assert ask(first, f"carry {job.number}").code == 405
    first.run("mount", "-o", "remount,size=10m", OWN)
    again = Gom(first, "carry", str(job.number), user="nobody")
    assert again.wait() == 0, again.err
    assert first.run("stat", "-c", "%s", f"{WORK}/big") == "1000000\n"
    assert eventually(lambda: not carried(second) and not carried(first))
    assert ask(first, f"carry {job.number}").code == 404


def test_a_detached_job_and_one_that_ends_by_a_signal(own: tuple[Host, Host]) -> None:
    """Their files come home too, and nobody has to be attached for it."""
    first, _second = own
    words = ("run", "--detach", "-n", "2", "--carry", WORK, "sh", "-c", f"echo one > {WORK}/one")
    gom = Gom(first, *words, user="nobody")
    assert gom.wait() == 0, gom.err
    assert eventually(lambda: names(first, WORK) == ["one"])
    script = f"echo two > {WORK}/two; kill -KILL $$"
    assert run(first, "-n", "2", "--carry", WORK, "sh", "-c", script)[0] == 137
    assert names(first, WORK) == ["one", "two"]


def test_a_job_that_stays_at_home(own: tuple[Host, Host]) -> None:
    """It works on copies there as well: nothing at home changes until its end."""
    first, _second = own
    write(first, f"{WORK}/data", "one\n")
    script = f"read go; echo two > {WORK}/data; echo x > {WORK}/new; read go"
    carried_files = ("--carry", f"{WORK}/data", f"--carry={WORK}/new")
    job = Job(first, "-n", "1", *carried_files, "sh", "-c", script, user="nobody")
    job.write(b"go\n")
    assert read(first, f"{WORK}/data") == "one\n"
    job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert (read(first, f"{WORK}/data"), read(first, f"{WORK}/new")) == ("two\n", "x\n")
    assert eventually(lambda: not carried(first))


def test_set_id_programs_have_no_rights(own: tuple[Host, Host]) -> None:
    """
    In a user's job that carries files, wherever it runs and moves to.

    It sees files where its user could have put none, and such a program may look for its own there.
    """
    first, _second = own
    program, path = f"{OWN}/id", f"{WORK}/in"
    for host in own:
        host.run("chmod", "755", OWN)
        host.run("install", "-m", "4755", "/usr/bin/id", program)
    write(first, path, "x\n")
    for node in ("1", "2"):
        assert run(first, "-n", node, program, "-u")[:2] == (0, "0\n")
        assert run(first, "-n", node, "--carry", path, program, "-u")[:2] == (0, f"{NOBODY}\n")
        assert run(first, "-n", node, "--carry", path, program, "-u", user="root")[:2] == (0, "0\n")
    script = f"read go; {program} -u; read go; {program} -u"
    job = Job(first, "-n", "1", "--carry", path, "sh", "-c", script, user="nobody")
    for target in ("2", "home"):
        job.move(target)
        job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert job.out.split() == [NOBODY.encode()] * 2


def test_where_files_cannot_appear_is_said_before_the_freeze(own: tuple[Host, Host]) -> None:
    """A dry run and a move refuse in the same words, and the job goes on."""
    first, second = own
    second.run("install", "-d", WORK)
    second.run("touch", f"{WORK}/data")
    write(first, f"{WORK}/data", "one\n")
    script = f"read go; cat {WORK}/data"
    job = Job(first, "-n", "1", "--carry", f"{WORK}/data", "sh", "-c", script, user="nobody")
    for words in ("2", "2 dry-run"):
        said = ask(first, f"migrate {job.pid} {words}")
        assert said.code == 405, said
        assert f"{WORK}/data on node 2 h2 is not the user's to replace" in said.text
    job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert job.out == b"one\n"


def test_files_in_tmp_travel_too(own: tuple[Host, Host]) -> None:
    """Below /tmp the job has directories of its own, and its carried files are in them at their own paths."""
    first, second = own
    for host in (first, second):
        host.run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/var/tmp")
    try:
        write(first, "/var/tmp/in", "".join(f"{number}\n" for number in range(100)))
        first.run("install", "-d", "-o", NOBODY, "/var/tmp/deep")
        script = "cd /var/tmp; read go; cat in > deep/out; echo x > mine; read go; ls"
        carry = ("--carry", "/var/tmp/in", "--carry", "/var/tmp/deep")
        job = Job(first, "-n", "1", *carry, "sh", "-c", script, user="nobody")
        job.move("2")
        job.write(b"go\n")
        job.move("home")
        job.write(b"go\n")
        assert job.wait() == 0, job.err
        assert job.out.split() == [b"deep", b"in", b"mine"]
        assert read(first, "/var/tmp/deep/out") == read(first, "/var/tmp/in")
        assert names(first, "/var/tmp") == ["deep", "in"]
        assert names(second, "/var/tmp") == []
    finally:
        for host in (first, second):
            host.run("umount", "-l", "/var/tmp")


def test_what_is_made_for_carried_files_is_removed(own: tuple[Host, Host]) -> None:
    """A node where the user may write gets empty files and directories meanwhile; only these are removed."""
    first, second = own
    second.run("install", "-d", "-o", NOBODY, WORK)
    write(first, f"{WORK}/in", "x\n")
    first.run("install", "-d", "-o", NOBODY, f"{WORK}/a/b")
    carry = ("--carry", f"{WORK}/in", "--carry", f"{WORK}/a/b/out")
    script = f"echo y > {WORK}/a/b/out; echo z > {WORK}/kept; read go"
    job = Job(first, "-n", "2", *carry, "sh", "-c", script, user="nobody")
    assert eventually(lambda: "kept" in names(second, WORK))
    assert (read(second, f"{WORK}/in"), read(second, f"{WORK}/a/b/out")) == ("", "")
    job.write(b"go\n")
    assert job.wait() == 0, job.err
    assert read(first, f"{WORK}/a/b/out") == "y\n"
    assert eventually(lambda: names(second, WORK) == ["kept"])
