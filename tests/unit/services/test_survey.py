"""Who the users of this node are and which directories are there, by the child process that asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from zope.interface.verify import verifyClass

from gomd.interfaces import ISurvey
from gomd.services import survey_child
from gomd.services.survey import Survey
from gomd.verbs.context import NoSurvey
from libgomd.errors import InternalError, NotPossible, TimedOut


@pytest.fixture
def survey() -> Survey:
    """One that asks this machine."""
    return Survey()


def answering(text: str) -> Survey:
    """One whose child answers with ``text``."""
    return Survey((sys.executable, "-I", "-S", "-c", f"import sys; sys.stdin.read(); print({text!r})"))


def test_both_do_what_the_interface_says() -> None:
    """The one of a daemon, and the one of a daemon in memory, which knows nobody."""
    assert verifyClass(ISurvey, Survey)
    assert verifyClass(ISurvey, NoSurvey)
    assert (NoSurvey().users([], []), NoSurvey().accounts([], True)) == ((), ())
    assert NoSurvey().directories([("ana", "/x")]) == ["unknown"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (1000, 60000)),
        ("# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX 9000\n", (500, 9000)),
        ("UID_MIN\nUID_MAX many\nUID_MIN ²\nSYS_UID_MIN 3\n", (1000, 60000)),
    ],
)
def test_which_uids_are_people(text: str, found: tuple[int, int]) -> None:
    """As /etc/login.defs says, and the usual ones where it does not."""
    assert survey_child.login_range(text) == found


def test_accounts_of_this_machine(survey: Survey) -> None:
    """Root has one, with groups; a name that nobody has, or could have, is left out."""
    [root] = survey.accounts(["root", "no such user", "a\0b", "ü" * 300], everybody=False)
    assert (root.name, root.uid, root.gid) == ("root", 0, 0)
    assert root.groups is not None
    assert 0 in dict(root.groups)
    everybody = survey.accounts(["root"], everybody=True)
    assert root in everybody
    assert [each.name for each in everybody] == sorted(each.name for each in everybody)
    assert all(each.groups is None for each in everybody if each.name != "root")


def test_users_with_jobs(survey: Survey, tmp_path: Path) -> None:
    """Home and working directory of one with jobs, root too; of others with processes people only."""
    here = os.path.realpath(os.getcwd())
    found = survey.users([(0, os.getpid()), (0, 2**30)], [0, 1, 2**31])
    [root] = [each for each in found if each.uid == 0]
    assert root.has_jobs
    assert here in root.directories
    assert not [each for each in found if each.uid in (1, 2**31)]
    assert survey.users([], [0]) == []


def test_directories(survey: Survey, tmp_path: Path) -> None:
    """There, missing, hidden from that user, of nobody; and a file is no directory."""
    (tmp_path / "file").touch()
    asked = [
        ("root", str(tmp_path)), ("root", str(tmp_path / "none")), ("root", str(tmp_path / "file")),
        ("root", str(tmp_path / "file" / "below")), ("no such user", "/"), ("root", "/a\x01b{}"),
    ]  # fmt: skip
    states = survey.directories(asked)
    assert states == ["there", "missing", "missing", "missing", "unknown", "missing"]
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        assert survey.directories([("nobody", str(tmp_path / "closed" / "x"))]) == ["unknown"]
    assert survey.directories([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "{}",
        '[["a"]]',
        '[["a", -1, true, []]]',
        "[[1, 1, true, []]]",
        "[[]]",
        "[1]",
        "[" * 9999,
    ],
)
def test_a_child_that_fails(text: str) -> None:
    """It is a fault of this node, whatever it says."""
    with pytest.raises(InternalError):
        answering(text).users([], [])
    with pytest.raises(InternalError):
        answering(text).accounts([], everybody=True)
    with pytest.raises(InternalError):
        answering(text).directories([("root", "/"), ("root", "/")])


def test_a_child_that_hangs_is_killed() -> None:
    """The deadline is kept, and the next question has a child of its own."""
    survey = Survey((sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"), deadline=0.1)
    for _ in range(2):
        with pytest.raises(TimedOut):
            survey.accounts([], everybody=True)


def test_a_child_that_does_not_end_keeps_others_from_starting(tmp_path: Path) -> None:
    """It has answered, and waits for a process that hangs in the kernel; once that ends all is well."""
    os.mkfifo(tmp_path / "hangs")
    path = tmp_path / "hangs"
    code = (
        "import os, sys; sys.stdin.read(); print('[]', flush=True)\n"
        "if os.path.exists(sys.argv[1]): open(sys.argv[1]).read()"
    )
    survey = Survey((sys.executable, "-I", "-S", "-c", code, str(path)), end=0.05)
    assert survey.accounts([], everybody=True) == []
    for _ in range(3):
        with pytest.raises(NotPossible, match="still hangs"):
            survey.accounts([], everybody=True)
    with path.open("w"):  # once the child has it open, too
        path.unlink()
    survey.end_seconds = 60.0  # however busy this machine is
    assert survey.accounts([], everybody=True) == []


def test_no_child() -> None:
    """A program that is missing is a sentence."""
    with pytest.raises(NotPossible, match="no child"):
        Survey(("/no/such/program",)).accounts([], everybody=True)
