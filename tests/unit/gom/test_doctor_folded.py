"""`gom doctor` in a large cluster: equal findings are one, and nothing is lost by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.doctor import write
from gom.doctor_cluster import ClusterAnswers, OfNode, judge, names_of
from gom.doctor_folded import folded
from libgomd.model import Finding, FindingState
from libgomd.node_sets import expand
from tests.unit.gom.test_doctor import told

GOOD, WARN, BAD = FindingState


def of(number: int, text: str, mend: str = "", check: str = "node", state: FindingState = BAD) -> OfNode:
    return OfNode(number, f"node{number}", Finding(check, state, text, mend), f"10.0.0.{number}")


def test_what_differs_by_the_node_alone_is_one() -> None:
    """Its name and address stand as words in what mends it."""
    [group] = folded([
        of(n, "it is down: no heartbeat for 5 s", f"ping 10.0.0.{n}; on node{n}: systemctl status gomd")
        for n in (1, 2, 3, 12)
    ])  # fmt: skip
    assert group.where == "4 nodes node[1-3,12]"
    assert group.finding.text == "it is down: no heartbeat for 5 s"
    assert group.finding.mend == "ping ADDRESS; on NODE: systemctl status gomd"


def test_numbers_that_differ_are_shown_as_a_range() -> None:
    """The least and the greatest; numbers that are equal stay."""
    [group] = folded([of(n, f"only {n / 2} GiB of 8 are free for /var/lib/gomd2") for n in (3, 20, 7)])
    assert group.finding.text == "only 1.5 to 10.0 GiB of 8 are free for /var/lib/gomd2"


@pytest.mark.parametrize(
    "other",
    [
        of(2, "it is slow"),
        of(2, "it is up", state=WARN),
        of(2, "it is up", check="disk"),
        of(2, "it is up", mend="restart"),
        OfNode(None, "", Finding("node", BAD, "it is up")),
    ],
)
def test_what_differs_otherwise_stays_apart(other: OfNode) -> None:
    """Another text, state, subject or mend; and one node alone reads as it did."""
    groups = list(folded([of(1, "it is up"), other]))
    assert [group.where for group in groups] == ["node 1 node1", "node 2 node2" if other.node else ""]
    assert groups[0].finding == of(1, "it is up").finding


@pytest.mark.parametrize(("one", "two"), [
    ("gomd 0.1.0", "gomd 0.2.0"), ("its mode is 0644", "its mode is 0600"), ("10.0.1.3", "10.0.1.4"),
    ("eth0 is down", "eth1 is down"), ("fd00::1", "fd00::2"), ("5.GiB", "6.GiB"), ("a-1 b", "a-2 b"),
])  # fmt: skip
def test_versions_modes_and_addresses_are_no_numbers(one: str, two: str) -> None:
    """A range of them would mean nothing."""
    assert len(list(folded([of(7, one), of(8, two)]))) == 2


def test_names_of_other_nodes_stay() -> None:
    """Only a node's own name is replaced, and only as a whole word."""
    rows = [of(1, "it does not see node11", "between node1 and node11"), of(2, "it does not see node11")]
    assert [group.finding.mend for group in folded(rows)] == ["between node1 and node11", ""]
    [group] = folded([of(n, "it does not see node11", f"between node{n} and node11") for n in (1, 2)])
    assert group.finding.mend == "between NODE and node11"


ROWS = st.builds(
    lambda number, text, mend, check, state: of(
        number, text.format(number), mend.format(number), check, state
    ),
    st.integers(1, 9),
    st.sampled_from(["it is up", "{0} lost", "{0} of 9", "{0}.5 s off", "node{0}"]),
    st.sampled_from(["", "on node{0}: x", "ping 10.0.0.{0}", "{0} times"]),
    st.sampled_from(["node", "disk"]),
    st.sampled_from(list(FindingState)),
)


