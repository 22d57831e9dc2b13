"""The libraries of all languages in the same conversations: each gets the same answers and errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libgomd import blocking
from tests.integration.cluster_of import cluster_of
from tests.integration.conversations.driver import byte_string
from tests.integration.conversations.drivers import Driver, every_language
from tests.integration.conversations.odd_daemons import Cutter, ScriptedDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import begin, gom, jobs, running, until

MEGABYTES = 5_000_000
#: Values that are another moment's in the next answer.
PASSING = {
    "load", "age", "mem", "rmem", "util", "cpu_percent", "cpu_seconds", "rss", "vsize", "read_rate",
    "write_rate", "value", "swap", "descriptors", "text", "words", "message", "finding", "start_time",
    "speed", "stuck",
    "cantmove",
}  # fmt: skip
#: The verbs with one value instead of rows.
ONE = {"load", "speed", "cpus", "util", "mem", "status", "get", "where", "whoami", "version"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Node 1, alpha, with a job that has ended and one that sleeps."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1", "--name", "alpha") as started:
        gom(started, "run", "sh", "-c", "exit 3")
        sleeper = begin(started, "run", "sleep", "1000")
        running(started)
        yield started
        sleeper.kill()
        sleeper.communicate(timeout=PATIENCE)
        until(lambda: all(row["state"] != "running" for row in jobs(started)))


def truth(daemon: Daemon, verb: str, *words: str) -> Any:
    """Return what the daemon answers on its telnet line."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        reply = line.ask(" ".join((verb, *words)))
    assert reply.code < 400, reply
    return reply.value if verb in ONE else reply.rows


def same(verb: str, found: Any, true: Any) -> None:
    """Compare two rows: all of the names, and the values that do not pass."""
    assert isinstance(found, dict), (verb, found)
    if verb == "switches" and "switch" not in found:  # a word of Java's own
        found["switch"] = found["name"]
    assert set(true) <= set(found), set(true) - set(found)
    for name, value in true.items():
        if name in PASSING:
            continue
        elif isinstance(value, float):
            assert found[name] == pytest.approx(value, rel=1e-9), name
        else:
            assert found[name] == value, name


@every_language
def test_connecting(driver: Driver, daemon: Daemon, tmp_path: Path) -> None:
    """By unix socket and by tcp; no daemon, no endpoint, a full daemon and another program are told apart."""
    assert driver.call("connect", daemon.unix, 20).error == ""
    assert driver.ok("read", "whoami")["via"] == "unix"
    assert driver.call("connect", daemon.tcp, 20).error == ""
    assert driver.ok("read", "whoami")["via"].startswith("tcp")
    assert driver.call("connect", f"unix:{tmp_path}/nobody", 20).error == "ConnectionLost"
    assert driver.call("connect", "here", 20).error in ("MalformedRequest", 400)
    for number, (greeting, error) in enumerate(
        ((b"429 too many connections\r\n", 429), (b"SSH-2.0-OpenSSH\r\n", "MalformedReply"),
         (b"", "TimedOut"), (b"499 a code of a later version\r\n", 499))
    ):  # fmt: skip
        with ScriptedDaemon(tmp_path / f"{number}", {}, greeting=greeting) as other:
            said = driver.call("connect", other.endpoint, 0.3 if error == "TimedOut" else 20)
        assert said.error == error
        assert len(said.text) > 10


@every_language
def test_refusals(driver: Driver, daemon: Daemon, tmp_path: Path) -> None:
    """The code and the sentence of the daemon, and then the connection goes on."""
    driver.ok("connect", daemon.tcp, 20)
    for words, code in (
        (("ask", "nosuch"), 400), (("ask", "load", "nosuch"), 404), (("read", "jobs"), 403),
        (("read", "where", "4194303"), 404), (("ask", "stay"), 403),
    ):  # fmt: skip
        said = driver.call(*words)
        with daemon.connect() as line:
            true = line.ask(" ".join(words[1:]))
        assert (said.error, said.text) == (code, true.text)
    assert driver.call("run", "true").error == 403
    driver.ok("connect", daemon.unix, 20)
    assert driver.call("run", "nosuch").error in (127, 404)
    assert driver.call("run", "/etc/passwd").error in (126, 405)
    assert driver.call("attach", 99999).error == 404
    assert driver.call("attach", running(daemon)["job"]).error == 409
    assert driver.ok("ask", "load") >= 0


