"""`gom doctor`: what it concludes from the answers of all nodes, and how it says so."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from gom.command import main
from gom.doctor import DoctorOptions, doctor, parse, reasons_of, write
from gom.doctor_cluster import ClusterAnswers, OfNode, judge
from gom.doctor_here import state_of
from libgomd.endpoints import FoundTcp, Tcp
from libgomd.errors import MalformedRequest
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState


def node(number: int, name: str, up: bool = True) -> dict[str, Any]:
    return {"id": number, "name": name, "up": up, "address": f"10.0.0.{number}"}


def told(number: int, check: str, state: str = "good", text: str = "", value: float | None = None) -> Any:
    return {"from": number, "check": check, "state": state, "text": text, "mend": "m", "value": value}


def healthy(**changes: Any) -> ClusterAnswers:
    """Three nodes, all well, with what is changed."""
    nodes = [node(1, "a"), node(2, "b"), node(3, "c")]
    found: dict[str, Any] = {
        "own": 1,
        "nodes": nodes,
        "seen": [{**row, "from": number} for number in (1, 2, 3) for row in nodes],
        "doctor": [
            row
            for number in (1, 2, 3)
            for row in (told(number, "version", text="gomd 1"), told(number, "clock", value=1000.0))
        ],
        "events": [{"kind": "join", "node": 2, "name": "b", "reason": "heard", "time": 1.0}],
        "seconds": 0.1,
    }
    return ClusterAnswers(**(found | changes))


def wrong(answers: ClusterAnswers) -> list[tuple[int | None, str, FindingState]]:
    """What is not good."""
    found = [(each.node, each.finding.check, each.finding.state) for each in judge(answers)]
    assert all(each.finding.mend for each in judge(answers) if each.finding.state is not GOOD)
    return [each for each in found if each[2] is not GOOD]


def event(kind: str, number: int, reason: str) -> dict[str, Any]:
    return {"kind": kind, "node": number, "name": f"n{number}", "reason": reason, "time": 5.0}


def test_a_healthy_cluster_has_nothing_to_mend() -> None:
    """All is good, and it is said of each node."""
    assert wrong(healthy()) == []
    assert {each.node for each in judge(healthy())} == {None, 1, 2, 3}


def test_what_a_node_finds_out_about_itself_is_passed_on() -> None:
    """With its state; one of a newer daemon that is not known here is a warning."""
    rows = [*healthy().doctor, told(2, "criu", "bad"), told(3, "key", "awful")]
    assert wrong(healthy(doctor=rows)) == [(2, "criu", BAD), (3, "key", WARN)]


def test_nodes_that_are_down_or_suspected_or_have_left() -> None:
    """The newest event says which, and why."""
    nodes = [node(1, "a"), node(2, "b", False), node(3, "c", False)]
    events = [event("suspect", 2, "silent"), event("down", 2, "silent for 5 s"), event("leave", 3, "stopped")]
    found = wrong(healthy(nodes=nodes, events=events, seen=[]))
    assert found == [(2, "node", BAD), (3, "node", WARN)]
    events = [event("suspect", 2, "its clock is 50 s ahead of ours")]
    [suspect] = [each for each in judge(healthy(events=events)) if each.finding.state is not GOOD]
    assert suspect.finding.state is WARN
    assert "timedatectl" in suspect.finding.mend
    assert wrong(healthy(events=[*events, event("up", 2, "back")])) == []


def test_a_node_that_a_wrong_clock_keeps_out_from_the_start_is_named() -> None:
    """It is in no list of nodes."""
    found = wrong(healthy(events=[event("suspect", 9, "its clock is 3600 s behind ours")]))
    assert found == [(9, "node", BAD)]


@pytest.mark.parametrize(
    ("code", "check", "state"),
    [(502, "ports", BAD), (504, "ports", BAD), (400, "version", WARN), (403, "trust", WARN)],
)
def test_a_node_whose_stream_does_not_answer(code: int, check: str, state: FindingState) -> None:
    """It is up by its datagrams; an older daemon knows no such verb."""
    rows = [row for row in healthy().doctor if row["from"] != 3]
    found = wrong(healthy(doctor=[*rows, {"from": 3, "code": code, "error": "no"}]))
    assert found == [(3, check, state)]


@pytest.mark.parametrize(("off", "state"), [(1.5, None), (5.0, WARN), (-5.0, WARN), (45.0, BAD)])
def test_clocks_are_compared_with_this_node(off: float, state: FindingState | None) -> None:
    """Not more exactly than asking allows."""
    rows = [row for row in healthy().doctor if (row["from"], row["check"]) != (2, "clock")]
    found = wrong(healthy(doctor=[*rows, told(2, "clock", value=1000.0 + off)]))
    assert found == ([] if state is None else [(2, "clock", state)])
    assert wrong(healthy(doctor=[*rows, told(2, "clock", value=1000.0 + off)], seconds=50.0)) == []


def test_versions_that_differ() -> None:
    """Which node has which."""
    rows = [*healthy().doctor[:-2], told(3, "version", text="gomd 2"), told(3, "clock", value=1000.0)]
    [found] = [each for each in judge(healthy(doctor=rows)) if each.finding.state is not GOOD]
    assert found.finding.text == "the nodes differ: gomd 1 on a,b; gomd 2 on c"


def test_a_node_that_does_not_see_another_one() -> None:
    """Both are up for the node that is asked."""
    rows = [row for row in healthy().seen if not (row["from"] == 2 and row["id"] == 3)]
    [found] = [each for each in judge(healthy(seen=rows)) if each.finding.state is not GOOD]
    assert found.node == 2
    assert "does not see c" in found.finding.text


def test_nodes_without_a_family_in_common() -> None:
    """No firewall keeps an IPv4-only and an IPv6-only node apart."""
    rows = [
        node(1, "a") | {"addresses": ["10.0.0.1", "fd00::1"]},
        node(2, "b"),
        node(3, "c") | {"address": "fd00::3"},
    ]
    seen = [{**row, "from": number} for number in (1, 2, 3) for row in rows if {number, row["id"]} != {2, 3}]
    found = [each for each in judge(healthy(nodes=rows, seen=seen)) if each.finding.state is not GOOD]
    assert [(each.node, each.finding.check) for each in found] == [(2, "addresses"), (3, "addresses")]
    assert "it has IPv4 only and c IPv6 only" in found[0].finding.text
    assert "[peers] address" in found[0].finding.mend


def test_the_worst_comes_first_and_nothing_drives_the_terminal() -> None:
    """What is good is left out, and counted."""
    rows = [
        OfNode(1, "a", Finding("x", GOOD, "fine")),
        OfNode(2, "b", Finding("y", WARN, "hm\x1b[2J", "do this")),
        OfNode(None, "", Finding("z", BAD, "no", "do that")),
    ]
    said: list[str] = []
    write(rows, False, False, said.append)
    assert said == [
        "bad   z: no", "      mend: do that", r"warn  node 2 b, y: hm\x1b[2J", "      mend: do this",
        "2 to mend, 1 are right; --all lists them",
    ]  # fmt: skip
    said.clear()
    write(rows, False, True, said.append)
    assert [json.loads(line)["state"] for line in said] == ["good", "warn", "bad"]
    assert json.loads(said[2])["node"] is None


def test_the_advice_of_any_program_at_the_port_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While gomd is down another user may answer there: root must not be told to run what that one wrote."""
    rows: dict[str, list[dict[str, Any]]] = {
        "node": [node(1, "a")],
        "nodes": [{**node(1, "a"), "from": 1}],
        "events": [],
        "doctor": [{**told(1, "criu", "bad", "is gone"), "mend": "run this"}],
    }

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            stream.write(b"220 gomd 0.1.0 node 1 a\r\n")
            stream.flush()
            for line in stream:
                verb = line.decode().split()[line.startswith(b"@")]
                block = "".join(f"{json.dumps(row)}\r\n" for row in rows.get(verb, ()))
                stream.write(f"201 rows\r\n{block}.\r\n".encode() if verb in rows else b"200 json\r\n")
                stream.flush()

    def serve() -> None:
        for _ in range(2):
            answer(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        port = listener.getsockname()[1]
        monkeypatch.delenv("GOMD_TOKEN", raising=False)
        assert doctor([Tcp("127.0.0.1", port)], "", DoctorOptions(), is_json=False) == 1
        assert "mend: run this" in capsys.readouterr().out
        assert doctor([FoundTcp("127.0.0.1", port)], "", DoctorOptions(), is_json=False) == 1
        said = capsys.readouterr().out
        serving.join(10)
    assert "criu: is gone" in said
    assert "run this" not in said
    assert "may be any program" in said


def test_the_command_line() -> None:
    """Nothing, or two words."""
    assert parse(["--config=x", "--all"]) == DoctorOptions("x", True)
    assert parse(["7", "beta"]).move == ("7", "beta")
    for words in (["7"], ["7", "8", "9"], ["--config"], ["--what"], ["7", "8", "--config", "x"]):
        with pytest.raises(MalformedRequest):
            parse(words)


def test_reasons_are_taken_apart() -> None:
    """As the daemon joins them."""
    assert reasons_of("it is locked; node 2 blocks guests") == ["it is locked", "node 2 blocks guests"]


def test_a_state_that_others_may_look_into(tmp_path: Path) -> None:
    """Its mode is named; a missing one is no finding."""
    (tmp_path / "state").mkdir(mode=0o700)
    assert list(state_of(str(tmp_path / "state"))) == []
    (tmp_path / "state").chmod(0o755)
    [found] = state_of(str(tmp_path / "state"))
    assert found.mend == f"chmod 700 {tmp_path}/state"
    assert list(state_of(str(tmp_path / "none"))) == []


def test_wrong_words_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    assert main(["doctor", "7"]) == 2
    assert "PID NODE" in capsys.readouterr().err
    assert main(["doctor", "--help"]) == 0


def test_engines_that_differ() -> None:
    """On the way from one engine to another that is a reminder; without one in common it is a mistake."""

    def found(*texts: str) -> list[Finding]:
        answers = healthy()
        rows = [told(number, "engine", text=text) for number, text in enumerate(texts, 1)]
        judged = judge(answers._replace(doctor=[*answers.doctor, *rows]))
        return [each.finding for each in judged if each.finding.check == "engines"]

    assert found("engine heartbeat, 3 nodes", "engine heartbeat, 4 nodes") == []
    [change] = found(
        "engine heartbeat and serf, 3 nodes; two", "engine heartbeat, 3 nodes", "engine map, 3 nodes"
    )
    assert change.state is WARN
    assert "heartbeat on b; heartbeat and serf on a; map on c" in change.text
    [mistake] = found("engine serf, 3 nodes", "engine heartbeat, 3 nodes")
    assert mistake.state is BAD
    assert "no engine in common" in mistake.text