@given(st.lists(ROWS, max_size=30))
def test_every_finding_is_in_what_is_printed(rows: list[OfNode]) -> None:
    """Every node of a finding is named beside its state and subject, and nobody else is."""
    named = set()
    for where, finding in folded(rows):
        words = where.split()
        for name in expand(words[-1]):
            named.add((name, finding.check, finding.state))
        if words[1] == "nodes":
            assert int(words[0]) == len(expand(words[-1]))
    assert named == {(each.name, each.finding.check, each.finding.state) for each in rows}


def large(count: int) -> ClusterAnswers:
    """A cluster of which every third node is down, and every node has a disk that is nearly full."""
    nodes: list[dict[str, Any]] = [
        {"id": n, "name": f"node{n:05d}", "up": n % 3 > 0, "address": f"10.0.{n >> 8}.{n & 255}"}
        for n in range(1, count + 1)
    ]
    up = [row["id"] for row in nodes if row["up"]]
    rows = [
        row
        for n in up
        for row in (
            told(n, "version", text="gomd 1"),
            told(n, "clock", value=1000.0 + n % 7),
            told(n, "spool", "warn", f"only {n % 100 + 1} MiB are free for /var/lib/gomd"),
        )
    ]
    return ClusterAnswers(1, nodes, [], rows, [], 0.1)


def test_ten_thousand_nodes_are_a_page() -> None:
    """A person reads a few lines; a program gets every finding."""
    found = list(judge(large(10_000)))
    said: list[str] = []
    write(found, False, False, said.append)
    assert len(said) < 20
    assert max(map(len, said)) < 1000
    everything: list[str] = []
    write(found, False, True, everything.append)
    assert len(everything) == len(found) > 20_000
    assert all(json.loads(line)["check"] for line in everything)


def test_two_halves_that_do_not_see_each_other() -> None:
    """One finding a node, and a line a half; not one for each pair."""
    nodes: list[dict[str, Any]] = [
        {"id": n, "name": f"n{n}", "up": True, "address": f"10.0.0.{n}"} for n in range(1, 101)
    ]
    seen = [{**row, "from": n} for n in range(1, 101) for row in nodes if (row["id"] > 50) == (n > 50)]
    found = [
        each for each in judge(ClusterAnswers(1, nodes, seen, [], [], 0.1)) if each.finding.state is not GOOD
    ]
    assert [each.node for each in found] == list(range(1, 101))
    said: list[str] = []
    write(found, False, False, said.append)
    assert said == [
        "bad   50 nodes n[1-50], ports: it does not see n[51-100], which are up for others",
        "      mend: open udp port 5428 ([peers] port) between NODE and n[51-100]",
        "bad   50 nodes n[51-100], ports: it does not see n[1-50], which are up for others",
        "      mend: open udp port 5428 ([peers] port) between NODE and n[1-50]",
        "100 to mend, 0 are right; --all lists them",
    ]


def test_names_that_cannot_be_folded_are_cut() -> None:
    """A set that nobody would read to its end says that it goes on."""
    names = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in range(600)]
    text = names_of(names)
    assert text.endswith(",...")
    assert len(text) < 210
    assert names_of(["a", "b"]) == "a,b"


def test_many_findings_that_name_other_nodes_are_one() -> None:
    """Where every node loses packets to others nobody reads ten thousand lists; a few are told whole."""
    count = 10_000

    def lost(number: int) -> OfNode:
        text = f"packets of 1500 bytes to node[{number % count + 1},{(number + 70) % count + 1}] are lost"
        return of(number, text, f"ping -M do -s 1472 10.0.0.{number % count + 1}; then", "mtu")

    known = [of(n, "it is up", state=GOOD) for n in range(1, count + 1)]
    [group] = folded([lost(n) for n in range(1, count, 2)], known)
    assert group.where.startswith(f"{count // 2} nodes node[1,3,5,")
    assert group.finding.text == "packets of 1500 bytes to NODES are lost"
    assert group.finding.mend == "ping -M do -s 1472 ADDRESS; then"
    assert [each.finding.text for each in folded([lost(1), lost(2)], known)] == [
        lost(1).finding.text, lost(2).finding.text
    ]  # fmt: skip
