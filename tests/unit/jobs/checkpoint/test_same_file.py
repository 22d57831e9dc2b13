"""A file that is written must be the same on both nodes, one that is read an equal one; both are proved."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.probes import DirectoryProbe
from gomd.jobs.checkpoint.same_file import FileRequirement, Views, difference, is_the_same

LOG = FileRequirement("/data/log", 5, inode=7, written=True, device=1)
MADE, SEEN = DirectoryProbe("/data", ".gomd-probe-1", 1), DirectoryProbe("/data", ".gomd-probe-1", 9)
VIEWS = Views("alpha", "beta", "boot-a", "boot-b", (MADE,), (SEEN,))
THERE = replace(LOG, device=9)
OUT = ": share it between alpha and beta, or start the job with --carry /data/log"


class WrittenTests(SynchronousTestCase):
    def test_a_probe_beside_it_proves_it(self) -> None:
        """Whatever the inode numbers are: some network file systems make them up."""
        self.assertTrue(is_the_same(LOG, THERE, VIEWS))
        self.assertTrue(is_the_same(LOG, replace(THERE, inode=8), VIEWS))
        self.assertEqual(difference(LOG, replace(THERE, size=6), VIEWS), "")

    def test_equal_numbers_prove_nothing(self) -> None:
        """Two tmpfs count alike, and cloned machines have the same numbers of everything."""
        views = replace(VIEWS, seen=())
        told = f"/data/log is another one on beta than on alpha{OUT}"
        self.assertEqual(difference(LOG, LOG, views), told)
        self.assertEqual(difference(LOG, LOG, replace(views, made=())), told)
        self.assertEqual(difference(LOG, LOG, replace(views, target_boot="boot-a")), told)

    def test_a_probe_elsewhere_in_the_file_system(self) -> None:
        """It proves that both have the file system; the number then names the file in it."""
        made, seen = replace(MADE, directory="/data/x"), replace(SEEN, directory="/data/x")
        views = replace(VIEWS, made=(made,), seen=(seen,))
        self.assertTrue(is_the_same(LOG, THERE, views))
        self.assertFalse(is_the_same(LOG, replace(THERE, inode=8), views))
        self.assertFalse(is_the_same(LOG, replace(THERE, device=10), views), "on another one, mounted there")

    def test_a_file_mounted_over_it_on_the_other_node(self) -> None:
        """The directory is shared, and still this is another file."""
        self.assertFalse(is_the_same(LOG, replace(THERE, device=10), VIEWS))

    def test_one_kernel_below_both_nodes(self) -> None:
        """Its device and inode numbers name one file, if no probe could be made."""
        views = Views("alpha", "beta", "boot", "boot")
        self.assertTrue(is_the_same(LOG, LOG, views))
        self.assertFalse(is_the_same(LOG, THERE, views))
        self.assertFalse(is_the_same(LOG, replace(LOG, inode=8), views))
        self.assertFalse(is_the_same(replace(LOG, inode=0), replace(LOG, inode=0), views))

    def test_a_watched_file(self) -> None:
        """criu finds it by numbers of the kernel, so that being the same is not enough."""
        watched = replace(LOG, watched=True)
        self.assertIn("it watches /data/log for changes", difference(watched, THERE, VIEWS))
        self.assertEqual(difference(watched, LOG, Views("alpha", "beta", "boot", "boot")), "")

    def test_a_file_that_the_user_may_not_have(self) -> None:
        """It is named, with the user."""
        views = replace(VIEWS, user="ann")
        told = difference(LOG, replace(THERE, denied=True), views)
        self.assertEqual(told, "ann may not have /data/log on beta")

    def test_a_volume_that_both_name_alike(self) -> None:
        """Where the server lets nobody make a probe."""
        views = Views("alpha", "beta", "a", "b")
        log, there = replace(LOG, volume="nfs 10.0.0.9 /x"), replace(THERE, volume="nfs 10.0.0.9 /x")
        self.assertTrue(is_the_same(log, there, views))
        self.assertFalse(is_the_same(log, replace(there, inode=8), views))
        self.assertFalse(is_the_same(log, replace(there, volume="nfs 10.0.0.9 /y"), views))

    def test_none_there(self) -> None:
        """Nothing, or something of another kind."""
        told = f"beta has no /data/log{OUT}"
        self.assertEqual(difference(LOG, None, VIEWS), told)
        self.assertEqual(difference(LOG, replace(THERE, directory=True), VIEWS), told)


class ReadTests(SynchronousTestCase):
    def test_equal_content_will_do(self) -> None:
        """A library by its build, data by all of it, and by its time of change what was sampled only."""
        library = FileRequirement("/usr/lib/libc.so.6", 100, "aa")
        data = FileRequirement("/data/in", 5, mtime=1, digest="d")
        large = replace(data, whole=False)
        views = Views("alpha", "beta")
        for file, other, told in (
            (library, replace(library, size=99), ""),
            (library, replace(library, build_id="bb"), "another build"),
            (data, replace(data, inode=1, mtime=2, device=3), ""),
            (data, replace(data, size=6), "another size"),
            (data, replace(data, digest="e"), "another content"),
            (data, replace(data, digest=""), "another content"),
            (replace(data, digest=""), replace(data, digest=""), "it could not be read"),
            (large, replace(large, mtime=2), "another time of change"),
            (large, large, ""),
        ):
            found = difference(file, other, views)
            self.assertEqual(f"({told})" in found if told else not found, True, found)

    def test_a_file_that_grows_and_is_shared(self) -> None:
        """It is the same file, whatever was read of it when."""
        data = FileRequirement("/data/in", 5, inode=7, mtime=1, digest="d", device=1)
        self.assertEqual(difference(data, replace(data, size=6, digest="e", device=9), VIEWS), "")

    def test_directories(self) -> None:
        """One of the system's only has to be there; any other one has the same entries or is the same one."""
        views = Views("alpha", "beta")
        own = FileRequirement("/srv/in", 0, digest="d", directory=True)
        self.assertEqual(difference(own, replace(own, inode=9), views), "")
        self.assertIn("another content", difference(own, replace(own, digest="e"), views))
        self.assertIn("another content", difference(replace(own, digest=""), replace(own, digest=""), views))
        usr = FileRequirement("/usr/share", 0, digest="d", directory=True, there=True)
        self.assertEqual(difference(usr, replace(usr, digest="e"), views), "")
        self.assertIn("beta has no directory /usr/share: install", difference(usr, None, views))
        home = FileRequirement("/home/ann", 0, inode=7, written=True, directory=True, device=1)
        inside = replace(VIEWS, made=(replace(MADE, directory="/home/ann"),),
                         seen=(replace(SEEN, directory="/home/ann"),))  # fmt: skip
        self.assertEqual(difference(home, replace(home, device=9, inode=8), inside), "")
        self.assertIn("is another one", difference(home, home, replace(inside, seen=())))

    def test_the_way_out(self) -> None:
        """Below /tmp there is one more."""
        told = difference(FileRequirement("/tmp/x", 5), None, Views("alpha", "beta"))
        self.assertIn("or without --shared-tmp", told)
