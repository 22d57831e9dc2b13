"""What `gom doctor` asks nodes to compare them: who is told what, and of bounded length."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from zope.interface import implementer

from gomd.interfaces import ISurvey, UserAccount, UserHere
from gomd.verbs.context import Parts
from gomd.verbs.doctor_questions import MAX_ASKED, MAX_DIRECTORIES, MAX_USERS
from libgomd.errors import TimedOut
from libgomd.model import Caller, Finding, FindingState, Output, Role
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.three_nodes import ThreeNodes

ADA = UserAccount("ada", 1000, 1000, ((27, "sudo"), (1000, "ada")))
BOB = UserAccount("bob", 1001, 100, None)


@implementer(ISurvey)
class Survey:
    """
    :ivar asked: all questions, with their arguments. :ivar found: what `users` answers.
    :ivar states: what `directories` answers by path. :ivar hangs: whether nothing answers.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.found = [UserHere("bob", 1001, False, ()), UserHere("ada", 1000, True, ("/home/ada", "/w o"))]
        self.states: dict[str, str | None] = {}
        self.hangs = False

    def _note(self, *question: Any) -> None:
        self.asked.append(question)
        if self.hangs:
            raise TimedOut("no answer")

    def users(self, jobs: Sequence[tuple[int, int]], uids: Collection[int]) -> Sequence[UserHere]:
        self._note("users", list(jobs), sorted(uids))
        return [user for user in self.found if user.uid in uids or user.uid in dict(jobs)]

    def accounts(self, names: Sequence[str], everybody: bool) -> Sequence[UserAccount]:
        self._note("accounts", list(names), everybody)
        return [each for each in (ADA, BOB) if each.name in names or everybody]

    def directories(self, asked: Sequence[tuple[str, str]]) -> Sequence[str | None]:
        self._note("directories", list(asked))
        return [self.states.get(path, "there") for _user, path in asked]


class Node(ThreeNodes):
    """Node 1 of three, with a survey that the test plays."""

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        self.survey = Survey()

        async def paths() -> Sequence[Finding]:
            return [Finding("mtu", FindingState.GOOD, "packets of 1500 bytes reach beta", "", 1500)]

        return replace(super()._parts(commands, tokens), survey=lambda: self.survey, paths=paths)


@pytest.fixture
def node() -> Node:
    """Node 1 of three, which runs jobs of uid 1000."""
    return Node()


def root(node: Node) -> Talk:
    return Talk(node, Role.ADMIN, "root", 0)


def ada(node: Node) -> Talk:
    return Talk(node, Role.USER, "ada", 1000)


def rows(talk: Talk, line: str) -> list[dict[str, Any]]:
    """Say a line, and return the rows of its answer."""
    talk.say("format json")
    status, *lines = talk.say(line).splitlines()
    assert status.startswith("201 "), status
    return [json.loads(each) for each in lines if each != "."]


def texts(talk: Talk, line: str) -> list[str]:
    return [row["text"] for row in rows(talk, line)]


def test_who_is_told_of_which_users(node: Node) -> None:
    """An admin of all, those with jobs first; a user of themselves; a reader of nobody."""
    assert texts(root(node), "doctor users") == ["ada jobs /home/ada '/w o'"]
    assert node.survey.asked.pop() == ("users", [(1000, 300), (1000, 400)], [0, 1000])
    node.jobs.running = []
    assert texts(ada(node), "doctor users") == ["ada jobs /home/ada '/w o'"]
    assert node.survey.asked.pop() == ("users", [], [1000])
    assert texts(Talk(node, Role.USER, "eve", 1007), "doctor users") == []
    assert node.survey.asked.pop() == ("users", [], [])
    reader = Talk(node, Role.READ, "", None)
    for question in ("users", "accounts digest", "directories ada:/home/ada"):
        assert reader.say(f"doctor {question}").startswith("403 ")
    assert node.survey.asked == []


def test_users_and_their_directories_are_bounded(node: Node) -> None:
    """Those with jobs are told first."""
    many = [UserHere(f"u{n:03}", 1000, n >= 990, tuple(f"/{d}" for d in range(99))) for n in range(1000)]
    node.survey.found = many
    found = texts(root(node), "doctor users")
    assert len(found) == MAX_USERS
    assert found[0].split() == ["u990", "jobs", *(f"/{d}" for d in range(MAX_DIRECTORIES + 1))]


def test_accounts(node: Node) -> None:
    """A digest that differs when they do, and the list; a user is told of their own only."""
    [digest] = texts(root(node), "doctor accounts digest ada")
    assert node.survey.asked.pop() == ("accounts", ["ada"], True)
    assert digest.endswith(" of 2 accounts")
    assert texts(root(node), "doctor accounts list ada") == ["ada 1000 1000 27:sudo 1000:ada", "bob 1001 100"]
    [own] = texts(ada(node), "doctor accounts digest ada bob")
    assert node.survey.asked.pop() == ("accounts", ["ada"], False)
    assert own.endswith(" of 1 accounts")
    assert own != digest
    assert texts(ada(node), "doctor accounts list bob") == []


def test_directories(node: Node) -> None:
    """What is missing has its place in the question and a command that is safe to paste."""
    node.survey.states = {"/w o": "missing", "/n{}": None, "/hidden": "unknown"}
    found = rows(root(node), """doctor directories ada:/home/ada 'ada:/w o' 'x$y:/w o' 'b:/n{}' b:/hidden""")
    assert [(row["state"], row["value"]) for row in found] == [
        ("good", None), ("warn", 1), ("warn", 2), ("bad", 3)
    ]  # fmt: skip
    assert found[0]["text"] == "1 of 5 directories are there"
    assert found[1]["mend"].endswith("install -d -o ada '/w o'")
    assert found[2]["mend"].endswith("install -d -o 'x$y' '/w o'")
    assert "/n{}" in found[3]["text"]
    assert "hanging" in found[3]["mend"]


def test_directories_of_others_are_for_admins(node: Node) -> None:
    """A user would learn which files another one has."""
    assert texts(ada(node), "doctor directories ada:/home/ada") == ["1 of 1 directories are there"]
    node.survey.asked.clear()
    assert ada(node).say("doctor directories ada:/x bob:/home/bob").startswith("403 ")
    assert node.survey.asked == []


@pytest.mark.parametrize(
    "line",
    [
        "doctor what", "doctor users ada", "doctor accounts", "doctor accounts all", "doctor paths x",
        "doctor directories /x", "doctor directories ada:x",
        f"doctor accounts list {' '.join(map(str, range(MAX_ASKED + 1)))}",
    ],
)  # fmt: skip
def test_wrong_words(node: Node, line: str) -> None:
    """Are refused in a sentence."""
    assert root(node).say(line).startswith("400 ")


def test_paths_are_for_everybody(node: Node) -> None:
    """They tell nothing that `nodes` does not."""
    reader = Talk(node, Role.READ, "", None)
    assert texts(reader, "doctor paths") == ["packets of 1500 bytes reach beta"]


def test_a_directory_server_that_hangs(node: Node) -> None:
    """The question fails, and the daemon goes on."""
    node.survey.hangs = True
    talk = root(node)
    assert talk.say("doctor users").startswith("504 ")
    assert talk.say("version").startswith("20")
