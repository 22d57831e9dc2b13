"""What `gom doctor` asks to compare the nodes, and how it goes on with any answer."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gom.doctor_cluster import OfNode, mtus
from gom.doctor_rounds import (
    MAX_ASKED,
    MAX_DIRECTORIES,
    MAX_SETS,
    Cluster,
    Row,
    lost_packets,
    parse_users,
    rounds,
)
from gomd.protocols.path_probe import Found, ProbedPath, findings_of
from libgomd.errors import MalformedRequest, PeerUnreachable, RequestError
from libgomd.model import FindingState, Node, Status
from libgomd.wire.lines import MAX_LINE, Request, encode_request

GOOD, WARN, BAD = FindingState
Answer = Callable[[int, tuple[str, ...]], Sequence[dict[str, Any]]]


def row(check: str, text: str, state: str = "good", value: float | None = None) -> dict[str, Any]:
    return {
        "check": check,
        "state": state,
        "text": text,
        "mend": "" if state == "good" else "m",
        "value": value,
    }


class Nodes:
    """A cluster. :ivar asked: every question, with whom. :param answer: gives the rows of one node."""

    def __init__(self, count: int, answer: Answer) -> None:
        self.count = count
        self.answer = answer
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        names = {n: f"n{n}" for n in range(1, count + 1)}
        self.cluster = Cluster(names, {n: f"10.0.0.{n}" for n in names})

    def ask(self, node: str, words: tuple[str, ...]) -> list[Row]:
        self.asked.append((node, words))
        assert len(encode_request(Request("doctor", words, node))) <= MAX_LINE
        if node != "all":
            return list(self.answer(int(node), words))
        return [{"from": n, **each} for n in range(1, self.count + 1) for each in self.answer(n, words)]

    def found(self) -> list[OfNode]:
        return list(rounds(self.ask, self.cluster))

    def wrong(self) -> list[tuple[int | None, str, FindingState]]:
        return [
            (each.node, each.finding.text, each.finding.state)
            for each in self.found()
            if each.finding.state is not GOOD
        ]


def healthy(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
    """Ana has a job on node 1, and all is the same everywhere."""
    if words[0] == "users":
        return [row("users", "ana jobs /home/ana '/w o'")] if node == 1 else []
    if words[0] == "accounts":
        return [row("accounts", "0123 of 7 accounts")]
    if words[0] == "directories":
        return [row("directories", "2 of 2 directories are there")]
    return [row("mtu", "packets of 1500 bytes reach n1")]


def test_a_healthy_cluster_is_asked_four_questions() -> None:
    """Nobody is asked for lists that are the same."""
    nodes = Nodes(3, healthy)
    assert nodes.wrong() == []
    assert nodes.asked == [
        ("all", ("paths",)), ("all", ("users",)), ("all", ("accounts", "digest", "ana")),
        ("all", ("directories", "ana:/home/ana", "ana:/w o")),
    ]  # fmt: skip


def test_what_nodes_find_on_their_paths() -> None:
    """Is passed on with the node."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        lost = [row("mtu", "packets of 1500 bytes to n3 are lost", "bad")]
        return lost if words == ("paths",) and node == 2 else healthy(node, words)

    assert Nodes(3, answer).wrong() == [(2, "packets of 1500 bytes to n3 are lost", BAD)]


def test_accounts_that_differ_are_asked_of_one_node_of_each_kind() -> None:
    """Not of every node; and one that does not answer costs its own."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        if words[:2] == ("accounts", "digest"):
            return [row("accounts", f"{node % 3} of 7 accounts")]
        if words[:2] == ("accounts", "list"):
            if node == 2:
                raise PeerUnreachable("gone")
            return [row("account", f"ana {1000 + node % 3} 100 100:users")]
        return healthy(node, words)

    nodes = Nodes(9, answer)
    assert nodes.wrong() == [(None, "the uid of ana is 1000 on n[3,6,9]; 1001 on n[1,4,7]", BAD)]
    lists = [node for node, words in nodes.asked if words[:2] == ("accounts", "list")]
    assert lists == ["1", "2", "3"]


def test_many_kinds_of_accounts() -> None:
    """Some of them are compared, and that is said."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        if words[:2] == ("accounts", "digest"):
            return [row("accounts", f"{node} of 7 accounts")]
        return [] if words[0] == "accounts" else healthy(node, words)

    nodes = Nodes(1000, answer)
    assert any(f"{MAX_SETS} of 1000 different" in each.finding.text for each in nodes.found())
    assert len(nodes.asked) == 4 + MAX_SETS


def test_directories_that_are_missing_on_some_nodes() -> None:
    """One that is missing everywhere is nobody's mistake; one that hangs is told in any case."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        if words[0] != "directories":
            return healthy(node, words)
        found = [row("directories", "0 of 2"), row("directories", "no /home/ana", "warn", 0)]
        if node > 1:
            found.append(row("directories", "no /w o", "warn", 1))
        return found

    assert Nodes(3, answer).wrong() == [(2, "no /w o", WARN), (3, "no /w o", WARN)]

    def hanging(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        found = [row("directories", "it hangs", "bad", 0)] if words[0] == "directories" else []
        return found or healthy(node, words)

    assert Nodes(2, hanging).wrong() == [(1, "it hangs", BAD), (2, "it hangs", BAD)]


@pytest.mark.parametrize(
    ("code", "note"),
    [(400, "they run an older gomd"), (403, "to their own users and admins"), (502, "")],
)
def test_a_node_that_does_not_answer_so(code: int, note: str) -> None:
    """An older one, one that trusts no peers, one that cannot be reached, which is told elsewhere."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{"code": code, "error": "no"}] if node == 2 else healthy(node, words)

    nodes = Nodes(3, answer)
    assert nodes.wrong() == []
    notes = [each.finding.text for each in nodes.found() if "compared with n2" in each.finding.text]
    assert [note in each for each in notes] == ([True] if note else [])


