"""Folds findings that differ by their node and by numbers alone, so that people can read many of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gom.doctor_cluster import OfNode, names_of
from libgomd.errors import MalformedRequest
from libgomd.model import Finding
from libgomd.node_sets import expand

#: A number that stands alone: no part of an address, a version, a name or a mode.
_NUMBER: Final = re.compile(r"(?<![\w.:/-])(?:0|[1-9]\d*)(?:\.\d+)?(?![\w.:/-]*\w)")
#: What stands for the name and the address of each node of a group in what mends it.
NAME, ADDRESS = "NODE", "ADDRESS"
#: What stands for other nodes where many findings differ by them, and the number of findings from which on.
OTHERS: Final = "NODES"
MAX_ALIKE: Final = 8


class FoldedFinding(NamedTuple):
    """
    Findings to print as one.

    :ivar where: the nodes, empty for the whole cluster or this machine. :ivar finding: what is printed.
    """

    where: str
    finding: Finding


def folded(found: Sequence[OfNode], known: Sequence[OfNode] = ()) -> Iterator[FoldedFinding]:
    """
    Yield the groups, each where its first finding was.

    :param known: findings that are not printed, for the names of their nodes.
    """
    groups: dict[tuple[object, ...], list[OfNode]] = {}
    for each in found:
        finding = each.finding
        text, mend = (_general(part, each) for part in (finding.text, finding.mend))
        key = (
            each.node is None,
            finding.state,
            finding.check,
            _NUMBER.sub("0", text),
            _NUMBER.sub("0", mend),
        )
        groups.setdefault(key, []).append(each)
    for same in _merged(list(groups.values()), (*found, *known)):
        nodes = tuple(dict.fromkeys(each.node for each in same if each.node is not None))
        if len(nodes) < 2:
            for each in same:
                where = "" if each.node is None else f"node {each.node} {each.name}".rstrip()
                yield FoldedFinding(where, each.finding)
            continue
        first = same[0].finding
        text = _ranged([_general(each.finding.text, each) for each in same])
        mend = _ranged([_general(each.finding.mend, each) for each in same])
        names = names_of([each.name or str(each.node) for each in same])
        yield FoldedFinding(f"{len(nodes)} nodes {names}", replace(first, text=text, mend=mend))


def _merged(groups: Sequence[list[OfNode]], known: Sequence[OfNode]) -> Iterator[list[OfNode]]:
    """Yield the groups; many that differ by the other nodes that they name are one, without these names."""
    names = {each.name for each in known if each.name}
    addresses = {each.address for each in known if each.address}
    counts = Counter((group[0].finding.state, group[0].finding.check) for group in groups)
    merged: dict[tuple[object, ...], list[OfNode]] = {}
    for place, group in enumerate(groups):
        first = group[0].finding
        if group[0].node is None or counts[first.state, first.check] <= MAX_ALIKE:
            merged[place,] = group
            continue
        for each in group:
            finding = each.finding
            text, mend = (_without_nodes(part, names, addresses) for part in (finding.text, finding.mend))
            key = (finding.state, finding.check, _NUMBER.sub("0", text), _NUMBER.sub("0", mend))
            merged.setdefault(key, []).append(each._replace(finding=replace(finding, text=text, mend=mend)))
    yield from merged.values()


def _without_nodes(text: str, names: set[str], addresses: set[str]) -> str:
    """Return a text with a word in the place of each set of nodes, and of each address of a node."""
    words = []
    for word in text.split(" "):
        bare = word.rstrip(";,:.")
        if bare in addresses:
            words.append(f"{ADDRESS}{word[len(bare) :]}")
        elif bare and _is_set(bare, names):
            words.append(f"{OTHERS}{word[len(bare) :]}")
        else:
            words.append(word)
    return " ".join(words)


def _is_set(word: str, names: set[str]) -> bool:
    """Return whether a word stands for nodes, and for nothing else; one that was cut does as well."""
    if not set("[,") & set(word):
        return word in names
    try:
        found = expand(word.removesuffix(",.."))
    except MalformedRequest:
        return False
    return bool(found) and names.issuperset(found)


def _general(text: str, of: OfNode) -> str:
    """Return a text with words in the place of its node's own name and address."""
    for own, word in ((of.address, ADDRESS), (of.name, NAME)):
        if own and own in text:
            text = re.sub(rf"(?<![\w.:-]){re.escape(own)}(?![\w-]|[.:]\w)", word, text)
    return text


def _ranged(texts: Sequence[str]) -> str:
    """Return one text for texts that differ by their numbers alone: with ``3 to 7`` where these differ."""
    if len(set(texts)) == 1:
        return texts[0]
    numbers = [_NUMBER.findall(text) for text in texts]
    columns = iter([
        column[0] if len(set(column)) == 1 else f"{min(column, key=float)} to {max(column, key=float)}"
        for column in zip(*numbers, strict=True)
    ])  # fmt: skip
    return _NUMBER.sub(lambda _match: next(columns), texts[0])
