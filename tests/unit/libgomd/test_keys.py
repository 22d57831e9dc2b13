"""The key file: made once, never overwritten, read only when nobody else could have read it."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from libgomd.derivation import ClusterKey, hkdf, key_ring, read_keys
from libgomd.errors import ConfigError
from libgomd.keys import new_key_file, parse_key, read_key_file
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Probe
from tests.unit.scratch import scratch


@given(st.binary(max_size=80))
def test_any_bytes_are_a_key_or_one_sentence(data: bytes) -> None:
    """Whatever stands in a key file, there are 32 bytes in it or the one error."""
    try:
        secret = parse_key(data)
    except ConfigError:
        return
    assert len(secret) == 32


@given(st.binary(min_size=32, max_size=32))
def test_a_written_key_is_read_back(secret: bytes) -> None:
    """Any 32 bytes survive, with and without the line's end."""
    line = base64.b64encode(secret)
    assert parse_key(line) == parse_key(line + b"\n") == parse_key(line + b"\r\n") == secret


class KeyFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path: str = scratch(self)

    def write(self, data: bytes, mode: int = 0o600) -> str:
        Path(self.path).write_bytes(data)
        os.chmod(self.path, mode)
        return self.path

    def refused(self, *words: str) -> None:
        error = self.assertRaises(ConfigError, read_key_file, self.path)
        for word in (self.path, *words):
            self.assertIn(word, str(error))

    def test_a_new_key_is_one_line_for_its_owner_alone(self) -> None:
        """`gom key new FILE` makes a file of mode 0600, even with a lax umask, and each is another key."""
        old = os.umask(0)
        try:
            new_key_file(self.path)
        finally:
            os.umask(old)
        data = Path(self.path).read_bytes()
        self.assertEqual((len(data), data.count(b"\n")), (45, 1))
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        other = scratch(self)
        new_key_file(other)
        self.assertNotEqual(read_key_file(self.path), read_key_file(other))

    def test_a_key_is_never_overwritten(self) -> None:
        """Naming an existing file, even through a dangling link, leaves it alone and says so."""
        self.write(b"precious")
        error = self.assertRaises(ConfigError, new_key_file, self.path)
        self.assertIn("never overwritten", str(error))
        self.assertEqual(Path(self.path).read_bytes(), b"precious")
        link = scratch(self)
        os.symlink(scratch(self), link)
        self.assertRaises(ConfigError, new_key_file, link)

    def test_a_place_that_cannot_be_written(self) -> None:
        """A missing directory is named with the reason."""
        error = self.assertRaises(ConfigError, new_key_file, os.path.join(self.path, "key"))
        self.assertIn("No such file", str(error))

    def test_a_key_that_others_may_read_is_refused(self) -> None:
        """A key that may have been read by others is no secret: the daemon says how to mend it."""
        good = base64.b64encode(bytes(32))
        for mode in (0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777):
            self.write(good, mode)
            self.refused("chmod 600", f"{mode:04o}")
        for mode in (0o600, 0o400):
            self.write(good, mode)
            self.assertEqual(read_key_file(self.path), bytes(32))

    def test_what_is_no_key(self) -> None:
        """Each wrong content has a sentence of its own that says what to do."""
        for data, word in (
            (b"", "empty"),
            (b"\n \n", "empty"),
            (base64.b64encode(bytes(31)), "31 bytes, not 32"),
            (base64.b64encode(bytes(33)), "33 bytes, not 32"),
            (b"not base64!", "more than one"),
            (b"n@t-base64", "not base64"),
            (b"\xff\xfe", "not base64"),
            (base64.b64encode(bytes(32)) + b"\n" + base64.b64encode(bytes(32)), "more than one line"),
            (b"A" * 300, "longer than any key"),
        ):
            self.write(data)
            self.refused(word)

    def test_what_is_no_file(self) -> None:
        """A missing file, a directory and a fifo are refused at once, without waiting for a writer."""
        self.refused("No such file")
        os.mkdir(self.path)
        self.refused("not a file")
        self.path = scratch(self)
        os.mkfifo(self.path, 0o600)
        self.refused("not a file")
        self.path = "nul\0"
        self.refused("null")

    def test_gom_makes_keys_without_the_daemon_s_libraries(self) -> None:
        """The module of the key file loads nothing but the standard library, so that gom starts fast."""
        code = (
            "import sys; before = set(sys.modules);"  # zope may be there by a .pth file
            "import libgomd.keys, libgomd.wire.messages; new = set(sys.modules) - before;"
            "print([name for name in ('twisted', 'cryptography', 'cbor2', 'zope') if name in new])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "[]")

    def test_key_files_make_the_ring(self) -> None:
        """Of two key files the first seals and both open; without any there is no ring."""
        other = scratch(self)
        new_key_file(self.path)
        new_key_file(other)
        both, second = read_keys([self.path, other]), read_keys([other])
        packet = Sealer(key_ring(both), 1, 2, os.urandom).seal(Probe(3), 4)
        self.assertEqual(open_sealed(packet, key_ring(both)).key_id, both[0].id)
        packet = Sealer(key_ring(second), 1, 2, os.urandom).seal(Probe(3), 4)
        self.assertEqual(open_sealed(packet, key_ring(both)).key_id, second[0].id)
        self.assertRaises(ValueError, key_ring, [])


class DerivationTests(SynchronousTestCase):
    def test_each_use_has_a_key_of_its_own(self) -> None:
        """No key is used for two things, and no two secrets share one."""
        one, two = ClusterKey.derive(bytes(32)), ClusterKey.derive(b"\1" + bytes(31))
        keys = [
            each
            for key in (one, two)
            for each in (key.datagram, key.authority, key.page_server, key.swim, key.serf, key.id)
        ]
        self.assertEqual(len(set(keys)), 12)
        self.assertRaises(ValueError, ClusterKey.derive, bytes(31))

    def test_a_key_in_a_log_shows_its_id_only(self) -> None:
        """Whoever prints a cluster key prints no secret."""
        key = ClusterKey.derive(bytes(32))
        self.assertEqual(repr(key), f"ClusterKey(id={key.id!r})")

    def test_it_is_hkdf(self) -> None:
        """The third test case of RFC 5869: no salt, no label."""
        made = hkdf(b"\x0b" * 22, b"", 42)
        self.assertEqual(
            made.hex(),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        )
