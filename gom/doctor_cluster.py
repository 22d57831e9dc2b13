"""Finds what is wrong in the cluster from the answers of all nodes. Pure functions, rows to findings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from libgomd.installation import installation
from libgomd.model import Finding, FindingState
from libgomd.node_sets import fold

GOOD, WARN, BAD = FindingState
#: Seconds by which clocks may differ beyond the time that asking took. From `MAX_SKEW` on, nodes are lost.
CLOCK_TOLERANCE: Final = 2.0
MAX_SKEW: Final = 30.0

#: Characters of a set of nodes in a finding; names without numbers cannot be folded.
MAX_SET: Final = 200

#: The text of a node about the interface of its address: MTU, network and interface.
_MTU: Final = re.compile(r"MTU (\d+) in ([^,]+), of (.*)")

Row = Mapping[str, Any]


class OfNode(NamedTuple):
    """
    A finding, and the node it is about; None for the whole cluster or for this machine.

    :ivar address: the node's, empty where it is not known.
    """

    node: int | None
    name: str
    finding: Finding
    address: str = ""


class ClusterAnswers(NamedTuple):
    """
    The rows of the daemon, as JSON objects.

    :ivar own: the id of the node that was asked. :ivar nodes: of `nodes`. :ivar seen: of `@all nodes`.
    :ivar doctor: of `@all doctor`. :ivar events: of `events`, the oldest first.
    :ivar seconds: that `@all doctor` took. :ivar known: whether `@all` was answered at all.
    """

    own: int
    nodes: Sequence[Row]
    seen: Sequence[Row]
    doctor: Sequence[Row]
    events: Sequence[Row]
    seconds: float


def judge(answers: ClusterAnswers) -> Iterator[OfNode]:
    """Yield all findings: those of each node itself, and those that follow from several answers."""
    names = {int(row["id"]): str(row["name"]) for row in answers.nodes}
    addresses = {int(row["id"]): str(row.get("address") or "") for row in answers.nodes}

    def of(node: int, finding: Finding) -> OfNode:
        return OfNode(node, names.get(node, ""), finding, addresses.get(node, ""))

    for node, finding in own_findings(answers.doctor):
        yield of(node, finding)
    for node, finding in presence(answers.nodes, answers.events):
        yield of(node, finding)
    for node, finding in unreachable(answers.doctor, names):
        yield of(node, finding)
    for node, finding in clocks(answers):
        yield of(node, finding)
    yield OfNode(None, "", versions(answers.doctor, names))
    yield from (OfNode(None, "", finding) for finding in engines(answers.doctor, names))
    yield from (OfNode(None, "", finding) for finding in mtus(answers.doctor, names))
    for node, finding in one_way(answers.nodes, answers.seen, names):
        yield of(node, finding)


def own_findings(rows: Sequence[Row]) -> Iterator[tuple[int, Finding]]:
    """Yield the findings of each node about itself, but for values that are compared between nodes."""
    for row in rows:
        if "check" in row and row["check"] not in ("clock", "version"):
            yield int(row["from"]), decode(row)


def decode(row: Row) -> Finding:
    """Return the finding in a row; a state of a newer daemon counts as a warning."""
    try:
        state = FindingState(row["state"])
    except ValueError:
        state = WARN
    return Finding(str(row["check"]), state, str(row["text"]), str(row.get("mend") or ""), row.get("value"))


def presence(nodes: Sequence[Row], events: Sequence[Row]) -> Iterator[tuple[int, Finding]]:
    """Yield the findings about nodes that are down or suspected, with the last event about each."""
    last: dict[int, Row] = {}
    for event in events:
        if event["kind"] in ("join", "leave", "down", "up", "suspect"):
            last[int(event["node"])] = event
    listed = set()
    for row in nodes:
        node = int(row["id"])
        listed.add(node)
        event = last.get(node, {})
        kind, reason = event.get("kind"), str(event.get("reason") or "")
        if row["up"] and kind != "suspect":
            yield node, Finding("node", GOOD, "it is up")
        elif row["up"]:
            yield node, Finding("node", WARN, f"it is suspected: {reason}", _mend(reason, row))
        elif kind == "leave":
            yield node, Finding("node", WARN, f"it has left: {reason}", _start(row))
        else:
            why = f": {reason}" if reason else ""
            yield node, Finding("node", BAD, f"it is down{why}", _mend(reason, row))
    for node, event in last.items():
        if node not in listed and event["kind"] == "suspect":  # one whose clock keeps it out from the start
            reason = str(event["reason"])
            yield node, Finding("node", BAD, f"{event['name']}: {reason}", _mend(reason, event))


def _mend(reason: str, row: Row) -> str:
    if "clock" in reason:
        return f"on {row['name']} and here: timedatectl set-ntp true"
    if " id " in reason:
        return f"on {row['name']}: give it its own [node] id"
    address = row.get("address")
    reach = f"ping {address}; " if address else ""
    return f"{reach}on {row['name']}: systemctl status gomd; gom doctor"


def _start(row: Row) -> str:
    return f"on {row['name']}: systemctl start gomd"


def unreachable(rows: Sequence[Row], names: Mapping[int, str]) -> Iterator[tuple[int, Finding]]:
    """Yield the findings about nodes that are up by their datagrams but did not answer over a stream."""
    for row in rows:
        if "error" not in row:
            continue
        node, error = int(row["from"]), str(row["error"])
        if row.get("code") == 400:
            yield (
                node,
                Finding(
                    "version", WARN, "it runs an older gomd, which has no doctor", "upgrade gomd on that node"
                ),
            )
        elif row.get("code") in (401, 403):
            yield (
                node,
                Finding("trust", WARN, f"it does not answer us: {error}", "run gom doctor on that node"),
            )
        else:
            yield node, Finding(
                "ports", BAD, f"its datagrams come and its streams do not: {error}",
                f"open tcp port 5428 ([peers] port) on {names.get(node, 'that node')}: nft list ruleset; "
                "where it is open, see mtu: large packets may be lost on the way",
            )  # fmt: skip


def clocks(answers: ClusterAnswers) -> Iterator[tuple[int, Finding]]:
    """Yield the findings about clocks that differ from this node's, as far as asking can tell."""
    stamps = {
        int(row["from"]): float(row["value"])
        for row in answers.doctor
        if row.get("check") == "clock" and row.get("value") is not None
    }
    own = stamps.pop(answers.own, None)
    if own is None:
        return
    for node, stamp in stamps.items():
        off = stamp - own
        if abs(off) <= CLOCK_TOLERANCE + answers.seconds:
            yield node, Finding("clock", GOOD, "its clock agrees with this node's", "", off)
            continue
        way = "ahead of" if off > 0 else "behind"
        yield node, Finding(
            "clock", WARN if abs(off) < MAX_SKEW else BAD,
            f"its clock is about {abs(off):.0f} s {way} this node's; at {MAX_SKEW:.0f} s nodes are lost",
            "on both: timedatectl set-ntp true", off,
        )  # fmt: skip


