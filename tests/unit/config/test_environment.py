"""Which file is read, and what the short options stand for."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from gomd.config import SHORT_OPTIONS, Environment, find_file, load, overrides_for
from libgomd.endpoints import Tcp, Unix
from libgomd.errors import ConfigError


class FindFileTests(SynchronousTestCase):
    """./gomd.ini first, unless somebody else may have put it there."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.here = os.path.join(self.directory, "gomd.ini")
        self.around = Environment(self.directory, os.geteuid(), {}, "alpha")

    def test_the_working_directory_comes_first(self) -> None:
        """A checkout's own gomd.ini is used in the checkout."""
        with open(self.here, "w"):
            pass
        self.assertEqual(find_file(None, self.around), self.here)

    def test_a_named_file_is_taken_as_it_is(self) -> None:
        """--config wins, relative to the working directory, and is not checked for its owner."""
        with open(self.here, "w"):
            pass
        os.chmod(self.here, 0o666)
        self.assertEqual(find_file("other.ini", self.around), os.path.join(self.directory, "other.ini"))
        self.assertEqual(find_file("/x/y.ini", self.around), "/x/y.ini")
        self.assertEqual(find_file("gomd.ini", self.around), self.here)

    def test_a_file_that_others_may_write_is_refused(self) -> None:
        """Starting in /tmp does not run what somebody left there."""
        with open(self.here, "w"):
            pass
        os.chmod(self.here, 0o646)
        with self.assertRaises(ConfigError) as caught:
            find_file(None, self.around)
        self.assertIn("chmod o-w", str(caught.exception))

    def test_a_file_of_another_user_is_refused(self) -> None:
        """Another user's gomd.ini is only read when it is named."""
        with open(self.here, "w"):
            pass
        owner = os.stat(self.here).st_uid
        stranger = replace(self.around, uid=owner + 1)
        if owner == 0:  # root's files are trusted by everybody
            self.assertEqual(find_file(None, stranger), self.here)
            os.chown(self.here, 12345, -1)
        with self.assertRaises(ConfigError) as caught:
            find_file(None, stranger)
        self.assertIn(f"--config {self.here}", str(caught.exception))

    def refusal(self) -> str:
        """What is said of the file."""
        with self.assertRaises(ConfigError) as caught:
            find_file(None, self.around)
        self.assertIn(f"--config {self.here}", str(caught.exception))
        return str(caught.exception)

    def test_a_directory_in_which_others_may_replace_it_is_refused(self) -> None:
        """The file is read after it was looked at: it must still be the same one."""
        with open(self.here, "w"):
            pass
        os.chmod(self.directory, 0o707)
        self.assertIn(f"chmod o-w {self.directory}", self.refusal())
        os.chmod(self.directory, 0o1707)  # as /tmp: there everybody has their own files
        self.assertEqual(find_file(None, self.around), self.here)

    def test_a_group_may_not_replace_it_either(self) -> None:
        """Unless it is the user's own group, which has the user's number on most systems."""
        with open(self.here, "w"):
            pass
        own, own_group = os.geteuid(), os.stat(self.directory).st_gid
        for path in (self.here, self.directory):
            mode = os.stat(path).st_mode
            if own == 0:
                os.chown(path, -1, 12345)
            elif own == own_group:
                continue
            os.chmod(path, mode | 0o020)
            self.assertIn(f"chmod g-w {path}", self.refusal())
            os.chown(path, -1, own_group)
            if own == own_group:
                self.assertEqual(find_file(None, self.around), self.here)
            os.chmod(path, mode)

    def test_every_step_on_the_way_counts(self) -> None:
        """A link or a directory of another user could lead to another file between looking and reading."""
        if os.geteuid():
            return  # only root can make what is another user's
        real = os.path.join(self.directory, "real.ini")
        with open(real, "w"):
            pass
        os.symlink(real, self.here)
        self.assertEqual(find_file(None, self.around), self.here)
        os.lchown(self.here, 12345, 12345)
        self.assertIn("12345", self.refusal())
        os.lchown(self.here, 0, 0)
        os.chown(self.directory, 12345, 12345)
        self.assertIn(f"{self.directory} on the way to it belongs to user 12345", self.refusal())

    def test_a_link_to_nowhere_is_a_mistake(self) -> None:
        """A dangling ./gomd.ini is told, not passed over for another file."""
        os.symlink("/no/such/file", self.here)
        with self.assertRaises(ConfigError) as caught:
            find_file(None, self.around)
        self.assertIn("cannot be read", str(caught.exception))


