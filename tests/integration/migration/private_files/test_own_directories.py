"""What a job finds in its own temporary directories, and that it is gone with the job."""

from __future__ import annotations

import pytest

from tests.integration.cluster.asking import eventually
from tests.integration.hosts import Host
from tests.integration.migration.private_files.running import PYTHON, USERS, run, spools


@pytest.mark.parametrize("user", USERS)
def test_a_job_has_its_own(two: list[Host], user: str) -> None:
    """They are empty, everybody may write to them, and nothing in them has another user's rights."""
    script = (
        "ls -A /tmp /var/tmp /dev/shm; stat -c %a /tmp /var/tmp /dev/shm; echo $TMPDIR; grep -c nosuid,nodev"
    )
    status, out, err = run(two[0], "sh", "-c", f"{script} /proc/self/mountinfo | grep -c .", user=user)
    assert (status, err) == (0, "")
    assert out.split() == ["/dev/shm:", "/tmp:", "/var/tmp:", "1777", "1777", "1777", "/tmp", "1"]


def test_what_the_job_names_is_there(two: list[Host]) -> None:
    """The program, an argument, its directory, also in a line of shell: at their own paths, and no more."""
    host = two[0]
    host.run("sh", "-c", """
        mkdir -m 755 /tmp/named /tmp/secret; echo in > /tmp/named/in; echo one > /tmp/one
        echo other > /tmp/other
        printf '#!/bin/sh\\necho script; ls /tmp\\n' > /tmp/script; chmod 755 /tmp/script
        echo x > /tmp/secret/x; chmod 700 /tmp/secret; chmod 777 /tmp/named
    """)  # fmt: skip
    assert run(host, "cat", "/tmp/one", "/tmp/named/in") == (0, "one\nin\n", "")
    assert run(host, "sh", "-c", "cat </tmp/one; ls /tmp") == (0, "one\none\n", "")
    assert run(host, "/tmp/script") == (0, "script\nscript\n", "")
    assert run(host, "sh", "-c", "echo new > /tmp/named/new") == (0, "", "")
    assert host.run("cat", "/tmp/named/new") == "new\n"
    status, _out, err = run(host, "cat", "/tmp/secret/x")
    assert (status, "Permission denied" in err) == (1, True)


def test_what_the_job_does_not_find(two: list[Host]) -> None:
    """One sentence says why, and names the option that helps; with the option the file is there."""
    host = two[0]
    host.run("sh", "-c", "echo data > /tmp/data")
    program = "print(open('/' + 'tmp/data').read())"
    status, _out, err = run(host, PYTHON, "-c", program)
    assert status == 1
    assert err.split("\n")[-2].startswith(
        "gom: there was no /tmp/data in the /tmp that the job has of its own"
    )
    assert "--shared-tmp" in err
    assert run(host, "--shared-tmp", PYTHON, "-c", program) == (0, "data\n\n", "")


def test_a_result_that_is_removed_with_the_job(two: list[Host]) -> None:
    """It is said, not left to be found out."""
    status, _out, err = run(two[0], "sh", "-c", "echo result > /tmp/result")
    assert status == 0
    assert "/tmp/result was in the job's own /tmp and was removed with it" in err


def test_links_lead_where_the_user_may_go(two: list[Host]) -> None:
    """A link in /tmp shows a user nothing that is closed to them, though root's supervisor binds it."""
    host = two[0]
    closed = host.home / "closed"
    (closed / "open").mkdir(parents=True, exist_ok=True)
    (closed / "open/secret").write_text("secret")
    closed.chmod(0o700)
    host.run("ln", "-sfn", str(closed / "open"), "/tmp/way")
    status, out, _err = run(host, "cat", "/tmp/way/secret")
    assert (status, out) == (1, "")


@pytest.mark.parametrize("user", USERS)
def test_a_tree_that_is_hard_to_remove(two: list[Host], user: str) -> None:
    """Deep, closed and full of links: it is gone with the job, and what the links lead to is not."""
    home = two[0]
    kept = home.home / "kept"
    kept.mkdir(exist_ok=True)
    (kept / "file").write_text("kept")
    script = (
        "import os; os.chdir('/var/tmp')\n"
        "for i in range(1200): os.mkdir('d'); os.chdir('d')\n"
        f"os.symlink('{kept}', 'link'); os.symlink('{kept}', '/tmp/link'); os.chmod('/var/tmp/d', 0)"
    )
    assert run(home, PYTHON, "-c", script, user=user)[0] == 0
    eventually(lambda: not spools(home))
    assert (kept / "file").read_text() == "kept"
