"""Finds users that are not the same on all nodes, for `gom doctor`. Pure functions, rows to findings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gom.doctor_cluster import names_of
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState
#: Users that differ alike are told apart up to this number, and beyond it as the first and the others.
MAX_APART: Final = 3


class ToldAccount(NamedTuple):
    """:ivar groups: names by number; None where they are not known."""

    uid: int
    gid: int
    groups: Mapping[int, str] | None


class SameAccounts(NamedTuple):
    """Nodes, by name, that have the same accounts."""

    nodes: Sequence[str]
    accounts: Mapping[str, ToldAccount]


class _Difference(NamedTuple):
    """
    :ivar subject: a user name, or a uid. :ivar parts: each value and the nodes that have it, the one of most
        nodes first. :ivar used: whether the user has jobs or processes.
    """

    kind: str
    subject: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    used: bool


def parse_accounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, ToldAccount]:
    """Return the accounts in the answer to ``doctor accounts list``; what cannot be read is left out."""
    found = {}
    for row in rows:
        if row.get("check") != "account":
            continue
        with suppress(ValueError):
            name, uid, gid, *groups = shlex.split(str(row["text"]))
            pairs = (group.partition(":") for group in groups)
            found[name] = ToldAccount(
                int(uid), int(gid), {int(number): group for number, _, group in pairs} or None
            )
    return found


def compare(sets: Sequence[SameAccounts], used: Mapping[str, bool]) -> Iterator[Finding]:
    """
    Yield what differs between nodes, for each user or uid, or for several that differ alike.

    :param used: the users with jobs or processes somewhere, and whether with jobs.
    """
    alike: dict[tuple[object, ...], list[_Difference]] = {}
    differences = list(_differences(sets, used))
    moved = {each.subject for each in differences if each.kind == "uid"}
    for each in (*differences, *_shared_numbers(sets, used, moved)):
        alike.setdefault((each.kind, each.used, tuple(nodes for _, nodes in each.parts)), []).append(each)
    for same in alike.values():
        if len(same) <= MAX_APART:
            yield from map(_finding, same, ("" for _ in same))
        else:
            names = names_of([each.subject for each in same[1:]])
            yield _finding(same[0], f"; {len(same) - 1} others differ between the same nodes: {names}")


def _differences(sets: Sequence[SameAccounts], used: Mapping[str, bool]) -> Iterator[_Difference]:
    """Yield the differences of each user."""
    for name in sorted({name for each in sets for name in each.accounts}):
        known = [(each.nodes, each.accounts[name]) for each in sets if name in each.accounts]
        uids = _parts((nodes, str(account.uid)) for nodes, account in known)
        gids = _parts((nodes, str(account.gid)) for nodes, account in known)
        if len(uids) > 1:
            yield _Difference("uid", name, uids, name in used)
        elif len(gids) > 1:
            yield _Difference("gid", name, gids, name in used)
        if name not in used:
            continue
        lacking = tuple(node for each in sets if name not in each.accounts for node in each.nodes)
        if lacking:
            yield _Difference("missing", name, ((str(known[0][1].uid), lacking),), True)
        if used[name] and all(account.groups is not None for _, account in known):
            common = set.intersection(*(set(account.groups or ()) for _, account in known))
            groups = _parts((nodes, _groups(account, common)) for nodes, account in known)
            if len(groups) > 1:
                yield _Difference("groups", name, groups, True)


def _groups(account: ToldAccount, common: set[int]) -> str:
    more = ((gid, name) for gid, name in sorted((account.groups or {}).items()) if gid not in common)
    return ",".join(f"{gid} ({name})" if name else str(gid) for gid, name in more) or "none of these"


def _shared_numbers(
    sets: Sequence[SameAccounts], used: Mapping[str, bool], moved: set[str]
) -> Iterator[_Difference]:
    """Yield the uids that are different users on different nodes, unless that was said of these users."""
    owners: dict[int, list[tuple[Sequence[str], str]]] = {}
    for each in sets:
        for name, account in each.accounts.items():
            owners.setdefault(account.uid, []).append((each.nodes, name))
    for uid, found in sorted(owners.items()):
        parts = _parts(found)
        names = {name for name, _ in parts}
        several = any(set(one) != set(two) for _, one in parts for _, two in parts)
        if len(names) > 1 and several and not names & moved:
            yield _Difference("name", str(uid), parts, bool(names & set(used)))


def _parts(found: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each value with its nodes, that of most nodes first."""
    parts: dict[str, list[str]] = {}
    for nodes, value in found:
        parts.setdefault(value, []).extend(nodes)
    ordered = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
    return tuple((value, tuple(nodes)) for value, nodes in ordered)


def _finding(found: _Difference, more: str) -> Finding:
    (most, _), *others = found.parts
    where = "; ".join(f"{value} on {names_of(nodes)}" for value, nodes in found.parts)
    elsewhere = names_of([node for _, nodes in (others or found.parts) for node in nodes])
    user = shlex.quote(found.subject)
    texts: dict[str, Callable[[], tuple[str, str]]] = {
        "uid": lambda: (
            f"the uid of {found.subject} is {where}",
            f"on {elsewhere}, while nothing of theirs runs: usermod -u {most} {user}; chown their files; or "
            "one directory of accounts for all nodes",
        ),
        "gid": lambda: (
            f"the main group of {found.subject} is {where}",
            f"on {elsewhere}: usermod -g {most} {user}",
        ),
        "missing": lambda: (
            f"{found.subject} has jobs or processes, and no account on {elsewhere}",
            f"on {elsewhere}: useradd -u {most} {user}; or one directory of accounts for all nodes",
        ),
        "groups": lambda: (
            f"the groups of {found.subject}, who has jobs, differ: {where}",
            f"give them the same groups, with the same numbers, on all nodes: id {user}; usermod -aG",
        ),
        "name": lambda: (
            f"uid {found.subject} is {where}",
            "give each user one uid on all nodes: usermod -u UID NAME; chown their files",
        ),
    }
    text, mend = texts[found.kind]()
    return Finding("users", BAD if found.used and found.kind != "groups" else WARN, text + more, mend)
