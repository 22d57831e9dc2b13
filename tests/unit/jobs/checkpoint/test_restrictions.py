"""The process at which others try whether they are restricted: they may do more to it than look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from gomd.jobs.checkpoint import restrictions
from gomd.jobs.checkpoint.whole_process import read_status

USER, GROUP = 54321, 54322
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="processes of other users are started by root")


@pytest.fixture(params=[(USER, GROUP), (0, 0)], ids=["user", "root"])
def outsider(request: pytest.FixtureRequest) -> Iterator[int]:
    """Start one, by a process that has what nobody else may get."""
    uid, gid = request.param
    secret = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        with restrictions._outsider(uid, gid, nullcontext) as pid:
            yield pid
    finally:
        os.close(secret)


def test_it_has_nothing_of_the_process_that_started_it(outsider: int) -> None:
    """Neither its memory nor its descriptors, directory or environment; nor any capability."""
    here = f"/proc/{outsider}"
    assert {os.readlink(f"{here}/fd/{name}") for name in os.listdir(f"{here}/fd")} == {"/dev/null"}
    assert os.path.realpath(f"{here}/exe") != os.path.realpath("/proc/self/exe")
    assert os.readlink(f"{here}/cwd") == "/"
    with open(f"{here}/environ", "rb") as environment:
        assert environment.read() == b""
    assert read_status(here).capabilities == 0


def test_its_user_may_look_at_it(outsider: int) -> None:
    """Else everybody would seem to be restricted."""
    uid = os.stat(f"/proc/{outsider}").st_uid
    assert {uid} == read_status(f"/proc/{outsider}").uids
