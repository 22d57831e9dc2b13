"""
What `gom doctor` asks every node, to compare the answers: users, accounts, directories and paths.

The answers are findings whose text is read by `gom`: words quoted as in a shell. What they tell is bounded by
the caller's rights: a user is told about themselves, and about their own directories; an admin about all.
Directories are looked at with the rights of the user who works in them. docs/security.md has the rule.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gomd.verbs.context import ISession, Parts
from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.installation import installation
from libgomd.model import Caller, Finding, FindingState, Role

GOOD, WARN, BAD = FindingState
#: Users of one node that are told at most, and working directories of each.
MAX_USERS: Final = 32
MAX_DIRECTORIES: Final = 4
#: Names and directories that are asked for at most.
MAX_ASKED: Final = 200
#: Owners of processes that are looked up at most.
MAX_OWNERS: Final = 1000
#: Seconds that a child may take with its start and its end, and seconds by which a process table may be old.
SURVEY_TIMEOUT: Final = 12.0
MAX_TABLE_AGE: Final = 60.0
#: Hexadecimal digits of a digest.
_DIGEST: Final = 16


async def users(parts: Parts, caller: Caller, words: Sequence[str]) -> list[Finding]:
    """Return a finding for each user with jobs or processes here: ``NAME jobs|processes [DIRECTORY ...]``."""
    if words:
        raise MalformedRequest("usage: doctor users")
    jobs = [(job.uid, job.pid) for job in parts.jobs.here() if caller.owns(job.uid)]
    table = await parts.collector.processes(MAX_TABLE_AGE)
    owners = {process.uid for process in table.processes if caller.owns(process.uid)}
    asked = sorted(owners)[:MAX_OWNERS]
    found = await _surveyed(parts, parts.survey().users, jobs, asked)
    shown = sorted(found, key=lambda user: (not user.has_jobs, user.name))[:MAX_USERS]
    return [
        Finding(
            "users", GOOD,
            shlex.join((
                user.name, "jobs" if user.has_jobs else "processes", *user.directories[: MAX_DIRECTORIES + 1]
            )),
            "", user.uid,
        )
        for user in shown
    ]  # fmt: skip


async def accounts(parts: Parts, caller: Caller, words: Sequence[str]) -> list[Finding]:
    """
    Return a digest of the accounts of this node, or with ``list`` first each of them.

    An account is ``NAME UID GID [GID:GROUP ...]``; only those that are named come with their groups.
    """
    listed = words[:1] == ("list",)
    if not listed and words[:1] != ("digest",):
        raise MalformedRequest("usage: doctor accounts digest|list [NAME ...]")
    names, is_admin = _bounded(words[1:]), caller.role >= Role.ADMIN
    if not is_admin:
        names = [name for name in names if name == caller.user]
    found = await _surveyed(parts, parts.survey().accounts, names, is_admin)
    if not listed:
        text = f"{digest_of(found)} of {len(found)} accounts"
        return [Finding("accounts", GOOD, text, "", len(found))]
    return [
        Finding(
            "account", GOOD,
            shlex.join((
                account.name, str(account.uid), str(account.gid),
                *(f"{gid}:{name}" for gid, name in account.groups or ()),
            )),
            "", account.uid,
        )
        for account in found
    ]  # fmt: skip


def digest_of(found: Sequence[Any]) -> str:
    """Return what is the same for the same accounts."""
    data = json.dumps(found).encode()
    return hashlib.sha256(data).hexdigest()[:_DIGEST]


async def directories(parts: Parts, caller: Caller, words: Sequence[str]) -> list[Finding]:
    """
    Return a finding for each directory ``USER:PATH`` that is missing here, with its place in the question.

    :raises NotAllowed: one is of another user, and the caller is no admin.
    """
    asked: list[tuple[str, str]] = []
    for word in _bounded(words):
        user, colon, path = word.partition(":")
        if not colon or not path.startswith("/"):
            raise MalformedRequest("usage: doctor directories USER:/PATH ...")
        if caller.role < Role.ADMIN and user != caller.user:
            raise NotAllowed(f"only admins ask for directories of others, such as {user[:40]}")
        asked.append((user, path))
    states = await _surveyed(parts, parts.survey().directories, asked)
    found = []
    for place, ((user, path), state) in enumerate(zip(asked, states, strict=True)):
        name, quoted = shlex.quote(user), shlex.quote(path)
        if state is None:
            text = f"{path}, where jobs of {user} work, does not answer"
            found.append(Finding("directories", BAD, text, installation().page("hanging.md"), place))
        elif state == "missing":
            text = f"there is no directory {path}, where jobs of {user} work on other nodes"
            mend = f"mount there what has it elsewhere, or: install -d -o {name} {quoted}"
            found.append(Finding("directories", WARN, text, mend, place))
    count = sum(state == "there" for state in states)
    return [Finding("directories", GOOD, f"{count} of {len(asked)} directories are there", "", None), *found]


async def paths(parts: Parts, _caller: Caller, words: Sequence[str]) -> list[Finding]:
    """Return the findings about the paths to other nodes: whether large packets arrive."""
    if words:
        raise MalformedRequest("usage: doctor paths")
    return list(await parts.paths())


_Question = Callable[[Parts, Caller, Sequence[str]], Awaitable[list[Finding]]]
QUESTIONS: Final[dict[str, _Question]] = {
    "users": users, "accounts": accounts, "directories": directories, "paths": paths
}  # fmt: skip


async def answer(parts: Parts, session: ISession, question: str, words: tuple[str, ...]) -> list[Finding]:
    """
    Return the findings for one of `QUESTIONS`.

    :raises MalformedRequest: there is no such question, or its words are wrong.
    :raises NotAllowed: the caller is not a user of this node.
    """
    ask = QUESTIONS.get(question)
    if ask is None:
        raise MalformedRequest(f"usage: doctor [{'|'.join(QUESTIONS)} ...]")
    caller: Caller = session.caller
    if question != "paths" and caller.role < Role.USER:
        raise NotAllowed(f"`doctor {question}` is for users and admins, you are {caller.role.word}")
    return await ask(parts, caller, words)


def _bounded(words: Sequence[str]) -> list[str]:
    if len(words) > MAX_ASKED:
        raise MalformedRequest(f"at most {MAX_ASKED} at once")
    return list(dict.fromkeys(words))


def _surveyed(parts: Parts, ask: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
    """Ask the child of this node; one question at a time, for all callers together."""
    return parts.threads.run_apart(SURVEY_TIMEOUT, "survey", "survey", ask, *arguments)
