"""Both clients of libgomd, and gom, against a daemon that runs on this machine's own /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a test on the real one
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from libgomd import blocking, calls
from libgomd.client import Client, connect
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    MalformedRequest,
    NotAllowed,
    NotFound,
)
from libgomd.model import Caller, EventKind, Output, Role, Status
from libgomd.version import VERSION
from tests.integration.daemon import Daemon

#: Asks a method of a client by name, and gives its answer or raises its error.
Ask = Callable[..., Awaitable[Any]]
COMMANDS = """
[commands]
greet = /bin/echo hello there
fail = /bin/sh -c 'echo oops >&2; exit 3'
wait = /bin/sleep 600
"""
OPTIONS = ("--node-id", "1", "--name", "alpha", "--telnet", "tcp:127.0.0.1:0,unix:")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests here."""
    with Daemon(tmp_path_factory.mktemp("gomd"), *OPTIONS, ini=COMMANDS) as running:
        with blocking.connect(running.unix) as client:
            while client.node().age is None:  # until it has read /proc for the first time
                time.sleep(0.02)
        yield running


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that sleeps."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()


async def raises(kind: type[GomdError], asked: Awaitable[Any]) -> str:
    """Return the text of the error that ``asked`` has to fail with."""
    try:
        answer = await asked
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}, got {answer!r}")


async def about_the_node(ask: Ask) -> None:
    """Ask everything that only reads."""
    version = await ask("version")
    assert version.version == VERSION
    assert version.protocol >= 1
    me = await ask("whoami")
    assert isinstance(me, Caller)
    assert me.uid == os.getuid()
    verbs = {verb.verb: verb for verb in await ask("help")}
    assert verbs["put"].role == "admin"
    assert [verb.usage for verb in await ask("help", "where")] == [verbs["where"].usage]
    [node] = await ask("nodes")
    assert (node.id, node.name, node.up) == (1, "alpha", True)
    assert (await ask("node")).id == (await ask("node", "alpha")).id == (await ask("node", 1)).id == 1
    assert await ask("cpus") == os.cpu_count()
    assert await ask("load") >= 0
    assert await ask("load", 1) >= 0
    assert await ask("load", node="alpha") >= 0
    assert await ask("speed") >= 1
    assert 0 < await ask("util") <= 100 * (os.cpu_count() or 1)
    memory = await ask("mem")
    assert memory.tmem == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory.rmem <= memory.tmem
    assert Status.UP in await ask("status")
    assert "hpc" in await ask("ls", "/proc")
    assert (await ask("get", "/proc/version")).strip() == Path("/proc/version").read_text().strip()
    assert any(counter.name for counter in await ask("stats"))
    assert [event.kind for event in await ask("events")][:1] == [EventKind.JOIN]
    await raises(NotFound, ask("node", "nobody"))
    await raises(NotFound, ask("load", 4711))
    await raises(NotAllowed, ask("get", "/proc/../etc/shadow"))
    await raises(NotAllowed, ask("ls", "/etc"))


async def about_a_process(ask: Ask, sleeper: subprocess.Popen[bytes]) -> None:
    """Look at a process, then act on it."""
    [process] = await ask("ps", sleeper.pid)
    assert (process.pid, process.ppid, process.uid) == (sleeper.pid, os.getpid(), os.getuid())
    assert process.command == "/bin/sleep 600"
    assert os.getpid() in [process.pid for process in await ask("ps")]
    assert await ask("where", sleeper.pid) == 1
    assert await ask("renice", sleeper.pid, 5) is None
    assert os.getpriority(os.PRIO_PROCESS, sleeper.pid) == 5
    await ask("signal", sleeper.pid, "TERM")
    assert sleeper.wait(10) == -15
    await raises(NotFound, ask("ps", sleeper.pid))
    await raises(NotFound, ask("where", sleeper.pid))