def test_an_older_daemon_here_and_a_caller_who_reads_only() -> None:
    """Nothing is compared, and the rest of the examination goes on."""

    def refuse(_node: str, _words: tuple[str, ...]) -> list[Row]:
        raise MalformedRequest("usage: doctor")

    cluster = Nodes(2, healthy).cluster
    [note] = rounds(refuse, cluster)
    assert note.finding.state is GOOD
    assert "usage: doctor" in note.finding.text

    def reader(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        return healthy(node, words) if words == ("paths",) else [{"code": 403, "error": "you are read"}]

    nodes = Nodes(2, reader)
    assert nodes.wrong() == []
    assert [words for _, words in nodes.asked] == [("paths",), ("users",)]


def test_a_refusal_later_on() -> None:
    """As when the daemon is asked too much: what was found before is told."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        if words[0] == "accounts":
            raise RequestError("too many")
        return [row("mtu", "lost", "bad")] if words == ("paths",) else healthy(node, words)

    assert Nodes(2, answer).wrong() == [(1, "lost", BAD), (2, "lost", BAD)]


def test_a_name_service_that_hangs_on_one_node() -> None:
    """It is named, unless the node answers nothing at all."""

    def answer(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        if node == 2 and words != ("paths",):
            return [{"code": 504, "error": "no answer within 6 s"}]
        return [{"code": 504, "error": "silent"}] if node == 3 else healthy(node, words)

    [(node, text, state)] = Nodes(4, answer).wrong()
    assert (node, state) == (2, WARN)
    assert "no answer within 6 s" in text

    def slow(node: int, words: tuple[str, ...]) -> list[dict[str, Any]]:
        is_slow = node == 2 and words[0] in ("accounts", "directories")
        return [{"code": 504, "error": "no answer within 6 s"}] if is_slow else healthy(node, words)

    assert Nodes(3, slow).wrong() == [(2, "its accounts cannot be listed: no answer within 6 s", WARN)]


def test_the_path_of_one_move() -> None:
    """Only what is said of the other node, as the daemon says it."""
    nodes = {n: Node(n, f"n{n}", f"10.0.0.{n}", Status.UP) for n in (2, 3, 4)}
    paths = [ProbedPath(nodes[n], Found.ARRIVES if n == 4 else Found.LOST, 1500) for n in nodes]
    rows = [{"from": 1, **row("mtu", each.text, each.state.value)} for each in findings_of(paths)]
    assert [len(list(lost_packets(rows, name))) for name in ("n2", "n3", "n4", "n")] == [1, 1, 0, 0]
    assert (
        list(lost_packets([{"error": "x"}, row("mtu", "packets of 1 bytes to n[ are lost", "bad")], "n2"))
        == []
    )


def test_root_is_root_everywhere() -> None:
    """Their directories are looked for, and their groups are not compared."""
    users = parse_users([row("users", "root jobs /root", value=0), row("users", "ana jobs /a", value=1000)])
    assert users.used == {"ana": True}
    assert users.directories == [("ana", "/a"), ("root", "/root")]


def test_users_with_odd_names_and_too_many_directories() -> None:
    """What can be quoted is asked for; what does not fit is left out; those with jobs come first."""
    odd = ["o'dd", "a b", "$(x)", "ü", "日本"]
    rows = [row("users", shlex.join((name, "jobs", f"/home/{name}"))) for name in odd]
    rows += [row("users", f"p{n} processes") for n in range(500)]
    rows += [row("users", "'"), row("users", ""), row("users", "ana"), {"error": "x"}]
    rows += [row("users", f"last jobs /{'d' * 300}{n}") for n in range(20)]
    users = parse_users(rows)
    assert len(users.used) == MAX_ASKED
    assert list(users.used)[:6] == sorted([*odd, "last"])
    assert {path for _, path in users.directories} > {f"/home/{name}" for name in odd}
    assert sum(len(path) for _, path in users.directories) <= MAX_DIRECTORIES
    nodes = Nodes(1, lambda _node, words: rows if words == ("users",) else healthy(1, words))
    assert nodes.wrong() == []


def interface(number: int, mtu: int, network: str = "10.0.0.0/24", name: str = "eth0") -> dict[str, Any]:
    return {"from": number, **row("mtu", f"MTU {mtu} in {network}, of {name}", value=mtu)}


NAMES = {n: f"n{n}" for n in range(1, 10_001)}


def test_interfaces_of_one_network_have_one_mtu() -> None:
    """The odd one is named with the command for it; networks are compared each for itself."""
    rows = [
        interface(1, 1500),
        interface(2, 9000, name="en p"),
        interface(3, 1500),
        interface(4, 1400, "fd00::/64"),
    ]
    [found] = mtus(rows, NAMES)
    assert found.state is WARN
    assert found.text == "the MTU of the interfaces in 10.0.0.0/24 differs: 1500 on n[1,3]; 9000 on n2"
    assert found.mend.startswith("on n2: ip link set dev 'en p' mtu 1500; ")
    assert list(mtus(rows[::2], NAMES)) == []
    assert list(mtus([{"from": 1, "error": "x"}, {"from": 1, "check": "mtu", "text": "other"}], NAMES)) == []


def test_both_families_of_the_same_interfaces_are_told_once() -> None:
    """And of ten thousand nodes in one line."""
    rows = [interface(n, 9000 if n == 7 else 1500, net) for n in NAMES for net in ("10.0.0.0/8", "fd00::/64")]
    [found] = mtus(rows, NAMES)
    assert found.text.endswith("differs: 1500 on n[1-6,8-10000]; 9000 on n7")
