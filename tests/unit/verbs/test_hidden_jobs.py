"""Where /proc hides other people's processes (hidepid), their jobs are hidden too: in the tree, in events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from gomd.tree.cluster_tree import ClusterTree
from gomd.tree.guests import Guests
from gomd.verbs.context import Parts
from libgomd.model import Caller, Event, EventKind, Output, Role
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import AWAY, GUEST, ThreeNodes


class Hidden(ThreeNodes):
    """The daemon of node 1 of three, where everybody sees their own processes only."""

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        parts = super()._parts(commands, tokens)
        guests = Guests(self.jobs, parts.collector, self.members, hides_others=lambda: True)
        tree = ClusterTree(self.source, self.members, parts.threads, guests)
        return replace(parts, hides_others=lambda: True, tree=tree)


@pytest.fixture
def node() -> Hidden:
    """Node 1 of three."""
    return Hidden()


def others(node: ThreeNodes) -> list[Talk]:
    """Callers who own none of the jobs."""
    return [Talk(node, Role.READ, "", None), Talk(node, Role.USER, "eve", 1001)]


def owners(node: ThreeNodes) -> list[Talk]:
    """Those who may see them: their user, and an admin."""
    return [Talk(node, Role.USER, "ada", 1000), Talk(node, Role.ADMIN, "root", 0)]


@pytest.mark.parametrize("name", ["identity", "from", "stats"])
def test_guests(node: Hidden, name: str) -> None:
    """Neither that they are there, nor whose, nor what they run."""
    path = f"/proc/hpc/remote/{GUEST.pid}"
    for talk in others(node):
        assert str(GUEST.pid) not in talk.say("ls /proc/hpc/remote")
        assert talk.say(f"ls {path}").startswith("404 ")
        assert talk.say(f"get {path}/{name}").startswith("404 ")
    for talk in owners(node):
        assert str(GUEST.pid) in talk.say("ls /proc/hpc/remote")
        assert talk.say(f"get {path}/{name}").startswith("201 ")


def test_jobs_on_other_nodes(node: Hidden) -> None:
    """Where they run is their user's affair."""
    for talk in others(node):
        assert talk.say(f"get /proc/{AWAY.pid}/where").startswith("404 ")
    for talk in owners(node):
        assert talk.say(f"get /proc/{AWAY.pid}/where").startswith("201 ")


@pytest.mark.parametrize(
    "request_words",
    ["where PID", "signal PID TERM", "renice PID 5", "migrate PID home", "lock PID", "unlock PID"],
)
def test_a_hidden_job_elsewhere_is_none(node: Hidden, request_words: str) -> None:
    """The numbers of jobs follow one another: no verb tells others which of them there are, or whose."""
    hidden, free = str(AWAY.pid), str(5_000_999)
    eve = others(node)[-1]
    told = eve.say(request_words.replace("PID", hidden))
    assert told.replace(hidden, free) == eve.say(request_words.replace("PID", free))
    assert told.startswith("404 ")


def test_where_a_hidden_job_runs(node: Hidden) -> None:
    """A caller is not told more than `ps` shows."""
    for talk in others(node):
        assert talk.say(f"where {AWAY.pid}").startswith("404 ")


def test_its_user_reaches_a_hidden_job_elsewhere(node: Hidden) -> None:
    """What is hidden from others is not hidden from whom it belongs to."""
    for talk in owners(node):
        assert talk.say(f"where {AWAY.pid}").startswith("200 2")
        assert talk.say(f"signal {AWAY.pid} TERM").startswith("200 ")


@pytest.mark.parametrize("verb", ["kill", "attach", "carry"])
def test_a_hidden_job_has_no_number(node: Hidden, verb: str) -> None:
    """A job of another user is no more to be found than one that does not exist."""
    eve = others(node)[-1]
    told = eve.say(f"{verb} {AWAY.job}")
    assert told.replace(f"job {AWAY.job}", "job 77") == eve.say(f"{verb} 77")
    assert told.startswith("404 ")
    seen = Talk(ThreeNodes(), Role.USER, "eve", 1001)
    assert seen.say(f"{verb} {AWAY.job}").startswith("403 ")


def test_events_of_jobs(node: Hidden) -> None:
    """What happens to jobs, with their command lines; what happens to nodes everybody may know."""
    said = Event(1.0, EventKind.STARTED, 1, "alpha", "job 1 of ada: ./secret --password x", 1, 1000)
    up = Event(2.0, EventKind.UP, 2, "beta", "it answers again", 1)
    watching = [(talk, False) for talk in others(node)] + [(talk, True) for talk in owners(node)]
    for talk, _shown in watching:
        talk.say("watch events")
    for event in (said, up):
        node.publish(event)
    for talk, shown in watching:
        heard = talk.say("")
        assert ("secret" in heard) == shown
        assert "answers again" in heard
    for talk, shown in [(talk, False) for talk in others(node)] + [(talk, True) for talk in owners(node)]:
        heard = talk.say("events")
        assert ("secret" in heard) == shown
        assert "answers again" in heard


def test_where_nothing_is_hidden_everybody_sees_them() -> None:
    """As without hidepid for processes."""
    node = ThreeNodes()
    node.publish(Event(1.0, EventKind.STARTED, 1, "alpha", "job 1 of ada: ./open", 1, 1000))
    for talk in others(node):
        assert "./open" in talk.say("events")
        assert str(GUEST.pid) in talk.say("ls /proc/hpc/remote")


def test_a_hidden_process_is_none(node: Hidden) -> None:
    """`ps` of its number says the same as of a number that no process has."""
    hidden = next(process.pid for process in node.source.processes(0.0).processes if process.uid == 0)
    free = 4_000_000
    for talk in others(node):
        assert talk.say(f"ps {hidden}").replace(str(hidden), str(free)) == talk.say(f"ps {free}")
        assert talk.say(f"ps {hidden}").startswith("404 ")
    assert Talk(node, Role.ADMIN, "root", 0).say(f"ps {hidden}").startswith("201 ")
