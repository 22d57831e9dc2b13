"""The tokens file as `auth` sees it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.services.tokens import FileTokens
from libgomd.errors import NotAllowed, NotPossible
from libgomd.model import Caller, Role
from libgomd.tokens import Token, hash_token, with_token
from tests.unit.services.held import HeldThreads

STRANGER = Caller(Role.READ, "", None, "tcp 192.0.2.7:1")


def check(path: Path, token: str) -> Any:
    """Return what comes of saying ``token``."""
    threads, found = HeldThreads(Clock()), list[Any]()
    Deferred.fromCoroutine(FileTokens(str(path), threads).check(token, STRANGER)).addBoth(found.append)
    threads.work()
    return found[0]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file with a token for root (admin), one for a user of no node, and one to read with."""
    path, text = tmp_path / "tokens", ""
    for name, role in (("root", Role.ADMIN), ("no-such-user", Role.USER), ("reader", Role.READ)):
        text = with_token(text, Token(name, role, hash_token(f"secret of {name}")))
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_token_gives_its_role_and_its_owners_uid(tokens: Path) -> None:
    """The way in stays what it is."""
    assert check(tokens, "secret of root") == Caller(Role.ADMIN, "root", 0, STRANGER.via)
    assert check(tokens, "secret of reader") == Caller(Role.READ, "reader", None, STRANGER.via)


def test_a_token_that_is_not_there_gives_nothing(tokens: Path) -> None:
    """Nor does a file that is not there."""
    assert check(tokens, "secret") is None
    assert check(tokens.with_name("none"), "secret of root") is None


def test_a_user_has_to_be_one_of_this_node(tokens: Path) -> None:
    """Such a user would own nothing."""
    assert check(tokens, "secret of no-such-user").check(NotAllowed)


def test_a_file_that_others_may_read_lets_nobody_in(tokens: Path) -> None:
    """It says what to do."""
    tokens.chmod(0o640)
    found = check(tokens, "secret of root")
    assert found.check(NotPossible)
    assert "chmod 600" in found.getErrorMessage()


def test_a_new_token_works_at_once(tokens: Path) -> None:
    """The file is read each time."""
    name = pwd.getpwuid(os.getuid()).pw_name + "-two"
    tokens.write_text(with_token(tokens.read_text(), Token(name, Role.ADMIN, hash_token("new"))))
    assert check(tokens, "new").role is Role.ADMIN


@pytest.mark.parametrize("name", ["root", "daemon", "nobody-at-all"])
def test_a_token_of_role_user_is_for_a_person(tmp_path: Path, name: str) -> None:
    """One that a file names root, or another user of the system, lets nobody act as that."""
    path = tmp_path / "tokens"
    path.write_text(with_token("", Token(name, Role.USER, hash_token("secret"))))
    path.chmod(0o600)
    refused = check(path, "secret")
    assert refused.check(NotAllowed)
    assert len(str(refused.value).splitlines()) == 1
    if name in {entry.pw_name for entry in pwd.getpwall()}:
        assert "system itself" in str(refused.value)
