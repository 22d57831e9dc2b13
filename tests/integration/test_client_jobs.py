"""`run` and ``attach`` of both clients on a real daemon: bytes, ends, signals, a daemon that goes away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a test on the real one
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from libgomd import blocking
from libgomd.client import connect
from libgomd.client_job import RunningJob
from libgomd.errors import (
    Conflict,
    ConnectionLost,
    GomdError,
    MalformedRequest,
    NotFound,
    NotPossible,
    TimedOut,
)
from tests.integration.client_jobs import AnyClient, walk_blocking
from tests.integration.daemon import PATIENCE, Daemon

SIZE = 5_000_000
Walk = Callable[[AnyClient, Daemon], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests here; some of them kill it and start it again."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1", "--name", "alpha") as running:
        yield running


async def raises(kind: type[GomdError], asked: Any) -> GomdError:
    """Return the error that ``asked`` has to fail with."""
    try:
        answer = await asked
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {answer!r}")


async def bytes_go_both_ways(client: AnyClient, daemon: Daemon) -> None:
    """Five megabytes there and back, unchanged; both streams apart, or as one."""
    data = os.urandom(SIZE)
    job = await client.run("cat")
    assert await job.communicate(data) == (data, b"")
    assert await job.wait() == job.exit == 0
    job = await client.run("sh", "-c", "cat >&2", stdin=data)
    assert await job.communicate() == (b"", data)
    job = await client.run("sh", "-c", "echo out; echo err >&2", merge=True)
    assert await job.communicate() == (b"out\nerr\n", b"")
    job = await client.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert sorted([chunk async for chunk in job]) == [("stderr", b"err\n"), ("stdout", b"out\n")]
    assert (await job.read(), job.exit, job.reason) == (None, 3, "")


async def words_are_exchanged(client: AnyClient, daemon: Daemon) -> None:
    """Input is written and output read in turn, as at a pipe."""
    job = await client.run("cat")
    for word in (b"one\n", b"two\n"):
        await job.write(word)
        assert await job.read() == ("stdout", word)
    await job.close_stdin()
    assert await job.read() is None
    assert await job.wait() == 0
    await raises(NotPossible, job.write(b"late"))
    await job.signal("TERM")
    await job.close()


async def it_is_what_was_described(client: AnyClient, daemon: Daemon) -> None:
    """Its surroundings, its number and process id are its own and known."""
    script = 'pwd; umask; echo "$SHIP$HOME"; echo $$'
    env = {"SHIP": "Beagle", "PATH": os.environ["PATH"]}
    job = await client.run("sh", "-c", script, cwd="/usr", env=env, umask=0o027, node="alpha", lock=True)
    assert (job.node, job.home, job.detached) == (1, 1, False)
    [row] = [row for row in await client.ask("jobs") if row.job == job.job]
    assert (row.pid, row.lock, row.command) == (job.pid, True, f"sh -c {script}")
    output, _errors = await job.communicate()
    assert output.split()[:3] == [b"/usr", b"0027", b"Beagle"]


async def what_cannot_be_run_is_said(client: AnyClient, daemon: Daemon) -> None:
    """As an error of the tree, before there is a job."""
    assert (await raises(NotFound, client.run("no-such-program"))).code == 127  # type: ignore[attr-defined]
    assert (await raises(NotPossible, client.run("/etc/passwd"))).code == 126  # type: ignore[attr-defined]
    await raises(NotFound, client.run("true", node="nobody"))
    await raises(NotFound, client.run("true", cwd="/nowhere"))
    await raises(MalformedRequest, client.run(""))
    await raises(MalformedRequest, client.run("true", detach=True, stdin=b""))
    await raises(NotFound, client.attach(4711))
    assert await (await client.run("true")).wait() == 0


async def signals_reach_it(client: AnyClient, daemon: Daemon) -> None:
    """By number and name; what they do to it is its exit status."""
    job = await client.run("sh", "-c", "trap 'echo got it; exit 7' USR1; echo ready; sleep 600 & wait")
    assert await job.read() == ("stdout", b"ready\n")
    assert "within 0.1 seconds" in str(await raises(TimedOut, job.wait(timeout=0.1)))
    await job.signal("USR1")
    assert await job.communicate() == (b"got it\n", b"")
    assert await job.wait() == 7
    job = await client.run("sleep", "600")
    await raises(MalformedRequest, client_signal(job, "NONE"))
    await raises(MalformedRequest, client_signal(job, 99))
    await job.signal(15)
    assert await job.wait() == 143
    job = await client.run("sleep", "600")
    await job.kill()
    assert await job.wait() == 137


async def client_signal(job: Any, number: int | str) -> None:
    """Send a signal: an error comes when it is awaited, from either client."""
    await job.signal(number)


async def a_slow_reader_holds_it_back(client: AnyClient, daemon: Daemon) -> None:
    """No more than the window is read ahead, nothing is lost, and input that it does not read waits."""
    job = await client.run("sh", "-c", f"head -c {SIZE} /dev/zero; echo done >&2; sleep 600")
    first = await job.read()
    await raises(TimedOut, job.wait(timeout=0.5))
    assert first.stream == "stdout"
    waiting = job.real._session
    assert sum(len(data) for _kind, data in waiting._chunks) <= 1 << 20
    sizes, errors = len(first.data), b""
    while sizes < SIZE or not errors:  # the end of the one and the other come in any order
        chunk = await job.read()
        if chunk.stream == "stdout":
            sizes += len(chunk.data)
        else:
            errors += chunk.data
    assert (sizes, errors) == (SIZE, b"done\n")
    if isinstance(client.real, blocking.Client):
        await raises(TimedOut, job.write(b"x" * SIZE, timeout=0.5))
    else:
        assert isinstance(job.real, RunningJob)
        job.real.write(b"x" * SIZE).addErrback(refused)
    assert waiting.input_waiting > SIZE - (2 << 20)
    await job.kill()
    assert await job.wait() == 137


async def attached(client: AnyClient, number: int) -> Any:
    """Attach to a job that somebody has just left: the daemon may not have noticed yet."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await client.attach(number)
        except Conflict:
            assert time.monotonic() < end


