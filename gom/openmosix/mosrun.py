"""The command mosrun: starts a program on a node with openMosix's options, as `gom run` does."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gom.compiled import hand_over
from gom.openmosix.program import DONE, Failed, connect, run
from libgomd.endpoints import default_endpoints
from libgomd.errors import GomdError, NotFound
from libgomd.stdfds import open_closed_streams
from libgomd.wire.text import printable

USAGE = """\
usage: mosrun [-h|-NODE|-jID1-ID2[,ID3-ID4]... [-F]] [-l|-L|-k] PROGRAM [ARG ...]
  -h    at home           -NODE  on that node        -j LIST  on the best of these
  -F    at home if NODE is down
  -l    may be moved by balancing    -L  may not    -k  as gomd has it
  -c -i -n -s -f -e -E -r -R -z, -d KEEP, -t SECONDS: taken, and without effect; with one of
        -c -i -n -s -f -d and no place, -k instead of -L"""

_PLAIN = "cinsf"
_IGNORED = "eErRz"
_LOCKS = {"l": False, "L": True, "k": None}
_LIST = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", re.ASCII)


class Plan(NamedTuple):
    """
    The meaning of a command line of mosrun.

    :ivar place: ``h`` for home, a node id, ``j`` and a list of nodes, or empty.
    :ivar force: whether -F was given. :ivar lock: whether to lock the program; None for gomd's default.
    :ivar command: the program and its arguments.
    """

    place: str
    force: bool
    lock: bool | None
    command: tuple[str, ...]


def main() -> int:
    """Run the command: the entry point."""
    open_closed_streams()
    hand_over("mosrun", sys.argv[1:])
    return run("mosrun", mosrun, sys.argv[1:])


def mosrun(argv: Sequence[str]) -> int:
    """Run the program and return its exit status, or 1 if it cannot be started on that node. Blocks."""
    if list(argv) == ["--help"]:
        print(USAGE)
        return DONE
    plan = parse(argv)
    node, nodes = _place(plan)
    from gom import run as jobs
    from gom.run_options import Wanted

    places = default_endpoints(os.environ, os.getuid())
    wanted = Wanted(plan.command, node=node, nodes=nodes, lock=plan.lock)
    try:
        return jobs.run(places, os.environ.get("GOMD_TOKEN", ""), wanted)
    except GomdError as error:
        code: int = getattr(error, "code", 0)
        if code not in jobs.SHELL_CODES:
            raise
        print(f"mosrun: {printable(str(error))}", file=sys.stderr)
        return code


def parse(argv: Sequence[str]) -> Plan:
    """
    Return the plan for ``argv``.

    :raises Failed: it is not valid; the text is the usage.
    """
    words = list(argv)
    places: list[str] = []
    locks: list[str] = []
    force = decays = False
    while words and words[0].startswith("-") and len(words[0]) > 1:
        letters = words.pop(0)[1:]
        if letters == "-":
            break
        if letters.isascii() and letters.isdigit():
            places.append(letters)
            continue
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "jdt":
                value = letters or (words.pop(0) if words else "")
                letters = ""
                if letter == "j" and _LIST.fullmatch(value):
                    places.append(f"j{value}")
                elif letter == "j" or not value.isdigit():
                    raise Failed(USAGE)
                decays = decays or letter == "d"
            elif letter == "h":
                places.append(letter)
            elif letter in "lLk":
                locks.append(letter)
            elif letter == "F":
                force = True
            elif letter in _PLAIN:
                decays = True
            elif letter not in _IGNORED:
                raise Failed(USAGE)
    if not words or not words[0] or len(places) > 1 or len(locks) > 1:
        raise Failed(USAGE)
    place = places[0] if places else ""
    lock = locks[0] if locks else "L" if place or not decays else "k"
    return Plan(place, force, _LOCKS[lock], tuple(words))


def _place(plan: Plan) -> tuple[str, str]:
    """Return the node and the list of nodes; either may be empty. The node is checked to be up."""
    if not plan.place or plan.place.startswith("j"):
        return "", plan.place[1:]
    with connect() as gomd:
        home = str(gomd.node().id)
        if plan.place == "h":
            return home, ""
        try:
            node = gomd.node(plan.place)
        except NotFound:
            raise Failed("Migration Failed: No such device or address") from None
        if node.up or plan.force:
            return (str(node.id) if node.up else home), ""
    raise Failed("Migration Failed: Network is unreachable")