async def as_its_admin(ask: Ask) -> None:
    """Change the node's switches and see it; wrong values are refused."""
    for order, bit in (("stay", Status.STAY), ("lstay", Status.LSTAY), ("block", Status.BLOCK),
                       ("quiet", Status.QUIET)):  # fmt: skip
        await ask(order)
        assert bit in await ask("status")
        await ask(f"no{order}")
        assert bit not in await ask("status")
    await ask("put", "/proc/hpc/admin/stay", 1)
    assert (await ask("get", "/proc/hpc/admin/stay")).strip() == "1"
    await ask("nostay")
    speed = await ask("speed")
    await ask("setspeed", 20000)
    assert await ask("speed") == 20000
    await ask("setspeed", speed)
    await ask("setyard", 15000)
    await raises(MalformedRequest, ask("setspeed", 0))
    await ask("bring")
    await ask("nolstay")
    await ask("expel")
    await ask("noblock")
    await ask("checkpoint", "before-lunch")
    assert await ask("ask", "whoami") == {**(await ask("ask", "whoami")), "role": "admin"}


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="root is the admin over the unix socket")


def with_blocking(daemon: Daemon, walk: Callable[..., Any], *arguments: Any) -> None:
    """Run ``walk`` with a blocking client, which never lets it wait."""
    with blocking.connect(daemon.unix) as client:

        async def ask(name: str, *words: Any, **options: Any) -> Any:
            return getattr(client, name)(*words, **options)

        with pytest.raises(StopIteration):
            walk(ask, *arguments).send(None)


def test_a_script_reads_the_node(daemon: Daemon) -> None:
    """Every reading verb gives its typed value, and those are the machine's own."""
    with_blocking(daemon, about_the_node)


def test_a_script_acts_on_a_process(daemon: Daemon, sleeper: subprocess.Popen[bytes]) -> None:
    """As the user it runs as: the kernel tells the daemon who that is."""
    with_blocking(daemon, about_a_process, sleeper)


@needs_root
def test_a_script_of_root_is_admin(daemon: Daemon) -> None:
    """Every order is carried out and shows."""
    with_blocking(daemon, as_its_admin)


def test_a_script_watches(daemon: Daemon) -> None:
    """Rounds come until there were enough, while other questions are answered."""
    with blocking.connect(daemon.unix) as client:
        rounds = [(processes, client.load()) for processes in client.watch(calls.ps(), seconds=0.1, rounds=3)]
        assert len(rounds) == 3
        assert all(os.getpid() in [process.pid for process in processes] for processes, _ in rounds)
        assert list(client.watch(calls.load(), seconds=0.1, rounds=2)) != []
        with pytest.raises(NotFound):
            next(client.watch(calls.ps(4194303)))
        with pytest.raises(MalformedRequest, match="PID is a whole number"):
            next(client.watch(calls.ps(99999999999)))
        texts = list(client.watch(calls.get("/proc/version"), seconds=0.1, rounds=2))
        assert texts[0] == client.get("/proc/version")
        with pytest.raises(NotFound):
            next(client.watch(calls.node("nobody")))


@needs_root
def test_a_script_runs_a_command(daemon: Daemon) -> None:
    """Output line by line, last the exit status; one that is not there is refused."""
    with blocking.connect(daemon.unix) as client:
        assert list(client.do("greet")) == [Output("hello there"), Output(None, 0)]
        assert list(client.do("fail"))[-1] == Output(None, 3)
        with pytest.raises(NotFound):
            list(client.do("nothing"))


def test_over_tcp_a_token_makes_the_difference(daemon: Daemon) -> None:
    """Anonymous callers read; `gom token add` lets one do more; a wrong token is refused."""
    with blocking.connect(daemon.tcp) as client:
        assert client.whoami().role is Role.READ
        with pytest.raises(NotAllowed):
            client.stay()
        with pytest.raises(NotAllowed):
            client.auth("wrong")
        assert client.load() >= 0
        done = gom("token", "add", "robot", "admin", "--file", str(daemon.state / "tokens"))
        token = done.stdout.strip()
        client.auth(token)
        assert (client.whoami().role, client.whoami().user) == (Role.ADMIN, "robot")
        client.nostay()
    with blocking.connect(daemon.tcp, token) as client:
        assert client.whoami().role is Role.ADMIN
        assert list(client.do("greet"))[-1] == Output(None, 0)