async def it_ends_with_its_caller_or_not(client: AnyClient, daemon: Daemon) -> None:
    """A job goes when its connection is closed; a detached one goes on and is attached to again."""
    job = await client.run("sleep", "600")
    await raises(NotPossible, detached(job))
    await job.close()
    await raises(ConnectionLost, job.wait())
    await until_state(client, job.job, "done")
    job = await client.run("sh", "-c", "echo one; sleep 0.5; echo two; exit 5", detach=True)
    assert job.detached
    assert "attach" in str(await raises(NotPossible, job.wait()))
    first = await client.attach(job.job)
    assert await first.read() == ("stdout", b"one\n")
    await raises(NotPossible, first.write(b"to nobody"))
    await first.detach()
    again = await attached(client, job.job)
    assert (again.job, await again.communicate(), again.exit) == (job.job, (b"one\ntwo\n", b""), 5)
    after = await attached(client, job.job)
    assert (await after.communicate(), await after.wait()) == ((b"one\ntwo\n", b""), 5)


def refused(failure: Failure) -> None:
    """Take the error of a write that a job's end has cut short."""
    failure.trap(NotPossible)


async def detached(job: Any) -> None:
    await job.detach()


async def until_state(client: AnyClient, number: int, state: str) -> None:
    """Wait until a job is in a state."""
    end = time.monotonic() + 20
    while True:
        [row] = [row for row in await client.ask("jobs") if row.job == number]
        if row.state.value == state:
            return
        assert time.monotonic() < end, row
        await (await client.meanwhile(lambda: time.sleep(0.05)))()


async def somebody_else_is_attached(client: AnyClient, daemon: Daemon) -> None:
    """The streams of a job are one caller's at a time."""
    job = await client.run("cat")
    await raises(Conflict, client.attach(job.job))
    assert await job.communicate(b"mine") == (b"mine", b"")


async def a_daemon_that_goes_away_comes_back(client: AnyClient, daemon: Daemon) -> None:
    """In mid-run it is killed and started again: not a byte is lost or doubled either way."""
    data = os.urandom(SIZE)
    job = await client.run("sh", "-c", "head -c 200000; sleep 1; cat")

    def restart() -> None:
        time.sleep(0.3)
        daemon.kill()
        daemon.start()

    ended = await client.meanwhile(restart)
    assert await job.communicate(data) == (data, b"")
    assert await job.wait() == 0
    await ended()


async def a_daemon_that_stays_away(client: AnyClient, daemon: Daemon) -> None:
    """After the time that was given the error says which job may go on."""
    job = await client.run("sleep", "600", reconnect=0.5)
    proud = await client.run("sleep", "600", reconnect=0)
    daemon.kill()
    began = time.monotonic()
    try:
        await raises(ConnectionLost, proud.wait())
        assert time.monotonic() - began < 0.4
        assert f"job {job.job} may go on" in str(await raises(ConnectionLost, job.wait()))
        await raises(ConnectionLost, job.read())
        assert time.monotonic() - began < 10
    finally:
        daemon.start()
    with blocking.connect(daemon.unix) as other:
        with other.attach(job.job) as found:
            found.kill()
            assert found.wait(10) == 137
        with other.attach(proud.job) as found:
            found.kill()
            assert found.wait(10) == 137


WALKS = (
    bytes_go_both_ways, words_are_exchanged, it_is_what_was_described, what_cannot_be_run_is_said,
    signals_reach_it, a_slow_reader_holds_it_back, it_ends_with_its_caller_or_not, somebody_else_is_attached,
    a_daemon_that_goes_away_comes_back, a_daemon_that_stays_away,
)  # fmt: skip


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_a_script(walk: Walk, daemon: Daemon) -> None:
    """Each walk with the blocking client."""
    with blocking.connect(daemon.unix) as client:
        walk_blocking(walk, client, daemon)


def test_a_script_that_ends_while_its_job_does_not_read(daemon: Daemon, tmp_path: Path) -> None:
    """A job's end comes although its input was never taken; what was written counts as lost."""
    with blocking.connect(daemon.unix) as client:
        job = client.run(["sh", "-c", "read -r first; sleep 0.3; exit 4"])
        with pytest.raises(NotPossible, match="did not take all"):
            job.write(b"x" * 10 + b"\n" + b"y" * SIZE)
        assert job.wait(10) == 4


class DeferredJobTests(TestCase):
    """Each walk with the Deferred client, on the real reactor."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def _given(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def walk(self, walk: Walk) -> None:
        client = await connect(reactor, self.daemon.unix)
        self.addCleanup(client.close)
        await walk(AnyClient(client), self.daemon)


def _test(walk: Walk) -> Callable[[DeferredJobTests], Coroutine[Any, Any, None]]:
    async def test(self: DeferredJobTests) -> None:
        await self.walk(walk)

    test.__doc__ = walk.__doc__
    return test


for _walk in WALKS:
    setattr(DeferredJobTests, f"test_{_walk.__name__}", _test(_walk))