class UnitTests(SynchronousTestCase):
    """The directories of systemd's unit."""

    def around(self, *, unit: bool = True, uid: int = 0, **environ: str) -> Environment:
        """Return surroundings with these variables."""
        return Environment("/srv", uid, environ, "alpha", unit)

    def test_the_directories_that_systemd_made(self) -> None:
        """For every user: `User=gomd` does not look in a home directory."""
        for uid in (0, 999):
            around = self.around(
                uid=uid, STATE_DIRECTORY="/var/lib/gomd", RUNTIME_DIRECTORY="/run/gomd",
                CONFIGURATION_DIRECTORY="/etc/gomd", XDG_STATE_HOME="/home/x",
            )  # fmt: skip
            self.assertEqual(around.state_directory, "/var/lib/gomd")
            self.assertEqual(around.runtime_directory, "/run/gomd")
            self.assertEqual(around.configuration_directory, "/etc/gomd")

    def test_the_first_of_several(self) -> None:
        """systemd parts them by colons."""
        self.assertEqual(self.around(STATE_DIRECTORY="/a/b:/c").state_directory, "/a/b")

    def test_without_systemd(self) -> None:
        """Unset, empty or relative: as ever."""
        self.assertEqual(self.around().state_directory, "/var/lib/gomd")
        for value in ("", "x", ":/a"):
            self.assertEqual(self.around(STATE_DIRECTORY=value).state_directory, "/var/lib/gomd")
        self.assertEqual(self.around().runtime_directory, "")

    def test_another_units_directories_are_not_ours(self) -> None:
        """Started from a shell below some service, which inherits its variables."""
        around = self.around(unit=False, STATE_DIRECTORY="/var/lib/other", RUNTIME_DIRECTORY="/run/other")
        self.assertEqual((around.state_directory, around.runtime_directory), ("/var/lib/gomd", ""))

    def test_gomd_ini_is_looked_for_in_the_units_directory(self) -> None:
        """Before /etc/gomd/gomd.ini, behind ./gomd.ini."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        around = replace(self.around(CONFIGURATION_DIRECTORY=directory), cwd=directory + "/none")
        path = os.path.join(directory, "gomd.ini")
        self.assertNotEqual(find_file(None, around), path)
        with open(path, "w"):
            pass
        self.assertEqual(find_file(None, around), path)


class ShortOptionTests(SynchronousTestCase):
    """--name beta is --set node.name=beta."""

    def setUp(self) -> None:
        self.around = Environment("/srv", 0, {}, "alpha")

    def test_each_sets_what_it_says(self) -> None:
        """Every short option of the contract reaches its setting."""
        given = {
            "node-id": "7", "name": "beta", "telnet": "tcp:127.0.0.1:3000", "peers": "127.0.0.2:99",
            "http": "tcp:127.0.0.1:2980", "state-dir": "/s", "source": "memory", "proc-root": "/p",
            "seeds": "a:1,b:2", "key-file": "/k",
        }  # fmt: skip
        self.assertEqual(set(given), set(SHORT_OPTIONS))
        overrides = [text for name, value in given.items() for text in overrides_for(name, value)]
        config = load(None, overrides, self.around)
        self.assertEqual((config.node.id, config.node.name, config.node.state_dir), (7, "beta", "/s"))
        self.assertEqual((config.node.source, config.node.proc_root), ("memory", "/p"))
        self.assertEqual(config.telnet.endpoints, (Tcp("127.0.0.1", 3000), Unix("/s/gomd.sock")))
        self.assertEqual((config.peers.address, config.peers.port), ("127.0.0.2", 99))
        self.assertEqual(config.peers.seeds, (Tcp("a", 1), Tcp("b", 2)))
        self.assertEqual((config.peers.key_file, config.http.endpoint), (("/k",), Tcp("127.0.0.1", 2980)))

    def test_the_socket_in_state_stays_beside_a_tcp_endpoint(self) -> None:
        """`--telnet tcp:...` moves the port; `gom` still finds the socket. `--telnet unix:...` is alone."""
        [override] = overrides_for("telnet", "unix:/run/g.sock")
        self.assertEqual(load(None, [override], self.around).telnet.endpoints, (Unix("/run/g.sock"),))

    def test_peers_needs_both(self) -> None:
        """--peers without a port is told under its own name."""
        for value in ("10.0.0.1", ":5428", "10.0.0.1:"):
            with self.assertRaises(ConfigError) as caught:
                overrides_for("peers", value)
            self.assertEqual(
                caught.exception.mistakes, (f"--peers {value}: must be HOST:PORT, such as 10.0.0.1:5428",)
            )
