"""Every mistake is told at once, each with its place and what is allowed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.config import Environment, load
from gomd.config.inifile import parse
from gomd.config.mistakes import MAX_MISTAKES
from libgomd.errors import ConfigError

ROOT = Environment(cwd="/srv", uid=0, environ={}, hostname="alpha")


class MistakeTests(SynchronousTestCase):
    """What stands on the terminal instead of a daemon that guesses."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "gomd.ini")

    def mistakes(self, text: str | bytes, *overrides: str) -> list[str]:
        """Return the mistakes of ``text``, with F for the file."""
        with open(self.path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        with self.assertRaises(ConfigError) as caught:
            load(self.path, overrides, ROOT)
        return [mistake.replace(self.path, "F") for mistake in caught.exception.mistakes]

    def assertMistake(self, text: str, *parts: str) -> None:
        [mistake] = self.mistakes(text)
        for part in parts:
            self.assertIn(part, mistake)

    def test_all_at_once_in_the_order_of_the_file(self) -> None:
        """One start tells everything that is wrong, the command line's mistakes last."""
        self.assertEqual(
            self.mistakes(
                "[telnet]\nmax_line = long\n\n[node]\nid = 70000\nnmae = x\n", "collector.period=0", "x"
            ),
            [
                "F:2: [telnet] max_line = 'long': must be a whole number from 512 to 65536",
                "F:5: [node] id = '70000': must be a whole number from 0 to 65535",
                "F:6: [node] nmae: [node] has no such key: did you mean name?",
                "--set collector.period=0: must be a number from 0.1 to 3600",
                "--set x: must be section.key=value, such as node.name=alpha",
            ],
        )

    def test_the_nearest_known_name(self) -> None:
        """A misspelt section or key is answered with what was probably meant."""
        self.assertMistake("[telent]\nx = 1\n", "F:1: [telent]", "did you mean telnet?")
        self.assertMistake("[Node]\n", "did you mean node?")
        self.assertMistake("[peers]\nperiod = 1\n", "F:2:", "it belongs into [collector]")
        self.assertMistake("[http]\nzzz = 1\n", "F:2:", "it has endpoint")
        self.assertMistake("[qqq]\n", "there are node, telnet, peers")

    def test_sections_that_configobj_would_pass_over(self) -> None:
        """[DEFAULT], a key __many__, keys before any section and sections in sections are mistakes too."""
        self.assertMistake("[DEFAULT]\nid = 1\n", "F:1: [DEFAULT]: there is no such section")
        self.assertMistake("[commands]\n__many__ = /bin/sh\n", "F:2: [commands] __many__: a command's name")
        self.assertMistake("id = 4\n[node]\n", "F:1: id stands before the first [section]")
        self.assertMistake("node = 4\n", "F:1: node stands before the first [section]")
        self.assertMistake("[node]\nid = 1\n[[name]]\nx = 1\n", "F:3: [[name]]")

    def test_what_no_parser_can_read(self) -> None:
        """Broken lines are told with their numbers, beside the other mistakes."""
        self.assertEqual(
            self.mistakes("[node]\nid 4\nname = 'x\nspeed = -1\n[[[deep]]]\n[telnet\n"),
            [
                "F:2: 'id 4': must be [section], KEY = VALUE or a # comment",
                'F:3: "name = \'x": must have its quotes in pairs',
                "F:4: [node] speed = '-1': must be a whole number from 0 to 100000000",
                "F:5: '[[[deep]]]': must be [section], with one bracket on each side",
                "F:6: '[telnet': must be [section], KEY = VALUE or a # comment",
            ],
        )

    def test_what_stands_there_twice(self) -> None:
        """The second of two equal keys or sections is a mistake, not a silent winner."""
        self.assertMistake("[node]\nid = 1\nid = 2\n", "F:3: 'id = 2': is set a second time")
        [mistake] = self.mistakes("[node]\nid = 1\n[http]\n[node]\nspeed = 2\n")
        self.assertEqual(mistake, "F:4: [node] was begun before, in line 1: join the two")

    def test_a_value_of_several_lines_does_not_shift_the_others(self) -> None:
        """The line told is the right one, whatever stands above it."""
        text = "[commands]\na = '''/bin/sh\nid = x\n'''\n[node]\n#id = 1\nid = x\n"
        self.assertEqual([m.split(" ")[0] for m in self.mistakes(text)], ["F:2:", "F:7:"])

    def test_files_that_are_no_text(self) -> None:
        """A file that cannot be read, is not UTF-8 or is huge gives one sentence."""
        [mistake] = self.mistakes(b"[node]\nname = \xff\n")
        self.assertEqual(mistake, "F:2: is not UTF-8 (byte 0xff): save the file as UTF-8")
        [mistake] = self.mistakes(b"#" * (1 << 20) + b"\n")
        self.assertEqual(mistake, "F: is longer than 1048576 bytes")
        os.unlink(self.path)
        with self.assertRaises(ConfigError) as caught:
            load(self.path, ["node.id=x"], ROOT)
        self.assertEqual(
            caught.exception.mistakes,
            (
                f"{self.path}: cannot be read: No such file or directory",
                "--set node.id=x: must be a whole number from 0 to 65535",
            ),
        )
        os.mkdir(self.path)
        with self.assertRaises(ConfigError) as caught:
            load(self.path, (), ROOT)
        self.assertEqual(caught.exception.mistakes, (f"{self.path}: cannot be read: Is a directory",))

    def test_a_file_of_another_kind_does_not_fill_the_terminal(self) -> None:
        """A thousand wrong lines are told as fifty and a count."""
        mistakes = self.mistakes("nonsense\n" * 1000)
        self.assertEqual((len(mistakes), mistakes[-1]), (MAX_MISTAKES + 1, "and 950 more"))

    def test_numbers_are_plain_numbers(self) -> None:
        """What Python would take for a number, and a person would not, is refused."""
        for value in ("1_0", "٣", "0x1", "1e3", "", "4 5", "nan", "inf"):
            self.assertMistake(f"[node]\nid = {value}\n", "F:2: [node] id", "must be a whole number")
        for value in ("nan", "inf", "1e1", "-1", "0", ".5", "1_0"):
            self.assertMistake(
                f"[collector]\nperiod = {value}\n", "F:2:", "must be a number from 0.1 to 3600"
            )

    def test_words(self) -> None:
        """A choice is told with all that can be chosen."""
        self.assertMistake("[node]\nsource = bsd\n", "'bsd': must be linux, openmosix or memory")
        self.assertMistake("[peers]\ndiscovery = maybe\n", "must be yes or no")
        self.assertMistake("[telnet]\nanonymous = admin\n", "must be read or none")

    def test_names_that_no_node_can_have(self) -> None:
        """A name is not a number, not a word of a verb, and has nothing in it that breaks a line."""
        for name in ("4", "a b", "all", "home", "best", "a\x07", "@x", "a:b", "ä", "-x", "x" * 64):
            self.assertMistake(f"[node]\nname = {name}\n", "F:2: [node] name", "must be at most 63 letters")

    def test_control_characters_are_shown_harmless(self) -> None:
        """What a file has in it does not drive the terminal of the one who reads the mistake."""
        [mistake] = self.mistakes("[jobs]\ncriu = \x1b[2J\x00\n")
        self.assertTrue(mistake.isprintable(), mistake)

    def test_endpoints(self) -> None:
        """What is no endpoint is answered with ones that are."""
        for value in (
            "tcp:2901", "2901", "udp:1.2.3.4:5", "tcp:1.2.3:5", "tcp:1.2.3.4:65536", "tcp::5",
            "tcp:a b:5", "tcp:::1:5", "tcp:[zz]:5", "unix:/x:mode=666", "tcp:2901:interface=",
            "ssl:1.2.3.4:1", "tcp:127.0.0.1:-1", "tcp:127.0.0.1:٣",
        ):  # fmt: skip
            self.assertMistake(
                f"[telnet]\nendpoints = unix:/a, {value}\n", "F:2: [telnet] endpoints", repr(value)
            )
        self.assertMistake("[telnet]\nendpoints = ,\n", "must name at least one endpoint")

    def test_addresses_of_peers(self) -> None:
        """Seeds need a host and a port, the group a multicast address, the node an address."""
        for value in ("10.0.0.1", "10.0.0.1:0", "10.0.0.256:1", "x:99999", "h_st:1", "..:1"):
            self.assertMistake(f"[peers]\nseeds = ok:1, {value}\n", "F:2: [peers] seeds", repr(value))
        for value in ("10.0.0.1:5429", "239.192.0.1", "host:1", "[ff02::1]:1"):
            self.assertMistake(f"[peers]\nmulticast = {value}\n", "must be ADDRESS:PORT")
        for value in ("::1%", "localhost", "239.1.1.1", "255.255.255.255", "10.0.0.1:1", "010.0.0.1"):
            self.assertMistake(f"[peers]\naddress = {value}\n", "must be an IPv4 or IPv6 address")

    def test_commands_that_could_not_run(self) -> None:
        """A command is tried at the start, not when somebody needs it."""
        for value, sentence in (
            ("", "must be a program and its arguments"),
            ("''", "must be a program and its arguments"),
            ("/no/such/program", "'/no/such/program' is not in the file system, or not executable"),
            ("no-such-program -x", "is not in any directory of /usr/local/sbin:"),
            ("./sh", "must begin with an absolute path"),
            ("/etc/passwd", "or not executable"),
            ("/", "or not executable"),
            ('sh -c "x # y"', "a # begins a comment"),
        ):
            self.assertMistake(f"[commands]\nx = {value}\n", "F:2: [commands] x = ", sentence)
        for name in ("X", "a.b", "_a", "a b", "é"):
            self.assertMistake(f"[commands]\n{name} = /bin/sh\n", f"F:2: [commands] {name}: a command's name")

    def test_a_tilde_is_not_taken_for_a_directory_of_that_name(self) -> None:
        """~/key would be a directory called ~."""
        self.assertMistake("[peers]\nkey_file = ~/key\n", "must be a whole path")

    def test_settings_that_cannot_go_together(self) -> None:
        """Open to the network without a key, a map without a map, a manhole without keys, one port twice."""
        self.assertMistake("[peers]\naddress = 10.0.0.1\n", "F:2:", "gom key new FILE")
        self.assertMistake("[peers]\naddress = 0.0.0.0\n", "F:2:", "gom key new FILE")
        self.assertMistake("[peers]\nengine = map\n", "F:2:", "map_file")
        self.assertMistake("[manhole]\nendpoint = tcp:127.0.0.1:2922\n", "F:2:", "authorized_keys")
        self.assertMistake("[telnet]\nendpoints = unix:/a, unix:/a\n", "F:2:", "unix:/a is already")
        self.assertMistake("[http]\nendpoint = tcp:127.0.0.1:2901\n", "F:2:", "is already [telnet] endpoints")
        self.assertMistake(f"[node]\nstate_dir = /{'x' * 100}\n", "[telnet] endpoints", "at most 107 bytes")

    def test_a_consequence_of_a_mistake_is_not_told_as_another(self) -> None:
        """A wrong key_file is one mistake, not also a missing key."""
        [mistake] = self.mistakes("[peers]\naddress = 10.0.0.1\nkey_file = ~/key\n")
        self.assertIn("F:3:", mistake)

    def test_the_command_line(self) -> None:
        """A mistake of the command line is told as it was given."""
        for text in ("x", "node=1", "node.id", ".id=1", "=", "node.=1"):
            self.assertEqual(
                self.mistakes("", text), [f"--set {text}: must be section.key=value, such as node.name=alpha"]
            )
        self.assertEqual(
            self.mistakes("", "node.ide=1", "nodee.id=1"),
            [
                "--set node.ide=1: [node] has no such key: did you mean id?",
                "--set nodee.id=1: there is no such section: did you mean node?",
            ],
        )


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]='\"# \nab\t,\x00nodei", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text of a file gives a traceback."""
    parse(text)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(name for name, _ in load(None, (), ROOT).settings())), st.text(max_size=30))
def test_any_value_is_taken_or_refused(name: str, value: str) -> None:
    """No value of any setting gives a traceback."""
    with contextlib.suppress(ConfigError):
        load(None, [f"{name}={value}"], ROOT)
