"""
What `gom doctor` asks the nodes to compare their answers: paths, users, accounts and directories.

Nothing is asked in pairs. Each node probes a few paths; it answers with a digest of its accounts, and one of
those with the same digest is asked for the accounts; and of directories it tells those that are missing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gom.doctor_accounts import SameAccounts, compare, parse_accounts
from gom.doctor_cluster import OfNode, decode, names_of
from libgomd.errors import GomdError, MalformedRequest, NodeError, RequestError
from libgomd.model import Finding, FindingState
from libgomd.node_sets import expand

GOOD, WARN, BAD = FindingState
#: Characters of names, and of directories, in one question; a request is a line of 4096 bytes.
MAX_NAMES: Final = 1000
MAX_DIRECTORIES: Final = 2000
#: Users and directories in one question; a daemon takes 200.
MAX_ASKED: Final = 100
#: Different sets of accounts that are compared, those of most nodes first.
MAX_SETS: Final = 32
#: Codes with which a node refuses a question that it does not know, or does not answer us.
_UNKNOWN, _REFUSED = 400, (401, 403)
#: Codes with which a node says that its name service or its file systems do not answer.
_HANGS: Final = (405, 429, 500, 504)

#: How the finding about a path begins that loses packets, up to the nodes at its end.
_LOST: Final = re.compile(r"packets of \d+ bytes to (\S+) are lost")

Row = Mapping[str, Any]
Ask = Callable[[str, tuple[str, ...]], Sequence[Row]]


class Cluster(NamedTuple):
    """
    The nodes that are up. :ivar names: by id. :ivar addresses: by id, empty where they are not known.
    """

    names: Mapping[int, str]
    addresses: Mapping[int, str]

    def of(self, node: int, finding: Finding) -> OfNode:
        """Return a finding about a node."""
        return OfNode(node, self.name(node), finding, self.addresses.get(node, ""))

    def name(self, node: int) -> str:
        """Return the name of a node, or its number."""
        return self.names.get(node) or str(node)


class UsersHere(NamedTuple):
    """
    The users of the cluster as its nodes told them.

    :ivar used: their names, and whether they have jobs. :ivar directories: user and path.
    """

    used: Mapping[str, bool]
    directories: Sequence[tuple[str, str]]


def rounds(ask: Ask, cluster: Cluster) -> Iterator[OfNode]:
    """
    Ask everything, and yield the findings.

    :param ask: asks a node, or ``all``, ``doctor`` with some words; returns the rows.
    """
    try:
        yield from _rounds(ask, cluster)
    except (RequestError, NodeError) as error:
        yield _note(f"not everything was compared: {error}")


def _rounds(ask: Ask, cluster: Cluster) -> Iterator[OfNode]:
    paths = ask("all", ("paths",))
    yield from (cluster.of(int(row["from"]), decode(row)) for row in paths if row.get("check") == "mtu")
    rows = ask("all", ("users",))
    yield from left_out(rows, cluster)
    silent = {int(row["from"]) for row in paths if "error" in row}  # no name service is asked for paths
    users = parse_users(rows)
    if not any("check" in row for row in rows) and any(row.get("code") in _REFUSED for row in rows):
        return  # the caller is a reader
    slow = "the directory of accounts does not answer"
    yield from hanging(rows, cluster, silent, slow, "getent passwd")
    yield from _accounts(ask, cluster, silent, users)
    yield from _directories(ask, cluster, silent, users)


def lost_packets(rows: Iterable[Row], other: str) -> Iterator[Finding]:
    """Yield the findings in an answer to ``doctor paths`` about the path to the node called ``other``."""
    for row in rows:
        found = _LOST.match(str(row.get("text"))) if row.get("state") == BAD.value else None
        with suppress(MalformedRequest):
            if found is not None and other in expand(found[1]):
                yield decode(row)


def _note(text: str) -> OfNode:
    return OfNode(None, "", Finding("compared", GOOD, text))


def left_out(rows: Iterable[Row], cluster: Cluster) -> Iterator[OfNode]:
    """Yield which nodes were not asked to the end, and why."""
    why: dict[str, set[int]] = {}
    for row in rows:
        if "error" not in row:
            continue
        code = row.get("code")
        if code == _UNKNOWN:
            why.setdefault("they run an older gomd", set()).add(int(row["from"]))
        elif code in _REFUSED:
            why.setdefault("they tell that to their own users and admins only", set()).add(int(row["from"]))
    for reason, nodes in why.items():
        names = names_of([cluster.name(node) for node in sorted(nodes)])
        yield _note(f"not everything was compared with {names}: {reason}")


def parse_users(rows: Sequence[Row]) -> UsersHere:
    """Return the users in the answers to ``doctor users``; what cannot be read is left out."""
    used: dict[str, bool] = {}
    directories: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.get("check") != "users":
            continue
        try:
            name, kind, *paths = shlex.split(str(row["text"]))
        except ValueError:
            continue
        if row.get("value") != 0:  # root is root everywhere
            used[name] = used.get(name, False) or kind == "jobs"
        for place, path in enumerate(paths):
            directories.setdefault((name, path), place)
    ordered = sorted(used.items(), key=lambda each: (not each[1], each[0]))  # those with jobs first
    fitting = _fitting(ordered, lambda each: shlex.quote(each[0]), MAX_NAMES)
    in_order = sorted(directories, key=lambda each: (directories[each], each))  # homes first
    return UsersHere(dict(fitting), _fitting(in_order, _word, MAX_DIRECTORIES))


def _word(directory: tuple[str, str]) -> str:
    return shlex.quote(":".join(directory))


def _fitting(items: Sequence[Any], shown: Callable[[Any], str], most: int) -> list[Any]:
    """Return as many of ``items`` as fit into a question."""
    found, size = [], 0
    for each in items[:MAX_ASKED]:
        more = len(shown(each).encode("utf-8", "backslashreplace")) + 1
        if size + more <= most:
            found.append(each)
            size += more
    return found


def _accounts(ask: Ask, cluster: Cluster, silent: set[int], users: UsersHere) -> Iterator[OfNode]:
    """Compare the accounts of all nodes, and yield what differs."""
    rows = ask("all", ("accounts", "digest", *users.used))
    yield from hanging(rows, cluster, silent, "its accounts cannot be listed", "getent passwd")
    alike: dict[str, list[int]] = {}
    for row in rows:
        if row.get("check") == "accounts":
            alike.setdefault(str(row["text"]), []).append(int(row["from"]))
    if len(alike) < 2:
        if alike:
            yield _note(f"the accounts are the same on {sum(map(len, alike.values()))} nodes")
        return
    groups = sorted(alike.values(), key=len, reverse=True)
    sets = []
    for nodes in groups[:MAX_SETS]:
        try:
            accounts = parse_accounts(ask(str(nodes[0]), ("accounts", "list", *users.used)))
        except GomdError as error:
            yield _note(f"the accounts of {cluster.name(nodes[0])} were not told: {error}")
            continue
        sets.append(SameAccounts([cluster.name(node) for node in nodes], accounts))
    if len(groups) > MAX_SETS:
        yield _note(f"{MAX_SETS} of {len(groups)} different sets of accounts were compared")
    for finding in compare(sets, users.used):
        yield OfNode(None, "", finding)


def _directories(ask: Ask, cluster: Cluster, silent: set[int], users: UsersHere) -> Iterator[OfNode]:
    """Yield which directories of jobs are missing on some nodes, and not on all, and which hang."""
    if not users.directories:
        return
    rows = ask("all", ("directories", *(":".join(each) for each in users.directories)))
    yield from hanging(rows, cluster, silent, "its directories cannot be looked at", "ls -d /home/*")
    answered = {int(row["from"]) for row in rows if row.get("check") == "directories"}
    missing: dict[object, list[Row]] = {}
    for row in rows:
        if row.get("check") == "directories" and row.get("state") != GOOD.value:
            missing.setdefault(row.get("value"), []).append(row)
    for found in missing.values():
        is_everywhere = {int(row["from"]) for row in found} == answered
        for row in found:
            if row.get("state") == BAD.value or not is_everywhere:
                finding = decode(row)
                yield cluster.of(int(row["from"]), finding)
    yield _note(f"{len(users.directories)} directories of jobs were looked for on {len(answered)} nodes")


def hanging(
    rows: Iterable[Row], cluster: Cluster, silent: set[int], text: str, look: str
) -> Iterator[OfNode]:
    """
    Yield a finding for each node that could not answer.

    :param silent: nodes of which that was said; those of the findings are added.
    """
    for row in rows:
        if "error" in row and row.get("code") in _HANGS and int(row["from"]) not in silent:
            silent.add(int(row["from"]))
            finding = Finding("users", WARN, f"{text}: {row['error']}", f"on that node: {look}")
            yield cluster.of(int(row["from"]), finding)