def test_a_daemon_that_takes_nobody(every_driver: dict[str, Driver], tmp_path: Path) -> None:
    """One that is full says so before anything is asked, and one that wants a token when something is."""
    strict = ("--set", "telnet.anonymous=none", "--set", "telnet.max_connections=8")
    with Daemon(tmp_path / "strict", *strict) as daemon:
        held = [daemon.connect() for _ in range(8)]
        for each in every_driver.values():
            said = each.call("connect", daemon.tcp, 20)
            assert (said.error, len(said.text) > 10) == (429, True), each.language
        for line in held:
            line.ask("quit")
            assert line.at_end()
        for each in every_driver.values():
            said = each.call("connect", daemon.tcp, 20)
            said = said if said.error else each.call("read", "load")
            assert (said.error, "auth TOKEN" in said.text) == (401, True), (each.language, said)


@every_language
def test_a_token_over_tcp(driver: Driver, daemon: Daemon) -> None:
    """It raises the role for questions and for jobs; a wrong one is refused."""
    added = gom(daemon, "token", "add", driver.language, "admin", "--file", str(daemon.state / "tokens"))
    driver.ok("connect", daemon.tcp, 20, added.stdout.decode().strip())
    assert driver.ok("read", "whoami")["role"] == "admin"
    assert driver.call("connect", daemon.tcp, 20, "wrong").error in (401, 403)


@every_language
def test_every_verb_that_reads(driver: Driver, daemon: Daemon) -> None:
    """The names and values that the daemon sends, none missing, in what the library makes of them."""
    driver.ok("connect", daemon.unix, 20)
    asleep = running(daemon)["pid"]
    for verb, *words in (
        ["nodes"], ["node"], ["ps"], ["jobs"], ["events"], ["map"], ["ls", "/proc/hpc"], ["stats"], ["help"],
        ["doctor"], ["busiest"], ["measures"], ["switches"], ["load"], ["speed"], ["cpus"], ["util"],
        ["mem"], ["status"], ["whoami"], ["version"], ["get", "/proc/hpc/nodes/1/cpus"],
        ["where", str(asleep)], ["history", "1", "load"],
    ):  # fmt: skip
        found, true = driver.ok("read", verb, *words), truth(daemon, verb, *words)
        if verb == "node" and isinstance(found, dict):
            found = [found]
        if verb == "ps":
            found, true = ([row for row in rows if row["pid"] == asleep] for rows in (found, true))
        if verb in ("busiest", "history"):  # other ones in the next moment
            names = set(true[0]) - {"in_job"} if true else set()  # which daemons tell each other
            assert bool(found) == bool(true)
            assert all(names <= set(row) for row in found), verb
            continue
        if verb in ("events", "measures"):
            found, true = found[:1], true[:1]
        if verb == "ls":
            assert [each if isinstance(each, str) else each["name"] for each in found] == [
                each["name"] for each in true
            ]
        elif verb == "get":
            assert (found if isinstance(found, str) else found["text"]) == true["text"]
        elif verb == "status":
            assert (found if isinstance(found, int) else found["status"]) == true["status"]
        elif verb in ONE and not isinstance(true, dict):
            assert verb in PASSING or found == true
            assert type(found) is type(true)
        else:
            pairs = [(found, true)] if verb in ONE else list(zip(found, true, strict=True))
            for one, other in pairs:
                same(verb, one, other)


@every_language
def test_five_megabytes_each_way(driver: Driver, daemon: Daemon) -> None:
    """Through `cat` and back, not a byte lost, though signals interrupt; then a job that a signal ends."""
    driver.ok("connect", daemon.unix, 20)
    driver.ok("run", "cat")
    driver.begin("both", MEGABYTES)
    for _ in range(5):
        driver.interrupt()
        time.sleep(0.01)
    assert driver.said().value == {"same": True, "bytes": MEGABYTES, "status": 0}
    driver.ok("leave")
    driver.ok("run", "sleep", "1000")
    assert driver.call("wait", 0.1).error == "TimedOut"
    driver.ok("signal", 15)
    assert driver.ok("wait", 20) == 143
    driver.ok("leave")