def versions(rows: Sequence[Row], names: Mapping[int, str]) -> Finding:
    """Return the finding about versions: whether all nodes that answered have the same."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.get("check") == "version":
            node = int(row["from"])
            found.setdefault(str(row["text"]), []).append(names.get(node) or str(node))
    if len(found) < 2:
        return Finding("versions", GOOD, f"{next(iter(found), 'gomd')} on every node that answers")
    parts = "; ".join(f"{version} on {names_of(sorted(nodes))}" for version, nodes in sorted(found.items()))
    return Finding("versions", WARN, f"the nodes differ: {parts}", "upgrade the older ones, one at a time")


def engines(rows: Sequence[Row], names: Mapping[int, str]) -> Iterator[Finding]:
    """Yield the finding about membership engines: whether all nodes that answered have one in common."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.get("check") == "engine":
            node, named = int(row["from"]), str(row["text"]).partition(",")[0].removeprefix("engine ")
            found.setdefault(named, []).append(names.get(node) or str(node))
    if len(found) < 2:
        return
    parts = "; ".join(f"{named} on {names_of(sorted(nodes))}" for named, nodes in sorted(found.items()))
    protocols = [set(named.replace("map", "heartbeat").split(" and ")) for named in found]
    if set.intersection(*protocols):
        text = f"the nodes are on the way from one engine to another: {parts}"
        page = installation().page("membership.md")
        yield Finding("engines", WARN, text, f'finish the change: {page}, "Another engine"')
    else:
        text = f"the nodes have no engine in common: {parts}"
        yield Finding("engines", BAD, text, "give all nodes the same [peers] engine, and restart gomd there")


