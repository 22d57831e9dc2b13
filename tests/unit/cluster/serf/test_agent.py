"""The agent that gomd runs, without one: its files, restarts and end; and the auth file of another one."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.config import assembly
from gomd.interfaces import IThreads
from libgomd.errors import ConfigError, NotPossible
from tests.unit.scratch import scratch

serf = pytest.importorskip("gomd.cluster.serf")
processes = pytest.importorskip("gomd.cluster.serf.agent_process")
files = pytest.importorskip("gomd.cluster.serf.agent_files")
KEYS = (b"k" * 32, b"n" * 32)
TAGS = {"gomd_id": "7"}


@implementer(IThreads)
class _NoThreads:
    """Threads whose calls are over at once."""

    def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        try:
            return succeed(function(*arguments))
        except Exception:
            return fail()

    def run_apart(self, limit: float, key: Any, holder: Any, function: Any, *arguments: Any) -> Deferred[Any]:
        return self.run(limit, function, *arguments)


class _FakeProcess:
    """A process, as its transport."""

    def __init__(self, protocol: Any, program: str, words: list[str], options: dict[str, Any]) -> None:
        self.protocol, self.words, self.options = protocol, words, options
        self.signals: list[str] = []
        self.pid = 1234
        protocol.makeConnection(self)

    def closeStdin(self) -> None:
        pass

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def end(self, said: bytes = b"", code: int = 1) -> None:
        """End, after saying something."""
        self.protocol.childDataReceived(1, said)
        self.protocol.processEnded(Failure(ProcessTerminated(code)))


class AgentTests(SynchronousTestCase):
    """One agent."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = os.path.join(scratch(self), "serf")
        self.started: list[_FakeProcess] = []
        self.trouble: OSError | None = None
        self.agent = serf.SerfAgent(
            self.spawn, self.clock, _NoThreads(), "/usr/bin/serf",
            serf.AgentFiles(self.folder, 7, "127.0.0.1", 5428), KEYS, lambda: TAGS, lambda: "127.0.0.1",
        )  # fmt: skip

    def spawn(self, protocol: Any, program: str, words: list[str], **options: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        self.started.append(_FakeProcess(protocol, program, words, options))
        return self.started[-1]

    def settings(self) -> Any:
        return json.loads(Path(self.folder, "agent.json").read_text("ascii"))

    def place(self) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.agent.place()))

    def why_not(self) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(self.agent.place()), NotPossible).value)

    def test_what_it_is_started_with(self) -> None:
        """No shell, no environment, no secret in the command line; all of it in private files."""
        self.agent.start()
        [started] = self.started
        host, port, auth = self.place()
        settings = self.settings()
        self.assertEqual((settings["rpc_addr"], settings["rpc_auth"]), (f"{host}:{port}", auth))
        self.assertEqual((settings["bind"], settings["tags"]), ("127.0.0.1:5431", TAGS))
        ring = json.loads(Path(self.folder, "keyring").read_text("ascii"))
        self.assertEqual([base64.b64decode(key) for key in ring], list(KEYS))
        self.assertEqual(
            started.words[-3:], ["/usr/bin/serf", "agent", f"-config-file={self.folder}/agent.json"]
        )
        self.assertEqual((started.options["env"], started.options["path"]), ({}, self.folder))
        for secret in (auth, *ring):
            self.assertNotIn(secret, " ".join(started.words))
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)
        for name in ("agent.json", "keyring", "name"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode), 0o600)

    def test_where_it_listens(self) -> None:
        """At the node's address, or at all of its family when that may change; others are told it."""
        for setting, told, bind, advertised in (
            ("10.0.0.7", "10.0.0.7", "10.0.0.7:5431", None),
            ("fd77::7", "fd77::7", "[fd77::7]:5431", None),
            ("::", "fd77::7", "[::]:5431", "[fd77::7]:5431"),
            ("0.0.0.0", "fd77::7", "[::]:5431", "[fd77::7]:5431"),  # 0.0.0.0 and ::, and there is no IPv4
        ):
            serf.AgentFiles(self.folder, 7, setting, 5428).write(KEYS, TAGS, told)
            settings = self.settings()
            self.assertEqual((settings["bind"], settings.get("advertise")), (bind, advertised))

    def test_it_keeps_its_name_and_no_auth_key(self) -> None:
        """A node is one member of Serf from start to start; a key that somebody saw is of no use then."""
        self.agent.start()
        name, auth = self.settings()["node_name"], self.place()[2]
        self.assertRegex(name, r"\Agomd-7-[0-9a-f]{8}\Z")
        self.started[0].end()
        self.clock.advance(1.0)
        self.assertEqual(self.settings()["node_name"], name)
        self.assertNotEqual(self.place()[2], auth)
        Path(self.folder, "name").write_text("gomd-8-00000000\n")  # of another node: STATE was copied
        self.started[1].end()
        self.clock.advance(2.0)
        self.assertRegex(self.settings()["node_name"], r"\Agomd-7-[0-9a-f]{8}\Z")

    def test_it_ends_again_and_again(self) -> None:
        """It is started again, ever later, and then without its snapshot; the reason is what it said last."""
        self.agent.start()
        snapshot = Path(self.folder, "snapshot")
        snapshot.write_text("junk")
        starts: list[tuple[int, bool]] = []
        for _ in range(600):
            if len(self.started) > len(starts):
                starts.append((round(self.clock.seconds()), snapshot.exists()))
                self.started[-1].end(b"==> Starting\n==> Failed: address already in use\n" + b"x" * 10_000)
            self.clock.advance(1.0)
        self.assertEqual([at for at, _ in starts[:8]], [0, 1, 3, 7, 15, 31, 63, 123])
        self.assertEqual([there for _, there in starts[:5]], [True, True, True, False, False])
        self.assertIn("it has ended (exit status 1) and said: ", self.why_not())
        self.assertIn("address already in use", self.why_not())
        self.assertLess(len(self.why_not()), 1000)

    def test_after_a_good_while_it_is_back_soon(self) -> None:
        """An agent that is killed once a day is missed for a second."""
        self.agent.start()
        for _ in range(5):
            self.clock.advance(100.0)
            self.started[-1].end()
            self.clock.advance(1.0)
        self.assertEqual(len(self.started), 6)

    def test_it_cannot_be_started(self) -> None:
        """No program, no room on the disk: tried again."""
        self.trouble = OSError(2, "No such file or directory")
        self.agent.start()
        self.assertEqual(self.why_not(), "it cannot be started: No such file or directory")
        self.trouble = None
        self.clock.advance(1.0)
        self.assertEqual(len(self.started), 1)

    def test_it_does_not_answer(self) -> None:
        """It is killed, which a stopped process cannot refuse, and started again."""
        self.agent.start()
        self.agent.unresponsive()
        self.assertEqual(self.started[0].signals, ["KILL"])
        self.started[0].end()
        self.clock.advance(1.0)
        self.assertEqual(len(self.started), 2)

    def test_other_keys(self) -> None:
        """It is started again at once with them; the same keys change nothing."""
        self.agent.start()
        self.agent.set_keys(KEYS)
        self.assertEqual(self.started[0].signals, [])
        self.agent.set_keys((b"n" * 32,))
        self.started[0].end()
        self.assertEqual(len(self.started), 2)
        self.assertEqual(len(json.loads(Path(self.folder, "keyring").read_text("ascii"))), 1)

    def test_its_end(self) -> None:
        """Waited for; it is told by signals when it does not end by itself, and is not started again."""
        self.agent.start()
        stopped = self.agent.stop()
        self.assertNoResult(stopped)
        self.clock.advance(3.0)
        self.assertEqual(self.started[0].signals, ["TERM"])
        self.clock.advance(2.0)
        self.assertEqual(self.started[0].signals, ["TERM", "KILL"])
        self.started[0].end()
        self.successResultOf(stopped)
        self.clock.advance(100.0)
        self.assertEqual(len(self.started), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_it_waits_for_the_next_start(self) -> None:
        """There is no next start."""
        self.agent.start()
        self.started[0].end()
        self.successResultOf(self.agent.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AuthFileTests(SynchronousTestCase):
    """The auth key of an administrator's agent."""

    def setUp(self) -> None:
        self.path = scratch(self)

    def write(self, data: bytes, mode: int = 0o600) -> None:
        Path(self.path).write_bytes(data)
        os.chmod(self.path, mode)

    def test_a_good_one(self) -> None:
        """One line, with or without its end."""
        for data in (b"secret", b"secret\n", b"secret\r\n"):
            self.write(data)
            self.assertEqual(serf.read_auth_file(self.path), "secret")

    def test_bad_ones(self) -> None:
        """Each is refused with a sentence that does not contain the key."""
        cases = (
            (b"", 0o600, "one line"), (b"secret", 0o644, "chmod 600"), (b"secret\nmore", 0o600, "one line"),
            (b"s" * 600, 0o600, "one line"), (b"secr\xe9t", 0o600, "one line"), (b"s\0e\0", 0o600, "UTF-16"),
        )  # fmt: skip
        for data, mode, words in cases:
            self.write(data, mode)
            with self.assertRaisesRegex(ConfigError, words) as raised:
                serf.read_auth_file(self.path)
            self.assertNotIn("secret", str(raised.exception).replace(self.path, ""))
        os.unlink(self.path)
        self.assertRaisesRegex(ConfigError, "No such file", serf.read_auth_file, self.path)
        os.symlink("/etc/shadow", self.path)
        self.assertRaisesRegex(ConfigError, "symbolic link", serf.read_auth_file, self.path)


def test_the_distance_of_the_ports() -> None:
    """gomd.ini is checked with the same number that the agent is started with."""
    assert assembly.SERF_PORT_OFFSET == files.PORT_OFFSET
