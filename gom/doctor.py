"""`gom doctor`: asks the daemons and looks at this machine, and says what does not work and what mends it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gom import doctor_here
from gom.doctor_cluster import ClusterAnswers, OfNode, decode, judge
from gom.doctor_folded import folded
from gom.doctor_rounds import Cluster, lost_packets, rounds
from libgomd.endpoints import Endpoint, FoundTcp
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    MalformedReply,
    MalformedRequest,
    NodeError,
    RequestError,
)
from libgomd.installation import installation
from libgomd.linesocket import LineSocket, dial
from libgomd.model import Finding, FindingState
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.text import printable

USAGE: Final = """\
usage: gom doctor [--config FILE] [--all]
       gom doctor PID NODE

  --config FILE  the configuration of this machine, where the daemon does not find it by itself
  --all          list what works, too
  PID NODE       everything about one move: every reason why process PID could not move to NODE, and what is
                 wrong there. Nothing is moved

Says what does not work on this machine and in its cluster, each with the command that mends it. It compares
the nodes, too: MTU, and whether large packets arrive; accounts, groups and directories of users. What several
nodes have alike is said once, with the nodes as node[1-8,12]; NODE and ADDRESS are then those of each. With
--json (`gom --json doctor`) every finding is an object of its own: node, name, check, state, text, mend and
value; state is good, warn or bad.

Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage, 3 no daemon there.
"""
GOOD, WARN, BAD = FindingState
#: Seconds for the daemon to answer: it waits itself for nodes that do not.
ANSWER_TIMEOUT: Final = 45.0
CONNECT_TIMEOUT: Final = 5.0
#: Newest events that are looked at.
_EVENTS: Final = 500
#: Rows of `nodes` that are compared, at most: in a larger cluster only some nodes are asked whom they see.
MAX_VIEW_ROWS: Final = 250_000
_COMPARED: Final = ("id", "up", "address", "addresses")
#: Seconds for which a dry run may take: files of the job are looked at on two nodes.
_DRY_RUN_TIMEOUT: Final = 120.0
HEALTHY, SICK, NO_DAEMON = 0, 1, 3


class DoctorOptions(NamedTuple):
    """The options of `gom doctor`. :ivar move: PID and NODE, None for everything."""

    config: str = ""
    shows_good: bool = False
    move: tuple[str, str] | None = None


def parse(words: Sequence[str]) -> DoctorOptions:
    """
    Return the options in ``words``, which follow ``doctor``.

    :raises MalformedRequest: one is unknown or lacks its value, or there are not two other words.
    """
    rest, plain, config, shows_good = list(words), [], "", False
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        if option == "--config":
            if not joined:
                if not rest:
                    raise MalformedRequest("--config needs a value")
                value = rest.pop(0)
            config = value
        elif option == "--all" and not joined:
            shows_good = True
        elif option.startswith("-"):
            raise MalformedRequest(f"gom doctor has no option {option[:40]}")
        else:
            plain.append(option + joined + value)
    if len(plain) not in (0, 2):
        raise MalformedRequest("gom doctor takes nothing, or PID NODE for one move")
    if plain and config:
        raise MalformedRequest("--config has no meaning for one move")
    return DoctorOptions(config, shows_good, (plain[0], plain[1]) if plain else None)


def doctor(places: Sequence[Endpoint], token: str, options: DoctorOptions, is_json: bool) -> int:
    """
    Examine, print the findings, and return the exit status. Blocks.

    :raises GomdError: for one move: the process or node is unknown, or the caller may not move it.
        :raises ConnectionLost: for one move: there is no daemon.
    """
    if options.move is not None:
        found = list(_one_move(places, token, *options.move))
        status = _status(found)
    else:
        found, status = _everything(places, token, options)
    write(found, options.shows_good or options.move is not None, is_json)
    return status


def _status(found: Iterable[OfNode]) -> int:
    return SICK if any(each.finding.state is not GOOD for each in found) else HEALTHY


def _everything(places: Sequence[Endpoint], token: str, options: DoctorOptions) -> tuple[list[OfNode], int]:
    found: list[OfNode] = []
    try:
        line = _connect(places, token)
    except (ConnectionLost, MalformedReply, NodeError) as error:
        found.append(_here(doctor_here.no_daemon(str(error))))
        found += map(_here, doctor_here.configuration(options.config))
        found += map(_here, doctor_here.state_of(doctor_here.own_state()))
        found += map(_here, doctor_here.extras())
        return found, NO_DAEMON
    try:
        if isinstance(line.endpoint, FoundTcp):
            found.append(_here(doctor_here.unproven(line.endpoint)))
            found += map(_without_advice, _asked(line))
        else:
            found.append(_here(Finding("daemon", GOOD, f"the daemon answers at {line.endpoint}")))
            found += _asked(line)
    except (ConnectionLost, MalformedReply) as error:
        found.append(_here(doctor_here.no_daemon(str(error))))
        return found, NO_DAEMON
    finally:
        line.close()
    if options.config:
        found += map(_here, doctor_here.configuration(options.config))
    found += map(_here, doctor_here.extras())
    return found, _status(found)


def _without_advice(each: OfNode) -> OfNode:
    """Return a finding without the command that mends it: what anybody may have written is not to be run."""
    return each._replace(finding=dataclasses.replace(each.finding, mend=""))


def _here(finding: Finding) -> OfNode:
    return OfNode(None, "", finding)


def _connect(places: Sequence[Endpoint], token: str) -> LineSocket:
    auth = Request("auth", (token,))
    line = dial(places, CONNECT_TIMEOUT, auth if token else Request("doctor", ()))
    try:
        if token:
            line.ask(auth, CONNECT_TIMEOUT)
        line.ask(Request("format", ("json",)), CONNECT_TIMEOUT)
    except BaseException:
        line.close()
        raise
    return line


def _rows(line: LineSocket, verb: str, *arguments: str, node: str = "") -> list[dict[str, Any]]:
    status = line.ask(Request(verb, arguments, node), ANSWER_TIMEOUT)
    if status.code != BLOCK:
        raise MalformedReply(f"the answer to {verb} is {status.code}, not a block")
    rows = [json.loads(text) for text in line.rows(ANSWER_TIMEOUT)]
    return [row for row in rows if isinstance(row, dict)]


def _asked(line: LineSocket) -> Iterator[OfNode]:
    """Ask the daemons everything, and yield the findings."""
    own = int(_rows(line, "node")[0]["id"])
    nodes = _rows(line, "nodes")
    events = _rows(line, "events", f"--newest={_EVENTS}")
    began = time.monotonic()
    doctor_rows = _rows(line, "doctor", node="all")
    seconds = time.monotonic() - began
    up = [int(row["id"]) for row in nodes if row["up"]]
    if len(up) * len(nodes) <= MAX_VIEW_ROWS:
        seen = _rows(line, "nodes", node="all")
    else:
        asked = up[:: -(-len(up) * len(nodes) // MAX_VIEW_ROWS)]
        seen = [row for node in asked for row in _view(line, node)]
        text = f"{len(asked)} of {len(up)} nodes were asked which others they see"
        yield OfNode(None, "", Finding("views", GOOD, text))
    yield from judge(ClusterAnswers(own, nodes, seen, doctor_rows, events, seconds))
    if len(up) > 1:
        known = [row for row in nodes if row["up"]]
        cluster = Cluster(
            {int(row["id"]): str(row["name"]) for row in known},
            {int(row["id"]): str(row.get("address") or "") for row in known},
        )
        yield from rounds(lambda node, words: _rows(line, "doctor", *words, node=node), cluster)


def _view(line: LineSocket, node: int) -> list[dict[str, Any]]:
    """Return which nodes a node sees, with what is compared of them; empty where it does not answer."""
    try:
        rows = _rows(line, "nodes", node=str(node))
    except NodeError:
        return []  # `@all doctor` has said so
    return [{"from": node, **{name: row.get(name) for name in _COMPARED}} for row in rows]


def _one_move(places: Sequence[Endpoint], token: str, pid: str, node: str) -> Iterator[OfNode]:
    """Yield the findings of the dry run, one for each reason, and those of the target node."""
    line = _connect(places, token)
    try:
        try:
            line.ask(Request("migrate", (pid, node, "dry-run")), _DRY_RUN_TIMEOUT)
        except GomdError as error:
            code = getattr(error, "code", 0)
            if code not in (405, 409, 502, 504):  # 4xx: no such process or node, or not the caller's
                raise
            refusals = installation().page("migration-refusals.md")
            for reason in reasons_of(str(error)):
                yield _here(Finding("move", BAD, reason, f"{refusals} says what each reason needs"))
        else:
            yield _here(Finding("move", GOOD, f"process {pid} can move to {node}"))
        if node in ("home", "best"):
            return
        with suppress(NodeError, RequestError):  # it cannot be asked, or is older
            target = _rows(line, "node", node)[0]
            for row in _rows(line, "doctor", node=node):
                if row["check"] not in ("version", "clock", "tokens"):
                    yield OfNode(int(target["id"]), str(target["name"]), decode(row))
            own = _rows(line, "node")[0]
            yield from map(_here, lost_packets(_rows(line, "doctor", "paths"), str(target["name"])))
            for finding in lost_packets(_rows(line, "doctor", "paths", node=node), str(own["name"])):
                yield OfNode(int(target["id"]), str(target["name"]), finding)
    finally:
        line.close()


def reasons_of(sentence: str) -> list[str]:
    """Return the reasons in a refusal of a dry run, which joins them with semicolons."""
    return [part for part in map(str.strip, sentence.split(";")) if part]


def write(
    found: Sequence[OfNode], shows_good: bool, is_json: bool, out: Callable[[str], object] = print
) -> None:
    """Print the findings, the worst first and equal ones as one, and their number; in JSON all of them."""
    if is_json:
        for node, name, finding, _address in found:
            out(
                json.dumps({
                    "node": node, "name": name or None, "check": finding.check,
                    "state": finding.state.value, "text": finding.text, "mend": finding.mend or None,
                    "value": finding.value,
                })
            )  # fmt: skip
        return
    order = {BAD: 0, WARN: 1, GOOD: 2}
    shown = [each for each in found if shows_good or each.finding.state is not GOOD]
    shown.sort(key=lambda each: (order[each.finding.state], each.node or 0))
    for where, finding in folded(shown, found):
        of = f"{where}, " if where else ""
        out(printable(f"{finding.state.value:<4}  {of}{finding.check}: {finding.text}"))
        if finding.mend:
            out(printable(f"      mend: {finding.mend}"))
    sick = sum(each.finding.state is not GOOD for each in found)
    good = len(found) - sick
    out(f"{sick} to mend, {good} are right" + ("" if shows_good else "; --all lists them"))
