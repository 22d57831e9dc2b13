"""Checks what a caller wants to run: any JSON gives a `JobRequest`, or an error that says what is wrong."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libgomd.errors import MalformedRequest, NotAllowed, NotPossible
from libgomd.jobspec import (
    MAX_CWD,
    MIN_MEMORY_MAX,
    carried_paths,
    check_strings,
    checked_limits,
    checked_nice,
    checked_text,
)
from libgomd.model import Caller, Role
from libgomd.wire.frames import AttachRequest, MalformedFrame, attach_from_json, attach_to_json


@dataclass(frozen=True, slots=True)
class JobRequest:
    """
    A command and the environment that it runs in.

    :ivar node: the id or name of the node it is to run on; empty: the best one.
    :ivar nodes: as ``-j`` says it, ``1-4,7``: the best one of these; empty: of all.
    :ivar tty: it gets a terminal, of ``size`` rows and columns. :ivar merge: standard output and error are
        one stream. :ivar lock: True and False as ``-l`` and ``-L`` said, None for neither.
    :ivar memory: bytes it will need, None when not known: what placement goes by.
    :ivar memory_max: bytes it may have, None for no limit: the kernel sees to it.
    :ivar nice: the caller's nice value, :ivar limits: the caller's soft and hard resource limits, see
        `libgomd.jobspec.JobSpec`; None when not told. What a job gets of them its node decides.
    :ivar shared_tmp: it gets no temporary directories of its own.
    :ivar carry: absolute paths whose files travel with it, and come home at its end.
    :ivar attach: what the caller asked of its streams before it began, see `SpawnSpec.attach`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    umask: int
    tty: bool = False
    size: tuple[int, int] = (24, 80)
    merge: bool = False
    detach: bool = False
    node: str = ""
    nodes: str = ""
    lock: bool | None = None
    memory: int | None = None
    memory_max: int | None = None
    nice: int | None = None
    limits: Mapping[str, tuple[int, int]] | None = None
    shared_tmp: bool = False
    carry: tuple[str, ...] = ()
    attach: AttachRequest | None = None

    @property
    def command(self) -> str:
        """The command line for a table, at most 200 characters of it."""
        return " ".join(self.argv[:200])[:200]

    def values(self) -> dict[str, Any]:
        """Return the JSON object from which `parse` makes this request."""
        limits = None if self.limits is None else {name: list(pair) for name, pair in self.limits.items()}
        values: dict[str, Any] = {
            "argv": list(self.argv), "env": dict(self.env), "cwd": self.cwd, "umask": self.umask,
            "tty": self.tty, "size": list(self.size), "merge": self.merge, "detach": self.detach,
            "node": self.node, "nodes": self.nodes, "lock": self.lock, "memory": self.memory,
            "memory_max": self.memory_max,
            "nice": self.nice,
            "limits": limits,
            "shared_tmp": self.shared_tmp,
            "carry": list(self.carry),
        }  # fmt: skip
        if self.attach is not None:
            values["attach"] = attach_to_json(self.attach)
        return values


