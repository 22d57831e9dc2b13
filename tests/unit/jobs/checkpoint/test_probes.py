"""A probe is made with the user's rights, found by its name, and removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.probes import (
    PREFIX,
    DirectoryProbe,
    ProbeNotes,
    Rights,
    find_probes,
    make_probes,
    remove_probes,
)
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
            self.assertEqual(find_probes([DirectoryProbe(str(self.path), name, 1)], None), [])

    def test_a_daemon_that_was_killed(self) -> None:
        """The next one removes the probes that were left, and not its own; no note is left."""
        directory = self.path.parent / f"{self.path.name}-notes"
        places = [[(str(self.path / "none"), self.device), (str(self.path), self.device)]] * 2
        make_probes(places, "/", self.rights, ProbeNotes(str(directory)))
        notes = ProbeNotes(str(directory))
        own = make_probes([[(str(self.path), self.device)]], "/", self.rights, notes)
        notes.sweep()
        self.assertEqual(os.listdir(self.path), [own[0].name])
        remove_probes(own, "/", self.rights, notes)
        self.assertEqual((os.listdir(self.path), os.listdir(directory)), ([], []))

    def test_none_are_made(self) -> None:
        """No note is left of probes that could not be made."""
        directory = self.path.parent / f"{self.path.name}-notes"
        places = [[(str(self.path / "none"), self.device)]]
        self.assertEqual(make_probes(places, "/", self.rights, ProbeNotes(str(directory))), [])
        self.assertEqual(os.listdir(directory), [])

    def test_damaged_notes(self) -> None:
        """They are removed, and no file but a probe is."""
        (self.path / "kept").touch()
        directory = self.path.parent / f"{self.path.name}-notes"
        directory.mkdir()
        ids = {"uid": self.rights.uid, "gid": self.rights.gid, "groups": []}
        places = [["kept", [str(self.path)]], [f"{PREFIX}/../kept", [str(self.path)]]]
        for name, text in (
            ("a", ""), ("b", "[]"), ("c", "{}"), ("d", json.dumps(ids | {"places": 1})),
            ("e", json.dumps(ids | {"places": places})), ("f", json.dumps(ids | {"groups": "x"})),
        ):  # fmt: skip
            (directory / name).write_text(text)
        ProbeNotes(str(directory)).sweep()
        self.assertEqual((os.listdir(self.path), os.listdir(directory)), (["kept"], []))

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
