"""The verb `doctor`: what works on this node and what does not, each finding with what mends it."""

from __future__ import annotations

from typing import Final

from gomd.verbs.context import ISession, Parts
from gomd.verbs.engine_range import engine_finding
from gomd.verbs.replies import Reply, Rows, TextColumn
from gomd.verbs.table import Verb
from libgomd.errors import NodeError, TooMany
from libgomd.installation import installation
from libgomd.model import Finding, FindingState, Role
from libgomd.version import VERSION

#: Seconds that files and disks of this node may take.
EXAMINATION_TIMEOUT: Final = 5.0
#: Seconds without multicast of other nodes after which that is a finding.
UNHEARD_SECONDS: Final = 60
_COLUMNS = (
    TextColumn("STATE", 5, lambda found: str(found.state.value), left=True),
    TextColumn("CHECK", 10, lambda found: str(found.check), left=True),
    TextColumn("FINDING", 1, lambda found: found.text + (f"; {found.mend}" if found.mend else ""), left=True),
)


async def doctor(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """
    List what was found. Only admins are told where the daemon keeps its files.

    Equal questions wait for each other at one thread, so that nobody can occupy more with them.

    :param arguments: nothing, or what `gom doctor` asks to compare the answers of nodes.
    """
    if arguments:
        from gomd.verbs import doctor_questions  # many daemons are never asked this

        question, *words = arguments
        told = await doctor_questions.answer(parts, session, question, tuple(words))
        return Rows(f"{len(told)} findings", told, _COLUMNS)
    found = _own(parts)
    try:
        found.append(_criu(await parts.migrator.check()))
    except (NodeError, TooMany) as error:
        found.append(_criu(f"criu does not answer: {error}"))
    is_admin = session.caller.role >= Role.ADMIN
    try:
        found += await parts.threads.run_apart(
            EXAMINATION_TIMEOUT, "doctor", "doctor", parts.examine, is_admin
        )
    except (NodeError, TooMany):
        found.append(
            Finding(
                "disk", FindingState.BAD,
                f"the daemon's files do not answer within {EXAMINATION_TIMEOUT:g} s",
                "look at the disk of STATE and of [jobs] spool: " + installation().page("hanging.md"),
            )
        )  # fmt: skip
    bad = sum(each.state is not FindingState.GOOD for each in found)
    return Rows(f"{len(found)} findings, {bad} to mend", found, _COLUMNS)


def _criu(why_not: str) -> Finding:
    if not why_not:
        return Finding("criu", FindingState.GOOD, "processes can be moved")
    mend = f"as root: apt install criu, or for a newer one: {installation().newer_criu}"
    if "root" in why_not:
        mend = f"run gomd as root: {installation().service('restart')}"
    return Finding(
        "criu", FindingState.WARN, f"nothing can be moved from or to this node: {why_not}", mend
    )  # fmt: skip


def _own(parts: Parts) -> list[Finding]:
    """Return the findings that need no file."""
    good, warn, bad = FindingState
    found = [
        Finding("version", good, f"gomd {VERSION}"),
        Finding("clock", good, "the time of this node", "", round(parts.wall(), 3)),
    ]
    if trouble := parts.trouble():
        found.append(
            Finding(
                "address", bad, f"no other node can reach this one: {trouble}",
                "ip -brief address; then correct the interface, or [peers] address",
            )
        )  # fmt: skip
    else:
        found.append(Finding("address", good, "this node has its address"))
    if parts.hides_others():
        found.append(
            Finding("proc", good, "/proc hides the processes of others (hidepid), and so does gomd")
        )  # fmt: skip
    if engine := str(parts.introduction().get("engine") or ""):
        found.append(engine_finding(engine.split(","), len(parts.members.nodes())))
    counters = {counter.name: counter for counter in parts.counters()}
    silent = counters.get("multicast_unheard")
    if silent is not None and isinstance(silent.value, (int, float)) and silent.value >= UNHEARD_SECONDS:
        found.append(
            Finding(
                "multicast", warn,
                f"no multicast of other nodes has come for {silent.value:g} s; they are heard one by one",
                "open udp port 5429 ([peers] group) and let switches pass IGMP; where there is no multicast: "
                "[peers] discovery = no, and seeds",
                silent.value,
            )
        )  # fmt: skip
    for name, text, mend in _FAILURES:
        counter = counters.get(name)
        if counter is not None and isinstance(counter.value, (int, float)) and counter.value > 0:
            mend = mend.format(hanging=installation().page("hanging.md"))
            found.append(Finding(name, warn, f"{counter.value:g} {text}", mend, counter.value))
    return found


#: Counters that are 0 where all is well, what they count, and what to do; {hanging} is that page.
_FAILURES: Final = (
    ("log_lost", "samples could not be written", "look at [log] path: its disk is full or cannot be written"),
    (
        "history_lost",
        "records of the history could not be written",
        "look at [history] file: its disk is full or cannot be written; `gom stats` says why",
    ),
    (
        "collect_waits",
        "seconds the database of the history could not be used",
        "look at [history] database; `gom stats` says why",
    ),
    (
        "collect_behind",
        "seconds some node waits to be collected",
        "give [history] database a faster server, or let a second node collect",
    ),
    ("jobs_journal_failed", "changes of the job table could not be written", "look at the disk of STATE"),
    ("processes_stuck", "processes have files in /proc that cannot be read", "gom ps; {hanging}"),
    ("network_looks_failed", "checks of the addresses failed", "journalctl -u gomd -p warning"),
    ("id_conflicts", "times another node had the id of this one", "give each node its own [node] id"),
    (
        "datagrams_dropped_unknown-key",
        "datagrams since the start had another cluster's key",
        "`gom stats` says who sends them (datagrams_worst_1); copy one key file to every node of the cluster",
    ),
    ("nodes_full", "nodes were not remembered", "raise [peers] max_nodes, or change the cluster's key"),
)

DOCTOR = Verb(
    "doctor", "[QUESTION ...]", Role.READ, "what works on this node, and what mends the rest", doctor,
    fields=Finding.JSON,
)  # fmt: skip
