"""Mounts as real machines have them, and which of them name the same volume on another node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.mounts import mount_of, own_mounts, parse_mountinfo, shared_identity

TEXT = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
35 22 0:40 / /home rw,relatime shared:20 - nfs4 server:/export/home rw,vers=4.2,addr=10.0.0.9,local_lock=none
36 22 0:41 /a\\040b /mnt/a\\040b rw - cifs //server/share rw,addr=10.0.0.8
37 22 0:42 / /local rw - nfs localhost:/export rw,vers=3,addr=127.0.0.1
38 35 0:43 / /home/ann/remote rw - fuse.sshfs ann@host: rw
39 22 0:44 / /ceph rw - ceph 10.0.0.1,10.0.0.2:/ rw,name=admin
40 22 0:45 / /gl rw - fuse.glusterfs server:/vol rw
torn 22
"""
MOUNTS = parse_mountinfo(TEXT)


class MountTests(SynchronousTestCase):
    def test_the_mount_of_a_path(self) -> None:
        """The deepest one, by whole names; of two at one place the later."""
        for path, point in (
            ("/", "/"), ("/homely", "/"), ("/home", "/home"), ("/home/ann", "/home"),
            ("/home/ann/remote/x", "/home/ann/remote"), ("/mnt/a b/c", "/mnt/a b"),
        ):  # fmt: skip
            found = mount_of(MOUNTS, path)
            assert found is not None
            self.assertEqual(found.point, point)
        over = parse_mountinfo(TEXT + "50 22 0:50 / /home rw - tmpfs none rw\n")
        found = mount_of(over, "/home/x")
        assert found is not None
        self.assertEqual(found.kind, "tmpfs")
        self.assertIsNone(mount_of([], "/"))

    def test_volumes_that_every_node_names_alike(self) -> None:
        """By the server's address; a name, or the node itself, may be another server elsewhere."""
        for path, told in (
            ("/", ""), ("/home", "nfs 10.0.0.9 /export/home"), ("/mnt/a b", "smb 10.0.0.8 share"),
            ("/local", ""), ("/home/ann/remote", ""), ("/ceph", "ceph 7"), ("/gl", "glusterfs server:/vol"),
        ):  # fmt: skip
            found = mount_of(MOUNTS, path)
            assert found is not None
            self.assertEqual(shared_identity(found, 7), told)
        ceph = mount_of(MOUNTS, "/ceph")
        assert ceph is not None
        self.assertEqual(shared_identity(ceph, 0), "")

    def test_mounts_that_gomd_has_made_for_a_job(self) -> None:
        """Those that the daemon does not have."""
        job = parse_mountinfo(TEXT + "60 22 254:0 /var/lib/gomd/jobs/1-2/tmp /tmp rw - ext4 /dev/root rw\n")
        self.assertEqual([mount.point for mount in own_mounts(job, MOUNTS)], ["/tmp"])

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        """What is no mount is left out."""
        parse_mountinfo(text)
        parse_mountinfo(f"22 1 {text} - {text}")