def gom(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())", *words],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_gom_asks_the_daemon(daemon: Daemon) -> None:
    """Text and JSON, a verb that is none, and help."""
    done = gom("ps", str(os.getpid()), GOMD_ENDPOINT=daemon.unix)
    heading, row = done.stdout.splitlines()
    assert "PID" in heading.split()
    assert str(os.getpid()) in row.split()
    done = gom("-c", daemon.tcp, "--json", "load")
    assert (done.returncode, done.stdout.strip().isdigit()) == (0, True)
    done = gom("-c", daemon.tcp, "frobnicate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "frobnicate" in done.stderr
    done = gom("-c", daemon.tcp, "watch", "-n", "0.1", "-c", "2", "cpus")
    assert done.stdout.split() == [str(os.cpu_count())] * 2


class DeferredClientTests(TestCase):
    """The Deferred client on the real reactor."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def _given(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def connected(self) -> Client:
        client = await connect(reactor, self.daemon.unix)
        self.addCleanup(client.close)
        return client

    async def walk(self, walk: Callable[..., Any], *arguments: Any) -> None:
        client = await self.connected()

        async def ask(name: str, *words: Any, **options: Any) -> Any:
            return await getattr(client, name)(*words, **options)

        await walk(ask, *arguments)

    async def test_it_reads_the_node(self) -> None:
        """Every reading verb gives its typed value, and those are the machine's own."""
        await self.walk(about_the_node)

    async def test_it_acts_on_a_process(self) -> None:
        """As the user it runs as."""
        with subprocess.Popen(["/bin/sleep", "600"]) as sleeper:
            try:
                await self.walk(about_a_process, sleeper)
            finally:
                sleeper.kill()

    @needs_root
    async def test_root_is_admin(self) -> None:
        """Every order is carried out and shows."""
        await self.walk(as_its_admin)

    async def test_many_questions_at_once(self) -> None:
        """A thousand under way, each with its own answer."""
        client = await self.connected()
        asked: list[Deferred[Any]] = []
        for _ in range(300):
            asked += [client.cpus(), client.where(os.getpid()), client.status()]
        answers = [await answer for answer in asked]
        assert answers == answers[:3] * 300
        assert answers[:2] == [os.cpu_count(), 1]

    async def test_streams_while_questions_go_on(self) -> None:
        """And a stream that is left lets the daemon go."""
        client = await self.connected()
        async with client.watch(calls.ps(), seconds=0.1) as rounds:
            count = 0
            async for processes in rounds:
                assert os.getpid() in [process.pid for process in processes]
                assert await client.load() >= 0
                count += 1
                if count == 3:
                    break
        got = [load async for load in client.watch(calls.load(), seconds=0.1, rounds=2)]
        assert len(got) == 2
        assert client._streams == set()

    @needs_root
    async def test_a_command_that_is_left_is_ended(self) -> None:
        """The daemon kills what nobody reads any more."""
        client = await self.connected()
        assert [output async for output in client.do("greet")] == [Output("hello there"), Output(None, 0)]
        waiting = Deferred.fromCoroutine(client.do("wait").__anext__())
        await asleep(0.3)
        assert "/bin/sleep 600" in [process.command for process in await client.ps()]
        waiting.cancel()
        try:
            await waiting
        except BaseException:
            pass
        for _ in range(100):
            if "/bin/sleep 600" not in [process.command for process in await client.ps()]:
                return
            await asleep(0.05)
        raise AssertionError("the command still runs")

    async def test_a_daemon_that_is_not_there(self) -> None:
        """One error, which names the place."""
        for endpoint in ("unix:/nowhere/gomd.sock", "tcp:127.0.0.1:1", "tcp:localhost:1"):
            assert endpoint in await raises(ConnectionLost, connect(reactor, endpoint))


def asleep(seconds: float) -> Deferred[None]:
    from twisted.internet.task import deferLater

    return deferLater(reactor, seconds, lambda: None)


@needs_root
def test_a_shutdown_is_answered_and_done(tmp_path: Path) -> None:
    """The order is confirmed, then the daemon goes, and who asks again learns that it is gone."""
    with Daemon(tmp_path, *OPTIONS) as running:
        with blocking.connect(running.unix) as client:
            client.shutdown()
            assert running.process.wait(10) == 0
            with pytest.raises(ConnectionLost):
                client.load()
        assert gom("-c", running.unix, "load").returncode == 3
