"""A probe is made with the user's rights, found by its name, and removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.probes import PREFIX, Probe, Rights, find_probes, make_probes, remove_probes
from tests.unit.scratch import scratch

_NOBODY = 65534


class ProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(scratch(self)).absolute()
        self.path.mkdir()
        self.device = self.path.stat().st_dev
        self.rights = Rights(os.geteuid(), os.getegid(), tuple(os.getgroups()))

    def test_made_found_and_removed(self) -> None:
        """Once for each directory; nothing is left."""
        places = [[(str(self.path), self.device)]] * 2
        [probe] = made = make_probes(places, "/", self.rights)
        self.assertTrue(probe.name.startswith(PREFIX))
        self.assertEqual(os.listdir(self.path), [probe.name])
        self.assertEqual(find_probes(made, None), [probe])
        remove_probes(made, "/", self.rights)
        remove_probes(made, "/", self.rights)
        self.assertEqual(os.listdir(self.path), [])
        self.assertEqual(find_probes(made, None), [])

    def test_made_in_the_first_place_where_it_can_be(self) -> None:
        """Only one for each proof, even when more of its directories would do."""
        (self.path / "deep").mkdir()
        places = [(f"{self.path}{more}", self.device) for more in ("/none", "", "/deep")]
        [probe] = made = make_probes([places], "/", self.rights)
        self.assertEqual(probe.directory, str(self.path))
        remove_probes(made, "/", self.rights)

    def test_not_made(self) -> None:
        """Where another file system is mounted, where there is nothing, and below what is no directory."""
        (self.path / "file").touch()
        for place in (
            (str(self.path), self.device + 1), (str(self.path / "none"), self.device),
            (str(self.path / "file"), self.device),
        ):  # fmt: skip
            self.assertEqual(make_probes([[place]], "/", self.rights), [])
        self.assertEqual(
            make_probes([[(str(self.path), self.device)]], str(self.path / "none"), self.rights), []
        )

    def test_names_that_are_no_probes(self) -> None:
        """Another node cannot ask for any file of this one."""
        (self.path / "secret").touch()
        for name in ("secret", f"{PREFIX}/../secret", f"../{self.path.name}/secret"):
            self.assertEqual(find_probes([Probe(str(self.path), name, 1)], None), [])

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
    def test_with_the_users_rights(self) -> None:
        """Root's do not count, and come back; a group may be what lets the user in."""
        nobody = Rights(_NOBODY, _NOBODY)
        places = [[(str(self.path), self.device)]]
        self.path.chmod(0o770)
        self.assertEqual(make_probes(places, "/", nobody), [])
        os.chown(self.path, 0, 12345)
        self.assertEqual(make_probes(places, "/", nobody), [])
        self.path.parent.chmod(self.path.parent.stat().st_mode | 0o001)
        self.path.parent.parent.chmod(self.path.parent.parent.stat().st_mode | 0o001)
        before = os.getgroups()
        with acting_as(_NOBODY, _NOBODY, (12345,)):
            self.assertEqual(os.access("/etc/shadow", os.R_OK, effective_ids=True), False)
        self.assertEqual(os.getgroups(), before)
        Path("/etc/shadow").read_bytes()
