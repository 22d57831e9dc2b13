"""gomd.ini and the command line become one frozen value."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from gomd.config import Changes, Config, Environment, load
from libgomd.endpoints import Tcp, Unix

ROOT = Environment(cwd="/srv", uid=0, environ={}, hostname="alpha.example.org")
ALICE = Environment(cwd="/home/alice", uid=1000, environ={"HOME": "/home/alice"}, hostname="alpha")


class LoadTests(SynchronousTestCase):
    """What a daemon gets to know."""

    def load(self, text: str = "", *overrides: str, around: Environment = ROOT) -> Config:
        self.directory = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        path = os.path.join(self.directory, "gomd.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return load(path, overrides, around)

    def test_without_a_file_everything_has_its_default(self) -> None:
        """On a fresh machine `twistd -n gomd` needs no file: loopback, /proc, STATE of root."""
        config = load(None, (), ROOT)
        self.assertIsNone(config.path)
        self.assertEqual(config.telnet.endpoints, (Tcp("127.0.0.1", 2901), Unix("/var/lib/gomd/gomd.sock")))
        self.assertEqual((config.peers.address, config.peers.port), ("127.0.0.1", 5428))
        self.assertEqual(config.peers.multicast, Tcp("239.192.0.1", 5429))
        self.assertEqual((config.node.id, config.node.name, config.node.proc_root), (0, "alpha", "/proc"))
        self.assertEqual(config.telnet.tokens_file, "/var/lib/gomd/tokens")
        self.assertEqual(config.history.path, "/var/lib/gomd/samples")
        self.assertIsNone(config.http.endpoint)
        self.assertIsNone(config.manhole.endpoint)
        self.assertEqual(dict(config.commands), {})

    def test_other_users_have_their_own_state(self) -> None:
        """A daemon of an ordinary user keeps its files below that user's home, or where XDG says."""
        self.assertEqual(load(None, (), ALICE).node.state_dir, "/home/alice/.local/state/gomd")
        xdg = Environment("/", 1000, {"XDG_STATE_HOME": "/xdg"}, "alpha")
        self.assertEqual(load(None, (), xdg).history.path, "/xdg/gomd/samples")

    def test_the_command_line_goes_over_the_file(self) -> None:
        """Command line over file over default, and the last of two on the command line counts."""
        config = self.load("[telnet]\nmax_line = 1000\nidle_timeout = 5\n", "telnet.max_line=2000")
        self.assertEqual((config.telnet.max_line, config.telnet.idle_timeout), (2000, 5.0))
        self.assertEqual(self.load("", "node.id=1", "node.id=2").node.id, 2)

    def test_a_wrong_value_of_the_file_that_the_command_line_replaces_does_no_harm(self) -> None:
        """`--set` is a way to start in spite of one wrong line."""
        self.assertEqual(self.load("[node]\nid = many\n", "node.id=7").node.id, 7)

    def test_an_empty_override_brings_the_default_back(self) -> None:
        """`--set node.name=` means: as if nothing was configured."""
        self.assertEqual(self.load("[node]\nname = beta\n", "node.name=").node.name, "alpha")

    def test_lists_take_commas_in_the_file_and_on_the_command_line(self) -> None:
        """Seeds are HOST:PORT with commas, quotes or not, and one named twice counts once."""
        wanted = (Tcp("10.0.0.1", 5428), Tcp("beta", 5429))
        self.assertEqual(self.load('[peers]\nseeds = 10.0.0.1:5428, "beta:5429",\n').peers.seeds, wanted)
        self.assertEqual(self.load("", "peers.seeds=10.0.0.1:5428,beta:5429,beta:5429").peers.seeds, wanted)

    def test_every_spelling_of_an_endpoint(self) -> None:
        """gomd's own spelling, Twisted's, the socket in STATE, any free port and IPv6."""
        config = self.load(
            "[telnet]\nendpoints = tcp:10.0.0.1:2901, tcp:2902:interface=10.0.0.2, unix:/run/g.sock, "
            "unix:, tcp:127.0.0.1:0, tcp:127.0.0.1:0, tcp:[::1]:2901, tcp:2903:interface=\\:\\:1\n"
        )
        self.assertEqual(
            config.telnet.endpoints,
            (
                Tcp("10.0.0.1", 2901), Tcp("10.0.0.2", 2902), Unix("/run/g.sock"),
                Unix("/var/lib/gomd/gomd.sock"), Tcp("127.0.0.1", 0), Tcp("127.0.0.1", 0),
                Tcp("::1", 2901), Tcp("::1", 2903),
            ),
        )  # fmt: skip

    def test_a_relative_path_is_relative_to_where_it_was_written(self) -> None:
        """In the file: to the file's directory. On the command line: to the working directory."""
        config = self.load("[node]\nstate_dir = state\n[peers]\nkey_file = ../key\n", "history.path=samples")
        self.assertEqual(config.node.state_dir, f"{self.directory}/state")
        self.assertEqual(config.telnet.tokens_file, f"{self.directory}/state/tokens")
        self.assertEqual(config.telnet.endpoints[1], Unix(f"{self.directory}/state/gomd.sock"))
        self.assertEqual(config.peers.key_file, (f"{os.path.dirname(self.directory)}/key",))
        self.assertEqual(config.history.path, "/srv/samples")
        self.assertEqual(self.load("", "node.state_dir=s", around=ALICE).node.state_dir, "/home/alice/s")

    def test_commands_become_argument_lists(self) -> None:
        """A command is split as a shell would, once, and its program is found in fixed directories."""
        config = self.load(
            "[commands]\n"
            'b-1 = /bin/sh -c "echo a, b"  # two words\n'
            "a_2 = sh '' x\n"
            "c = '''/bin/sh -c \"echo #1\"'''\n"
        )
        self.assertEqual(list(config.commands), ["a_2", "b-1", "c"])
        self.assertEqual(config.commands["b-1"], ("/bin/sh", "-c", "echo a, b"))
        self.assertEqual(config.commands["a_2"][1:], ("", "x"))
        self.assertTrue(os.path.isabs(config.commands["a_2"][0]))
        self.assertEqual(config.commands["c"], ("/bin/sh", "-c", "echo #1"))

    def test_a_percent_sign_is_nothing_special(self) -> None:
        """`date +%s` is a fine command, and `%(x)s` is not replaced."""
        config = self.load("[commands]\nnow = /bin/sh -c 'date +%s %(x)s $HOME'\n")
        self.assertEqual(config.commands["now"][2], "date +%s %(x)s $HOME")

    def test_comments_quotes_and_a_byte_order_mark_do_no_harm(self) -> None:
        """A file as any editor of any system leaves it."""
        config = self.load('\ufeff# c\r\n[node]\r\nname = "beta"  # c\r\n\r\nlog_format = json\r\n')
        self.assertEqual((config.node.name, config.node.log_format), ("beta", "json"))

    def test_yes_and_no_in_every_spelling(self) -> None:
        """yes, on, true and 1 are the same."""
        for word, meant in (("yes", True), ("On", True), ("1", True), ("no", False), ("FALSE", False)):
            self.assertIs(self.load("", f"jobs.balance={word}").jobs.balance, meant)

    def test_a_host_name_that_cannot_name_a_node_is_changed_as_little_as_possible(self) -> None:
        """A fresh machine starts whatever it is called."""
        for host, name in (
            ("alpha.example.org", "alpha"), ("12345", "node-12345"), ("", "node"), ("(none)", "none"),
            ("all", "node-all"), ("b_x y", "b_x-y"), ("-a", "a"), ("größe", "gr-e"), ("x" * 64, "x" * 50),
        ):  # fmt: skip
            self.assertEqual(load(None, (), Environment("/", 0, {}, host)).node.name, name)

    def test_nothing_can_be_changed_afterwards(self) -> None:
        """The configuration is read once; what changes it is a restart or SIGHUP."""
        config = load(None, (), ROOT)
        with self.assertRaises(FrozenInstanceError):
            config.node.id = 4  # type: ignore[misc]
        with self.assertRaises(TypeError):
            config.commands["x"] = ("y",)  # type: ignore[index]


class ChangesTests(SynchronousTestCase):
    """What SIGHUP would change."""

    def test_it_says_what_takes_effect_and_what_needs_a_restart(self) -> None:
        """The administrator reads both lists in the log."""
        old = load(None, (), ROOT)
        new = load(
            None, ["telnet.anonymous=none", "peers.port=1", "history.keep=3", "commands.x=/bin/sh"], ROOT
        )
        self.assertEqual(
            old.changes(new), Changes(("telnet.anonymous", "history.keep", "commands"), ("peers.port",))
        )

    def test_nothing_changed(self) -> None:
        """The same file read again changes nothing."""
        self.assertEqual(load(None, (), ROOT).changes(load(None, (), ROOT)), Changes((), ()))

    def test_another_state_directory_moves_all_that_is_in_it(self) -> None:
        """A new state_dir is told with everything that it moves."""
        changes = load(None, (), ROOT).changes(load(None, ["node.state_dir=/s"], ROOT))
        self.assertEqual(
            changes.restart,
            ("node.state_dir", "telnet.endpoints", "history.file", "history.path", "jobs.spool"),
        )
        self.assertEqual(changes.live, ("telnet.tokens_file",))
