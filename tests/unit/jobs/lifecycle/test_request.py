"""What may be asked to be run."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.jobs.lifecycle.request import JobRequest, account_of, node_ids, parse
from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.jobspec import MAX_STRING_BYTES
from libgomd.model import Caller, Role
from libgomd.wire.frames import AttachRequest

GOOD: dict[str, Any] = {"argv": ["true"], "env": {"PATH": "/bin"}, "cwd": "/tmp", "umask": 0o22}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def test_a_request_comes_back_as_it_was() -> None:
    """What one daemon passes on is what the other reads."""
    sizes = {"size": [10, 20], "memory": 5, "memory_max": 8 << 20}
    request = parse({**GOOD, "tty": True, "nodes": "1-4,7", "lock": False, **sizes})
    assert parse(request.values()) == request
    assert request.size == (10, 20)
    assert request.lock is False
    attached = replace(request, attach=AttachRequest(0, 3, 7, True))
    assert parse(attached.values()) == attached


@given(st.sampled_from(sorted(JobRequest.__dataclass_fields__)), anything)
def test_any_value_is_taken_or_refused_with_a_sentence(name: str, value: Any) -> None:
    """Nothing else is raised."""
    with suppress(MalformedRequest):
        assert parse({**GOOD, name: value}).argv


@pytest.mark.parametrize(
    "wrong",
    [
        {"argv": []}, {"argv": [""]}, {"argv": ["a\0b"]}, {"env": {"A=B": "1"}}, {"env": {"": "1"}},
        {"env": []}, {"cwd": "tmp"}, {"umask": 0o1000}, {"umask": True}, {"size": [1]}, {"tty": 1},
        {"memory_max": 1 << 20}, {"memory_max": True}, {"memory_max": "1G"},
        {"memory_max": 8 << 20, "memory": 9 << 20}, {"memory": -1}, {"env": {"A": "x" * MAX_STRING_BYTES}},
        {"argv": ["\ud800"]}, {"attach": True}, {"attach": {"n": -1}}, {"attach": {"stdout": "0"}},
    ],
)  # fmt: skip
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    """Each with its own sentence."""
    with pytest.raises(MalformedRequest):
        parse({**GOOD, **wrong})


def test_lists_of_nodes() -> None:
    """As `-j` says them."""
    assert node_ids("1-4,7") == {1, 2, 3, 4, 7}
    for wrong in ("", "0", "1-", "-3", "a", "1,,2", "70000"):
        with pytest.raises(MalformedRequest):
            node_ids(wrong)


def test_whom_a_job_runs_as() -> None:
    """The caller, with their groups; nobody else, and nobody without a uid."""
    me = pwd.getpwuid(os.geteuid())
    role = Role.ADMIN if me.pw_uid == 0 else Role.USER
    account = account_of(Caller(role, me.pw_name, me.pw_uid, "unix"), me.pw_uid)
    assert (account.uid, account.gid, account.user) == (me.pw_uid, me.pw_gid, me.pw_name)
    for caller, own in (
        (Caller(Role.ADMIN, "", None, "tcp"), 0),
        (Caller(Role.USER, "root", 0, "node 2"), 0),
        (Caller(role, me.pw_name, me.pw_uid, "unix"), me.pw_uid + 1 or 1),
        (Caller(role, "somebody-else", me.pw_uid, "node 2"), me.pw_uid),
    ):
        if own == 0 and caller.uid == me.pw_uid and caller.role is Role.ADMIN:
            continue
        with pytest.raises(NotAllowed):
            account_of(caller, own)
