"""`gom key` and `gom token`: the files they make, and what they never do to files."""

from __future__ import annotations

import base64
import os
import re
import threading
from pathlib import Path

import pytest

from gom.command import main
from gom.secretfiles import locked
from libgomd.model import Role
from libgomd.tokens import find_token, read_tokens

Captured = pytest.CaptureFixture[str]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_key_is_one_line_for_its_owner_only(tmp_path: Path, capsys: Captured) -> None:
    """32 random bytes in base64, mode 0600 whatever the umask, another one each time."""
    old = os.umask(0)
    try:
        assert main(["key", "new", str(tmp_path / "a.key")]) == 0
        assert main(["key", "new", str(tmp_path / "b.key")]) == 0
    finally:
        os.umask(old)
    assert "copy it to every node" in capsys.readouterr().out
    keys = [(tmp_path / name).read_bytes() for name in ("a.key", "b.key")]
    assert all(key.endswith(b"\n") and len(base64.b64decode(key, validate=False)) == 32 for key in keys)
    assert keys[0] != keys[1]
    assert mode(tmp_path / "a.key") == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path, capsys: Captured) -> None:
    """Not a file, not what a symbolic link points to, not a dangling link."""
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("there", "link", "dangling"):
        assert main(["key", "new", str(tmp_path / name)]) == 1
        assert "exists already and is never overwritten" in capsys.readouterr().err
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


def test_a_key_that_cannot_be_made_is_said(tmp_path: Path, capsys: Captured) -> None:
    """With the reason, in one sentence."""
    assert main(["key", "new", str(tmp_path / "no" / "such" / "key")]) == 1
    assert "cannot be made: No such file or directory" in capsys.readouterr().err


def test_a_token_is_shown_once_and_its_hash_is_kept(tmp_path: Path, capsys: Captured) -> None:
    """The printed token is the one that the daemon will know; the file does not have it."""
    path = tmp_path / "state" / "tokens"
    assert main(["token", "add", "ann", "admin", "--file", str(path)]) == 0
    token = capsys.readouterr().out.strip()
    assert token not in path.read_text()
    found = find_token(read_tokens(str(path)).tokens, token)
    assert found is not None
    assert (found.name, found.role) == ("ann", Role.ADMIN)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert sorted(os.listdir(path.parent)) == ["tokens"]


