"""Which temporary directories are a job's own, by what the kernel shows of its mounts."""

from __future__ import annotations

from gomd.jobs.checkpoint.private_mounts import PrivateView, private_view

_OWN = """\
20 1 254:0 / / rw - ext4 /dev/vda rw
21 20 0:30 / /dev/shm rw - tmpfs tmpfs rw
22 20 0:31 / /tmp/disk rw - tmpfs tmpfs rw
"""
_JOB = """\
60 1 254:0 / / rw - ext4 /dev/vda rw
61 60 0:30 / /dev/shm rw - tmpfs tmpfs rw
62 60 0:31 / /tmp/disk rw - tmpfs tmpfs rw
63 60 254:0 /var/lib/gomd/spool/1-7/tmp /tmp rw,nosuid,nodev - ext4 /dev/vda rw
64 61 0:40 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
65 63 254:0 /tmp/a\\040b /tmp/a\\040b rw - ext4 /dev/vda rw
torn line
"""


def test_a_job_with_directories_of_its_own() -> None:
    """What is mounted in the machine's own directory, which is covered, is not shown."""
    view = private_view(_JOB, _OWN)
    assert view == PrivateView(("/tmp", "/dev/shm"), ("/tmp/a b",))
    own = ("/tmp", "/tmp/x", "/dev/shm/sem.a", "/tmp/disk/x", "/tmp/a bc")
    assert [path for path in (*own, "/tmp/a b", "/tmp/a b/c", "/var/tmp/x", "/home") if view.has(path)] == [
        *own
    ]


def test_a_job_that_shares_them() -> None:
    """It sees what this process sees, under other numbers."""
    shared = "".join(line + "\n" for line in _JOB.split("\n")[:3])
    assert private_view(shared, _OWN) == PrivateView()
    assert private_view("", "") == PrivateView()
