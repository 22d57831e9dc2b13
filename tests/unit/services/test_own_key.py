"""STATE/key: made once, for its owner alone, and never replaced."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.services.own_key import own_key_file, own_secret
from libgomd.errors import ConfigError
from tests.unit.scratch import quick_scratch


class OwnKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = quick_scratch(self)
        os.mkdir(self.state, 0o700)
        self.path = Path(own_key_file(self.state))

    def test_it_is_made_once(self) -> None:
        """A key file as any other, of mode 0600 whatever the umask, the same at every start."""
        old = os.umask(0)
        try:
            secret = own_secret(self.state)
        finally:
            os.umask(old)
        self.assertEqual(base64.b64decode(self.path.read_bytes()), secret)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.stat().st_nlink, 1)
        self.assertEqual(own_secret(self.state), secret)
        self.assertEqual(os.listdir(self.state), ["key"])
        other = quick_scratch(self)
        os.mkdir(other)
        self.assertNotEqual(own_secret(other), secret)

    def test_what_a_crash_left_is_no_key(self) -> None:
        """A machine that stopped while the file was written starts again, with a whole one."""
        Path(f"{self.path}.new").write_bytes(b"half")
        self.assertEqual(len(own_secret(self.state)), 32)
        self.assertEqual(os.listdir(self.state), ["key"])

    def _refused(self, *words: str) -> None:
        before = os.lstat(self.path)
        [mistake] = self.assertRaises(ConfigError, own_secret, self.state).mistakes
        for word in (str(self.path), "move it away", *words):
            self.assertIn(word, mistake)
        self.assertNotIn("\n", mistake)
        self.assertEqual(os.lstat(self.path).st_ino, before.st_ino)

    def test_a_damaged_one_is_refused_and_stays(self) -> None:
        """In one sentence that says what to do: others may have been given it, so it is not replaced."""
        good = base64.b64encode(bytes(32))
        for data, word in (
            (b"", "empty"),
            (good[:20], "not"),
            (b"\0" * 45, "not base64"),
            (good * 9, "longer"),
        ):
            self.path.write_bytes(data)
            self.path.chmod(0o600)
            self._refused(word)
            self.assertEqual(self.path.read_bytes(), data)
        self.path.write_bytes(good)
        self.path.chmod(0o640)
        self._refused("chmod 600")

    def test_what_is_no_file_is_refused(self) -> None:
        """A link, even to a good key or to nothing, a directory and a fifo."""
        good = Path(self.state, "good")
        good.write_bytes(base64.b64encode(bytes(32)))
        good.chmod(0o600)
        for target in (good, Path(self.state, "nothing")):
            self.path.symlink_to(target)
            self._refused("symbolic link")
            self.path.unlink()
        self.path.mkdir()
        self._refused("not a file")
        self.path.rmdir()
        os.mkfifo(self.path, 0o600)
        self._refused("not a file")

    def test_of_somebody_else_it_is_refused(self) -> None:
        """Another user's file may be read by that user."""
        if os.geteuid() != 0:
            return  # only root can give a file away
        self.path.write_bytes(base64.b64encode(bytes(32)))
        self.path.chmod(0o600)
        os.chown(self.path, 65534, 65534)
        self._refused("belongs to user 65534")

    def test_no_place_for_it(self) -> None:
        """One sentence, with the reason."""
        os.rmdir(self.state)
        error = self.assertRaises(ConfigError, own_secret, self.state)
        self.assertIn("cannot make", str(error))
        self.assertIn("No such file", str(error))