def parse(values: Mapping[str, Any]) -> JobRequest:
    """
    Return the request in ``values``; unknown names are ignored.

    :raises MalformedRequest: for anything else, and nothing else is raised.
    """
    argv, env = values.get("argv"), values.get("env")
    if not isinstance(argv, list) or not isinstance(env, dict):
        raise MalformedRequest("argv is a list of strings, and env an object of names and values")
    check_strings(argv, env)
    if not argv or not argv[0]:
        raise MalformedRequest("a command is missing: gom run COMMAND ...")
    cwd = _text(values, "cwd", "/")
    if not cwd.startswith("/") or len(cwd) > MAX_CWD:
        raise MalformedRequest(f"cwd is an absolute path of at most {MAX_CWD} characters")
    memory, most = values.get("memory"), values.get("memory_max")
    if most is not None:
        _number(most, "memory_max", 2**62)
        if most < MIN_MEMORY_MAX:
            raise MalformedRequest(
                f"--mem-max is at least {MIN_MEMORY_MAX >> 20}M: a program needs that to begin"
            )
        if isinstance(memory, int) and memory > most:
            raise MalformedRequest("--mem is more than --mem-max allows")
    return JobRequest(
        argv=tuple(argv),
        env=env,
        cwd=cwd,
        umask=_number(values.get("umask", 0o22), "umask", 0o777),
        tty=_flag(values, "tty"),
        size=_size(values.get("size", (24, 80))),
        merge=_flag(values, "merge"),
        detach=_flag(values, "detach"),
        node=_text(values, "node"),
        nodes=_text(values, "nodes"),
        lock=None if values.get("lock") is None else _flag(values, "lock"),
        memory=None if memory is None else _number(memory, "memory", 2**63),
        memory_max=most,
        nice=None if values.get("nice") is None else checked_nice(values["nice"]),
        limits=None if values.get("limits") is None else checked_limits(values["limits"], known=False),
        shared_tmp=_flag(values, "shared_tmp"),
        carry=_carried(values.get("carry")),
        attach=_attach(values.get("attach")),
    )


def _carried(found: Any) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise MalformedRequest("carry is a list of absolute paths")
    return carried_paths(found)


def _attach(found: Any) -> AttachRequest | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise MalformedRequest("attach is an object, as in an ATTACH")
    try:
        return attach_from_json(found)
    except MalformedFrame as error:
        raise MalformedRequest(f"attach: {error}") from error


def _text(values: Mapping[str, Any], name: str, default: str = "") -> str:
    return checked_text(values.get(name, default), name)


def _flag(values: Mapping[str, Any], name: str) -> bool:
    found = values.get(name, False)
    if not isinstance(found, bool):
        raise MalformedRequest(f"{name} is true or false")
    return found


def _number(found: Any, what: str, most: int) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
        raise MalformedRequest(f"{what} is a whole number from 0 to {most}")
    return found


def _size(found: Any) -> tuple[int, int]:
    if not isinstance(found, (list, tuple)) or len(found) != 2:
        raise MalformedRequest("size is rows and columns")
    rows, columns = (_number(value, "size", 65535) for value in found)
    return rows, columns


def node_ids(text: str) -> frozenset[int]:
    """
    Return the node ids in ``text``, such as ``1-4,7``.

    :raises MalformedRequest: it is no such list.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not _is_id(first) or (last and not _is_id(last)) or part.endswith("-"):
            raise MalformedRequest(f"nodes are given as 1-4,7, not {text[:40]}")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a job runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str


def account_of(caller: Caller, own_uid: int) -> Account:
    """
    Return the account of ``caller`` on this node. May block (a directory server).

    :param own_uid: the user this daemon runs as; unless that is root, it starts jobs for that user only.
    :raises NotAllowed: the caller has none here, or this daemon may not start jobs for that user.
    """
    if caller.uid is None:
        raise NotAllowed(
            "gomd does not know you as a user of this node: use the unix socket, or a user's token"
        )
    if caller.uid == 0 and caller.role < Role.ADMIN:
        raise NotAllowed("jobs of root are for admins")
    if own_uid not in (0, caller.uid):
        raise NotAllowed(f"this gomd runs as uid {own_uid} and starts jobs for that user only, not for you")
    try:
        entry = pwd.getpwuid(caller.uid)
    except KeyError:
        if own_uid == 0 and caller.uid != 0:
            raise NotAllowed(f"there is no user with uid {caller.uid} on this node") from None
        return Account(caller.uid, os.getegid(), (), str(caller.uid))
    if caller.user not in ("", entry.pw_name, str(caller.uid)):
        raise NotAllowed(
            f"uid {caller.uid} is {entry.pw_name} on this node, and {caller.user} where you ask from"
        )
    try:
        groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except OSError as error:
        raise NotPossible(f"the groups of {entry.pw_name} cannot be found: {error.strerror}") from error
    return Account(caller.uid, entry.pw_gid, groups, entry.pw_name)
