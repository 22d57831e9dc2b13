"""The telnet line: replies in the order of the requests, what is no good request, and tokens."""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.flow import MAX_GATHERED_PIECES
from gomd.sources.memory import MemorySource
from libgomd.errors import SourceUnavailable
from libgomd.model import Caller, Process, Role
from libgomd.testing import MemoryDaemon
from libgomd.wire.tree import TreePath
from tests.unit.protocols.talk import MANY, Talk, a_process, crowded


class OrderTests(SynchronousTestCase):
    """A reply for each request, in their order."""

    def test_it_greets_and_then_waits(self) -> None:
        """Nothing comes unasked."""
        talk = Talk(MemoryDaemon())
        self.assertRegex(talk.greeting, r"\A220 gomd \S+ node 1 memory\r\n\Z")
        talk.daemon.advance(30.0)
        self.assertEqual(talk.heard(), "")

    def test_what_is_asked_behind_a_long_reply_waits_for_it(self) -> None:
        """The block ends before the next status line."""
        heard = Talk(crowded(MANY)).say("ps", "load", "cpus").splitlines()
        self.assertEqual(heard[0], f"201 {MANY} processes")
        self.assertEqual(heard[MANY + 2 :], [".", "200 50", "200 1"])

    def test_replies_to_one_packet_leave_in_one_write(self) -> None:
        """Pipelining saves the packets it is meant to save."""
        talk, writes = Talk(MemoryDaemon()), list[bytes]()
        talk.transport.write = writes.append  # type: ignore[method-assign]
        talk.send(b"load\r\nspeed\r\ncpus\r\n")
        self.assertEqual(writes, [b"200 0\r\n200 15000\r\n200 1\r\n"])

    def test_what_a_long_reply_has_ready_leaves_in_few_writes(self) -> None:
        """Its first lines at once, the others together: each write wakes the client, or another node."""
        talk, writes = Talk(crowded(MANY)), list[bytes]()
        talk.transport.write = writes.append  # type: ignore[method-assign]
        talk.send(b"ps\r\n")
        self.assertRegex(writes[0], rb"\A201 .*\r\n.*PID")
        talk.daemon.advance(1.0)
        self.assertEqual(b"".join(writes).count(b"\r\n"), MANY + 3)
        self.assertTrue(writes[-1].endswith(b"\r\n.\r\n"), writes[-1][-80:])
        size = sum(map(len, writes))
        self.assertLessEqual(len(writes), 2 + size // MAX_GATHERED_PIECES)

    def test_a_request_in_pieces(self) -> None:
        """However the packets are cut."""
        for size in (1, 2, 3, 5):
            talk, data = Talk(MemoryDaemon()), b"load\r\nversion\ncpus\r\n"
            for start in range(0, len(data), size):
                talk.send(data[start : start + size])
            self.assertEqual([text[:3] for text in talk.heard().splitlines()], ["200"] * 3)

    def test_quit_ends_it_and_what_comes_behind_is_not_done(self) -> None:
        """221, and the connection closes once that is sent."""
        talk = Talk(MemoryDaemon())
        self.assertEqual(talk.say("quit", "setspeed 7"), "221 bye\r\n")
        self.assertTrue(talk.transport.disconnecting)
        self.assertEqual(Talk(talk.daemon).say("speed"), "200 15000\r\n")


class BadInputTests(SynchronousTestCase):
    """One line with its code; the conversation goes on."""

    def setUp(self) -> None:
        self.daemon = MemoryDaemon()
        self.talk = Talk(self.daemon)

    def test_a_line_that_is_too_long_is_answered_once(self) -> None:
        """Wherever the packets are cut; the next line is answered as usual."""
        for data in (
            b"x" * 4097 + b"\r\nload\r\n",
            b"x" * 4097 + b"\nload\n",
            b"x" * 100_000 + b"\nload\n",
            b"@1 " + b"y" * 4096 + b"\nload\n",
        ):
            for size in (1 << 20, 4096, 1000):
                for start in range(0, len(data), size):
                    self.talk.send(data[start : start + size])
                self.assertEqual([text[:3] for text in self.talk.heard().splitlines()], ["413", "200"])

    def test_the_longest_line_allowed(self) -> None:
        """4096 bytes, whichever end it has."""
        for end in ("\r\n", "\n"):
            self.talk.send(("load " + " " * 4091 + end).encode())
            self.assertEqual(self.talk.heard(), "200 0\r\n")

    def test_a_role_that_is_too_low_is_told_what_raises_it(self) -> None:
        """Also to callers over HTTP, who have no `auth`, and to those who are at the unix socket already."""
        self.assertEqual(
            Talk(self.daemon, Role.READ).say("jobs"),
            "403 `jobs` is for user, you are read: show a token of role user, or use the unix socket\r\n",
        )
        self.assertEqual(
            Talk(self.daemon, Role.USER, "ada", 1000).say("stay"),
            "403 `stay` is for admin, you are user: "
            "show a token of role admin, or be root at the unix socket\r\n",
        )

    def test_a_node_without_a_verb(self) -> None:
        """What is missing is named."""
        self.assertEqual(self.talk.say("@2"), "400 a verb is missing behind @2: @2 load\r\n")

    def test_many_long_lines_in_one_packet(self) -> None:
        """Each is answered."""
        self.talk.send((b"z" * 4100 + b"\n") * 16 * 4)
        self.assertEqual(self.talk.heard().count("413 "), 64)
        self.assertEqual(self.talk.say("load"), "200 0\r\n")

    def test_what_breaks_inside_is_not_told_to_the_client(self) -> None:
        """500 and a sentence; the log has the rest."""

        class Broken(MemorySource):
            def read_file(self, path: TreePath, caller: Caller) -> bytes:
                raise ZeroDivisionError("the secret of the node")

        talk = Talk(MemoryDaemon(Broken()))
        heard = talk.say("get /proc/loadavg", "load")
        self.assertRegex(heard, r"\A500 [^\r\n]+\r\n200 0\r\n\Z")
        self.assertNotIn("secret", heard)
        self.assertNotIn("ZeroDivision", heard)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_block_that_breaks_off_is_ended(self) -> None:
        """Its last line says why it is not complete; the next request is answered."""

        class Later(MemorySource):
            def process(self, pid: int, now: float) -> Process:
                raise SourceUnavailable("the disk is away")

        talk = Talk(MemoryDaemon(Later([50], [[a_process(1)]])))
        heard = talk.say("watch -n 1 where 7", "load").splitlines()
        self.assertEqual(heard[1:], ["! 500 the disk is away", ".", "200 50"])
        talk.say("format json")
        heard = talk.say("watch -n 1 where 7", "load").splitlines()
        self.assertEqual(heard[1:], ['{"code": 500, "error": "the disk is away"}', ".", "200 50"])

    def test_half_a_line_is_told_what_is_missing_when_it_idles(self) -> None:
        """400, then the end."""
        self.talk.send(b"load")
        self.daemon.clock.advance(601.0)
        self.daemon.telnet_factory.end_idle()
        self.assertRegex(self.talk.heard(), r"\A400 .*line feed\r\n\Z")
        self.assertTrue(self.talk.transport.disconnecting)


@pytest.mark.parametrize("role", list(Role))
def test_a_token_raises_the_role(role: Role) -> None:
    """For this connection, until another token is said."""
    owner = Caller(role, "grace", 1001, "tcp 192.0.2.7:40000")
    talk = Talk(MemoryDaemon(tokens={"s3cret": owner}), Role.NONE, "", None)
    assert talk.say("load").startswith("401 ")
    assert talk.say("auth wrong").startswith("403 ")
    assert talk.say("auth s3cret") == f"200 {role.word} grace via tcp 192.0.2.7:40000\r\n"
    assert talk.say("load")[:3] == ("401" if role is Role.NONE else "200")
