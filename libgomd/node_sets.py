"""
Sets of node names in ClusterShell's notation, as people who use clush write them: ``node[1-8,12],gpu3``.

Pure, on the standard library. ``a,b`` is both, ``a!b`` what of a is not in b, ``a&b`` what is in both; they
are read from left to right. ``[1-8,12]`` stands for each of the numbers, ``[01-10]`` for numbers of two
digits, ``[1-9/2]`` for every second one. A number without a name is a node's id, so ``1-4,7`` are five ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Final

from libgomd.errors import MalformedRequest

#: The largest number of names that one expression may stand for.
MAX_NAMES: Final = 65536
#: What is put for all nodes that are up.
ALL: Final = "@all"
_PART: Final = re.compile(r"[^\[\],!&]+|\[[^\[\]]*\]")
_RANGE: Final = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7})(?:/([0-9]{1,7}))?)?")
_NUMBER: Final = re.compile(r"[0-9]+")


def expand(text: str, everybody: Callable[[], Iterable[str]] = tuple) -> list[str]:
    """
    Return the names that ``text`` stands for, each once, in the order in which they are written.

    :param everybody: gives the names that ``@all`` stands for.
    :raises MalformedRequest: it is not in the notation, or stands for more than `MAX_NAMES` names.
    """
    chosen: dict[str, None] = {}
    for operator, item in _items(text):
        names = everybody() if item == ALL else _names(item)
        if operator == ",":
            chosen.update(dict.fromkeys(names))
        elif operator == "!":
            for name in names:
                chosen.pop(name, None)
        else:
            wanted = set(names)
            chosen = {name: None for name in chosen if name in wanted}
        if len(chosen) > MAX_NAMES:
            raise MalformedRequest(f"{_shown(text)} stands for more than {MAX_NAMES} nodes")
    return list(chosen)


def _items(text: str) -> Iterator[tuple[str, str]]:
    """Yield each item with the operator before it, a comma for the first one."""
    position, operator = 0, ","
    while True:
        start = position
        while part := _PART.match(text, position):
            position = part.end()
        item = text[start:position].strip()
        if not item or re.search(r"\s", item):
            raise MalformedRequest(
                f"{_shown(text)} is no set of nodes: write it like node[1-8,12] or alpha,beta or @all"
            )
        yield operator, item
        if position == len(text):
            return
        operator = text[position]
        if operator not in ",!&":
            raise MalformedRequest(f"{_shown(text)} is no set of nodes: a bracket is open, or closed twice")
        position += 1


def _names(item: str) -> list[str]:
    """Return the names of one item: text, with numbers in brackets."""
    if _RANGE.fullmatch(item):
        item = f"[{item}]"
    pieces = re.split(r"\[([^\[\]]*)\]", item)
    choices = [_numbers(piece, item) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
        if count > MAX_NAMES:
            raise MalformedRequest(f"{_shown(item)} stands for more than {MAX_NAMES} nodes")
    return ["".join(parts) for parts in product(*choices)]


def _numbers(text: str, item: str) -> list[str]:
    """Return the numbers that stand in brackets; with a leading zero all have as many digits as the first."""
    found: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise MalformedRequest(f"{_shown(item)}: in brackets there are numbers, such as [1-8,12]")
        first, last, step = match[1], match[2] or match[1], int(match[3] or 1)
        if not step or int(last) < int(first):
            raise MalformedRequest(f"{_shown(item)}: {part.strip()} stands for no number")
        if (int(last) - int(first)) // step >= MAX_NAMES:
            raise MalformedRequest(f"{_shown(item)} stands for more than {MAX_NAMES} nodes")
        width = len(first) if first[0] == "0" else 0
        found += [f"{number:0{width}d}" for number in range(int(first), int(last) + 1, step)]
    return found


def fold(names: Sequence[str]) -> str:
    """Return the shortest such text for ``names``: the last number in each name is folded, ascending."""
    series: dict[tuple[str, str, int], set[int]] = {}
    single: list[str] = []
    for name in dict.fromkeys(names):
        found = list(_NUMBER.finditer(name))
        if not found:
            single.append(name)
            continue
        last = found[-1]
        width = len(last[0]) if last[0][0] == "0" and len(last[0]) > 1 else 0
        series.setdefault((name[: last.start()], name[last.end() :], width), set()).add(int(last[0]))
    folded = []
    for (head, tail, width), numbers in series.items():
        ranges = _ranges(sorted(numbers), width)
        folded.append(
            f"{head}[{ranges}]{tail}" if len(numbers) > 1 and (head or tail) else f"{head}{ranges}{tail}"
        )
    return ",".join(sorted(single) + folded)


def _ranges(numbers: Sequence[int], width: int) -> str:
    """Return ascending numbers as `1-3,7`. Numbers that have outgrown their width stand alone."""
    out: list[str] = []
    start = end = numbers[0]
    for number in [*numbers[1:], -1]:
        if number == end + 1:
            end = number
            continue
        out.append(f"{start:0{width}d}" if start == end else f"{start:0{width}d}-{end:0{width}d}")
        start = end = number
    return ",".join(out)


def _shown(text: str) -> str:
    return f"`{text[:60]}{'...' if len(text) > 60 else ''}`"