def test_tokens_are_kept_where_the_daemon_looks(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --file it is the file in the state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert main(["token", "add", "ann", "read"]) == 0
    assert [token.name for token in read_tokens(str(tmp_path / "gomd" / "tokens")).tokens] == ["ann"]


def test_tokens_are_listed_and_removed(tmp_path: Path, capsys: Captured) -> None:
    """Names and roles, never hashes; a name that is not there is an error; comments stay."""
    path = tmp_path / "tokens"
    path.write_text("# who may\nnonsense\n")
    path.chmod(0o600)
    for name, role in (("ann", "admin"), ("robert", "read")):
        assert main(["token", "add", name, role, "--file", str(path)]) == 0
    assert main(["token", "add", "ann", "read", "--file", str(path)]) == 1
    assert "ann has a token already" in capsys.readouterr().err
    assert main(["token", "list", "--file", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == "ann    admin\nrobert read\n"
    assert "line 2 is ignored" in printed.err
    assert main(["token", "remove", "ann", "--file", str(path)]) == 0
    assert main(["token", "remove", "ann", "--file", str(path)]) == 1
    assert main(["token", "list", "--file", str(path)]) == 0
    assert capsys.readouterr().out == "robert read\n"
    assert path.read_text().startswith("# who may\nnonsense\nrobert read ")


def test_an_empty_list_prints_nothing(tmp_path: Path, capsys: Captured) -> None:
    """Scripts count its lines."""
    assert main(["token", "list", "--file", str(tmp_path / "none")]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_tokens_file_that_others_read_is_not_made_worse(tmp_path: Path, capsys: Captured) -> None:
    """The user is told to close it; nothing is added to it."""
    path = tmp_path / "tokens"
    path.write_text("")
    path.chmod(0o644)
    assert main(["token", "add", "ann", "read", "--file", str(path)]) == 1
    assert "chmod 600" in capsys.readouterr().err
    assert path.read_text() == ""


def test_a_symbolic_link_stays_one(tmp_path: Path, capsys: Captured) -> None:
    """The file it points to gets the token."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tokens").symlink_to(tmp_path / "elsewhere" / "real")
    assert main(["token", "add", "ann", "read", "--file", str(tmp_path / "tokens")]) == 0
    assert (tmp_path / "tokens").is_symlink()
    assert (tmp_path / "elsewhere" / "real").read_text().startswith("ann read sha256:")


def test_no_link_of_another_user_is_followed(tmp_path: Path, capsys: Captured) -> None:
    """Wherever it is on the way: it could lead to the tokens of root's own daemon."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    named = ["token", "add", "ann", "admin", "--file", str(tmp_path / "link" / "tokens")]
    if os.geteuid() == 0:  # only root can make what is another user's
        os.lchown(tmp_path / "link", 12345, 12345)
        assert main(named) == 1
        assert "link is a symbolic link of user 12345" in capsys.readouterr().err
        assert list(real.iterdir()) == []
        os.lchown(tmp_path / "link", 0, 0)
    assert main(named) == 0
    assert [path.name for path in real.iterdir()] == ["tokens"]


def test_what_a_killed_one_left_is_no_obstacle(tmp_path: Path, capsys: Captured) -> None:
    """A half-written new file is thrown away."""
    (tmp_path / "tokens.new").write_text("ann adm")
    assert main(["token", "add", "ann", "read", "--file", str(tmp_path / "tokens")]) == 0
    assert os.listdir(tmp_path) == ["tokens"]


def test_two_at_once_lose_nothing(tmp_path: Path, capsys: Captured) -> None:
    """The second waits until the first is done."""
    path = tmp_path / "tokens"
    with locked(str(path)):
        other = threading.Thread(target=main, args=(["token", "add", "bob", "read", "--file", str(path)],))
        other.start()
        other.join(0.05)
        assert other.is_alive()
        assert not path.exists()
    other.join(10)
    assert [token.name for token in read_tokens(str(path)).tokens] == ["bob"]


def test_version_and_usage_need_no_daemon(capsys: Captured) -> None:
    """They answer from anywhere."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gom 0.")
    for option in ("-h", "--help"):
        assert main([option]) == 0
        assert capsys.readouterr().out.startswith("usage: gom ")


def test_every_command_of_gom_stands_in_its_usage(capsys: Captured) -> None:
    """The usage names each; a hint such as `gom run --help` in it leads to the usage of that command."""
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    for command in (
        "run",
        "attach",
        "migrate",
        "mon",
        "page",
        "top",
        "history",
        "report",
        "init",
        "doctor",
        "key",
        "token",
    ):
        assert re.search(rf"^ +(gom )?{command} ", usage, re.MULTILINE), command
    hints = set(re.findall(r"`gom (\w+) --help`", usage))
    assert hints == {
        "VERB", "run", "migrate", "mon", "do", "page", "top", "history", "report", "init", "invite", "doctor",
            "mount", "completion",
    }  # fmt: skip
    for command in (*hints - {"VERB"}, "attach"):
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: gom {command} ")


@pytest.mark.parametrize("name", ["root", "daemon"])
def test_a_token_of_role_user_is_for_a_person(tmp_path: Path, capsys: Captured, name: str) -> None:
    """Nobody acts as root, or as a user of the system itself, by a token of role user."""
    path = tmp_path / "tokens"
    assert main(["token", "add", name, "user", "--file", str(path)]) != 0
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert f"{name} is a user of the system itself" in told
    assert not path.exists()
    assert main(["token", "add", name, "admin", "--file", str(path)]) == 0
