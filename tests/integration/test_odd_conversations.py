"""The libraries of all languages with daemons that are slow, hang up, or are of a later version."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.conversations.drivers import Driver, every_language
from tests.integration.conversations.odd_daemons import ScriptedDaemon

#: A node as a later daemon has it: numbers over 2^53, values that are not known, fields that nobody knows.
NODE = (
    b'{"id": 1, "name": "a\\u00e9\\ud83d\\ude00\\"", "address": "127.0.0.1", "status": 3, "up": true,'
    b' "load": null, "speed": 9007199254740993, "cpus": 1, "util": 1, "mem": 9223372036854775807,'
    b' "rmem": -9007199254740993, "tmem": 0, "age": null, "later": {"a": [1, null]}, "more": "x"}'
)


@every_language
def test_values_at_the_edges(driver: Driver, tmp_path: Path) -> None:
    """Numbers over 2^53 are exact, null is null and not 0, unknown fields are no error."""
    with ScriptedDaemon(
        tmp_path / "later",
        {"nodes": b"201 1 node\r\n" + NODE + b"\r\n.\r\n", "thing": b'200 {"a": 9007199254740993}\r\n'},
    ) as later:
        driver.ok("connect", later.endpoint, 20)
        [node] = driver.ok("read", "nodes")
        assert driver.ok("ask", "thing") == {"a": 9007199254740993}
    assert [node[name] for name in ("speed", "mem", "rmem", "tmem")] == [
        2**53 + 1,
        2**63 - 1,
        -(2**53) - 1,
        0,
    ]
    assert (node["load"], node["age"]) == (None, None)
    assert node["name"] == 'aé😀"'


@every_language
def test_codes_that_nobody_knows(driver: Driver, tmp_path: Path) -> None:
    """A refusal with a code of a later daemon is one with that code; a status that is none is no answer."""
    failure = b'201 1 row\r\n{"code": 504, "error": "no answer from node 2"}\r\n.\r\n'
    answers = {
        "load": b"418 a teapot\r\n", "speed": b"599 odd\r\n", "nodes": failure, "util": b"777 what\r\n",
        "cpus": b"2000 5\r\n",
    }  # fmt: skip
    with ScriptedDaemon(tmp_path / "later", answers) as later:
        driver.ok("connect", later.endpoint, 20)
        assert driver.call("read", "load")[1:] == (418, "a teapot")
        assert driver.call("read", "speed")[1:] == (599, "odd")
        said = driver.call("read", "nodes")
        assert (said.error, said.text) == (
            "TimedOut" if driver.language == "python" else 504,
            "no answer from node 2",
        )
        for verb in ("util", "cpus"):
            driver.ok("connect", later.endpoint, 20)
            assert driver.call("read", verb).error == "MalformedReply"
            assert driver.call("read", "load").error == "ConnectionLost"


@every_language
def test_a_connection_that_is_cut_in_mid_block(driver: Driver, tmp_path: Path) -> None:
    """Half a block is no answer; the error says that the connection is gone, and so does the next one."""
    half = b"201 2 nodes\r\n" + NODE + b'\r\n{"id": 2'
    with ScriptedDaemon(tmp_path / "cut", {"nodes": half, "load": b"200 5\r\n"}) as cut:
        driver.ok("connect", cut.endpoint, 20)
        assert driver.ok("read", "load") == 5
        assert driver.call("read", "nodes").error == "ConnectionLost"
        assert driver.call("read", "load").error == "ConnectionLost"


@every_language
@pytest.mark.parametrize("more", [b"200 6\r\n", b"421 we stop\r\n", b"20"])
def test_an_answer_that_nobody_asked_for(driver: Driver, more: bytes, tmp_path: Path) -> None:
    """Two answers to one question: the second one is never taken for that to the next question."""
    with ScriptedDaemon(tmp_path / "early", {"load": b"200 5\r\n" + more, "speed": b"200 7\r\n"}) as early:
        driver.ok("connect", early.endpoint, 20)
        assert driver.ok("read", "load") == 5
        said = driver.call("read", "speed")
        assert said.error in ("ConnectionLost", "MalformedReply", "TimedOut"), said
        assert driver.call("read", "speed").error == "ConnectionLost"


@every_language
def test_a_watch_that_fails(driver: Driver, tmp_path: Path) -> None:
    """The daemon says why in the midst of it, and that is the error."""
    failure = b'201 watch\r\n{"code": 502, "error": "node 2 is gone"}\r\n.\r\n'
    with ScriptedDaemon(tmp_path / "failing", {"watch": failure}) as failing:
        driver.ok("connect", failing.endpoint, 20)
        driver.ok("watch", "all", "1", "load")
        assert driver.call("next")[1:] == (502, "node 2 is gone")


@every_language
def test_a_slow_daemon_and_signals(driver: Driver, tmp_path: Path) -> None:
    """An answer piece by piece is whole, though signals interrupt each wait; one too late is nobody's."""
    answers = {"nodes": b"201 1 node\r\n" + NODE + b"\r\n.\r\n", "load": b"200 5\r\n"}
    with ScriptedDaemon(tmp_path / "slow", answers, pause=0.1, piece=16) as slow:
        driver.ok("connect", slow.endpoint, 20)
        driver.begin("read", "nodes")
        for _ in range(12):
            driver.interrupt()
            time.sleep(0.02)
        assert driver.said().value[0]["tmem"] == 0
    with ScriptedDaemon(tmp_path / "slower", answers, pause=0.5) as slower:
        driver.ok("connect", slower.endpoint, 0.2)
        assert driver.call("read", "load").error == "TimedOut"
        assert driver.call("read", "load").error == "ConnectionLost"
