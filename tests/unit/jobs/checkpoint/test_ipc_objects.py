"""System V objects that were given away, in tables of the kernel."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.ipc_objects import given_away

_SEMAPHORES = """\
       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime
     21169          0   600          3 32766 65534 65534 65534 1795889350 1795889350
         0      32769   600          1 65534 65534 65534 65534 1795889350 1795889350
         0      65538   600          1 65534     0 65534 65534 1795889350 1795889350
"""


class GivenAwayTests(SynchronousTestCase):
    def test_another_owner_or_group_than_the_maker_counts(self) -> None:
        """The numbers are those of the objects, as ipcs shows them."""
        self.assertEqual(given_away(_SEMAPHORES, "semid"), [0, 65538])

    def test_what_criu_has_made_moves_again(self) -> None:
        """Root is then the maker, who may use all anyway: nothing was given away by the job."""
        self.assertEqual(given_away(_SEMAPHORES.replace("65534 65534 1795", "0 0 1795"), "semid"), [])

    def test_an_empty_or_unknown_table_has_none(self) -> None:
        """Neither has one that was cut off."""
        heading = _SEMAPHORES.partition("\n")[0]
        for table in (
            "",
            heading,
            "x y\n1 2\n",
            f"{heading}\n 21169 0 600",
            _SEMAPHORES.replace("cuid", "x"),
        ):
            self.assertEqual(given_away(table, "semid"), [], table)