def mtus(rows: Sequence[Row], names: Mapping[int, str]) -> Iterator[Finding]:
    """Yield a finding for each network whose interfaces differ in their MTU; equal ones are told once."""
    networks: dict[str, dict[int, list[tuple[str, str]]]] = {}
    for row in rows:
        found = _MTU.fullmatch(str(row.get("text"))) if row.get("check") == "mtu" else None
        if found is not None:
            name = names.get(int(row["from"])) or str(row["from"])
            networks.setdefault(found[2], {}).setdefault(int(found[1]), []).append((name, found[3]))
    told: list[object] = []
    for network, sizes in sorted(networks.items()):
        if len(sizes) > 1 and sizes not in told:
            told.append(sizes)
            most = max(sizes, key=lambda size: (len(sizes[size]), -size))
            ordered = sorted(sizes.items(), key=lambda each: -len(each[1]))
            parts = "; ".join(f"{size} on {names_of([name for name, _ in nodes])}" for size, nodes in ordered)
            others = [each for size, nodes in sizes.items() if size != most for each in nodes]
            interface = shlex.quote(others[0][1]) if len({each[1] for each in others}) == 1 else "INTERFACE"
            where = names_of([name for name, _ in others])
            yield Finding(
                "mtu", WARN, f"the MTU of the interfaces in {network} differs: {parts}",
                f"on {where}: ip link set dev {interface} mtu {most}; and where the system sets it at boot",
            )  # fmt: skip


def names_of(names: Sequence[str]) -> str:
    """Return a set of names in ClusterShell's notation, cut where it becomes too long to read."""
    text = fold(names)
    if len(text) <= MAX_SET:
        return text
    return text[:MAX_SET].rpartition(",")[0] + ",..."


def families_of(row: Row) -> frozenset[str]:
    """Return the families of the addresses of a node: ``IPv4``, ``IPv6``."""
    addresses = row.get("addresses") or [row.get("address") or ""]
    return frozenset("IPv6" if ":" in str(each) else "IPv4" for each in addresses)


def one_way(
    nodes: Sequence[Row], seen: Sequence[Row], names: Mapping[int, str]
) -> Iterator[tuple[int, Finding]]:
    """Yield the findings about nodes that are all up for this one and do not see one another."""
    up = {int(row["id"]) for row in nodes if row["up"]}
    families: dict[int, frozenset[str]] = {}
    for row in (*seen, *nodes):
        if "error" not in row and "id" in row:
            families[int(row["id"])] = families.get(int(row["id"]), frozenset()) | families_of(row)
    views: dict[int, set[int]] = {}
    for row in seen:
        if "error" not in row and row.get("from") is not None:
            view = views.setdefault(int(row["from"]), set())
            if row["up"]:
                view.add(int(row["id"]))
    for node, view in sorted(views.items()):
        name, own = names.get(node) or str(node), families.get(node)
        unlike: list[str] = []
        silent: list[str] = []
        for other in sorted(up - view - {node}):
            theirs = families.get(other)
            (unlike if own and theirs and not own & theirs else silent).append(names.get(other) or str(other))
        if own and unlike:
            [family], [another] = own, {"IPv4", "IPv6"} - own
            yield node, Finding(
                "addresses", WARN,
                f"it has {family} only and {names_of(unlike)} {another} only: they do not see each other",
                "give one of them an address of the other family too, in its [peers] address",
            )  # fmt: skip
        if silent:
            others, are = names_of(silent), "is" if len(silent) == 1 else "are"
            yield node, Finding(
                "ports", BAD, f"it does not see {others}, which {are} up for others",
                f"open udp port 5428 ([peers] port) between {name} and {others}",
            )  # fmt: skip