@every_language
def test_a_job_whose_connection_is_cut(driver: Driver, daemon: Daemon, tmp_path: Path) -> None:
    """In the middle of a frame: nothing of a detached job is lost; another one hears of it as of a hangup."""
    (tmp_path / "file").write_bytes(byte_string(MEGABYTES))
    with blocking.connect(daemon.unix) as client:
        number = client.run(["cat", str(tmp_path / "file")], detach=True).job
    with Cutter(tmp_path / "cutter", daemon.socket, "attach", 1_234_567) as cutter:
        driver.ok("connect", cutter.endpoint, 20)
        driver.ok("attach", number)
        assert driver.ok("output", MEGABYTES) == {"same": True, "bytes": MEGABYTES, "status": 0}
        assert cutter.cuts == 1
        driver.ok("leave")
    with Cutter(tmp_path / "other", daemon.socket, "run", 1000) as cutter:
        driver.ok("connect", cutter.endpoint, 20)
        driver.ok("run", "sh", "-c", "head -c 5000 /dev/zero; exec sleep 1000")
        said = driver.call("wait", 20)  # its status, unless it was over before the library came back
        assert said.value == 129 or (said.error == 404 and "exit 129" in said.text)
        assert cutter.cuts == 1
        driver.ok("leave")


def test_a_daemon_that_starts_anew_in_mid_run(every_driver: dict[str, Driver], tmp_path: Path) -> None:
    """It is killed while a job of each language holds back the rest of 5 MB: all of it comes afterwards."""
    gate = tmp_path / "gate"
    script = (
        f"dd bs=1000 count=2000 iflag=fullblock status=none; until [ -e {gate} ]; do sleep 0.05; done; cat"
    )
    with Daemon(tmp_path / "daemon") as killed:
        for each in every_driver.values():
            each.ok("connect", killed.unix, 20)
            each.ok("run", "sh", "-c", script)
            each.begin("both", MEGABYTES)
        killed.kill()
        killed.start()
        assert len(jobs(killed)) == len(every_driver)
        gate.touch()
        for each in every_driver.values():
            assert each.said().value == {"same": True, "bytes": MEGABYTES, "status": 0}, each.language
            each.ok("leave")


def test_a_watch_with_a_dying_node(every_driver: dict[str, Driver], tmp_path: Path) -> None:
    """Each library sees both nodes fresh, then one that goes silent, while the other one stays fresh."""
    with cluster_of(tmp_path / "cluster", 2, "--set", "peers.heartbeat=0.2") as (first, second):
        for each in every_driver.values():
            each.ok("connect", first.unix, 20)
            each.ok("watch", "all", "0.3", "load")
            until(lambda each=each: _ages(each.ok("next")) == {1: True, 2: True})  # type: ignore[misc]
        second.kill()
        for each in every_driver.values():
            seen = until(lambda each=each: _silent(each.ok("next")))  # type: ignore[misc]
            assert seen, each.language
        first.kill()
        for each in every_driver.values():
            gone = until(lambda each=each: each.call("next").error)  # type: ignore[misc]
            assert gone == "ConnectionLost", each.language


def _ages(rows: list[dict[str, Any]]) -> dict[int, bool]:
    """Return for each node whether its value is fresh."""
    return {row["from"]: row["value"] is not None and row["age"] < 1 for row in rows}


def _silent(rows: list[dict[str, Any]]) -> bool:
    """Whether node 2 is silent or in error, and node 1 as ever."""
    by_node = {row["from"]: row for row in rows}
    assert by_node[1]["code"] is None
    assert by_node[1]["age"] < 5
    dead = by_node.get(2)
    return dead is not None and (dead["age"] >= 1 or dead["left"] or dead["code"] is not None)
