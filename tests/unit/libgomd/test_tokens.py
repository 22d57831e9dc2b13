"""The tokens file: its lines, its hashes, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd import tokens
from libgomd.errors import ConfigError
from libgomd.model import Role
from libgomd.tokens import Token

_SALT = bytes(range(16))


def test_the_hash_is_the_one_that_older_files_hold() -> None:
    """A later gomd still takes the tokens of today: sha256 over salt and token, computed elsewhere."""
    assert tokens.hash_token("secret", _SALT) == (
        "sha256:000102030405060708090a0b0c0d0e0f:"
        "67557c0d86179c45199f096d85b7aeb2b8b34bf423c403ba517f72bcc5913c4c"
    )


def test_a_token_is_long_new_and_needs_no_quotes() -> None:
    """It can be pasted into a shell, a line and an environment variable."""
    made = {tokens.new_token() for _ in range(50)}
    assert len(made) == 50
    assert all(len(token) == 43 and token.replace("-", "").replace("_", "").isalnum() for token in made)


def test_a_token_gives_its_owner_a_role_and_nobody_else_one() -> None:
    """The right token is found wherever its line stands; any other is not."""
    known = [Token(name, Role.USER, tokens.hash_token(f"token of {name}")) for name in ("ann", "bob", "cy")]
    for token in known:
        assert tokens.find_token(known, f"token of {token.name}") == token
    for wrong in ("", "token of", "token of dan", known[0].hash, "\ud800", "x" * 100_000):
        assert tokens.find_token(known, wrong) is None


def test_the_same_token_has_another_hash_each_time() -> None:
    """Two files do not show that they hold the same token."""
    assert tokens.hash_token("secret") != tokens.hash_token("secret")


def test_a_file_with_comments_and_mistakes_keeps_its_good_lines() -> None:
    """Each bad line is told with its number and gives nobody a role; the others work."""
    good = tokens.hash_token("a")
    found = tokens.parse_tokens(
        f"# who may\n\nann admin {good}\nbob root {good}\ncy user\ndan read sha256:x\n-e read {good}\n"
        f"ann read {good}\n  # indented\n"
    )
    assert found.tokens == (Token("ann", Role.ADMIN, good),)
    assert [mistake.split(":")[0] for mistake in found.mistakes] == [
        f"line {number} is ignored" for number in (4, 5, 6, 7, 8)
    ]
    assert "no role: use read, user, admin" in found.mistakes[0]


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    """A half-written file costs its bad lines only, and nobody gets in by accident."""
    found = tokens.parse_tokens(text)
    assert tokens.find_token(found.tokens, text) is None


def test_adding_and_removing_leaves_the_other_lines_alone() -> None:
    """Comments and other people's tokens stay, also in a file whose last line has no end."""
    ann = Token("ann", Role.READ, tokens.hash_token("a"))
    bob = Token("bob", Role.ADMIN, tokens.hash_token("b"))
    text = tokens.with_token(tokens.with_token("# mine", ann), bob)
    assert tokens.parse_tokens(text) == ((ann, bob), ())
    assert tokens.without_token(text, "ann") == f"# mine\nbob admin {bob.hash}\n"
    with pytest.raises(ConfigError, match="ann has a token already"):
        tokens.with_token(text, ann)
    for nobody in ("cy", "#", ""):
        with pytest.raises(ConfigError, match="has no token"):
            tokens.without_token(text, nobody)


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a\n", "é", "a" * 65, "#a"])
def test_a_name_that_would_not_read_back_is_refused(name: str) -> None:
    """A name cannot be an option, a comment or two words."""
    with pytest.raises(ConfigError, match="cannot be a token's name"):
        tokens.check_name(name)


def test_a_file_that_is_not_there_has_no_tokens(tmp_path: Path) -> None:
    """A daemon without a tokens file starts, and takes no token."""
    assert tokens.read_tokens(str(tmp_path / "tokens")) == ((), ())


def test_a_file_that_others_could_read_is_refused(tmp_path: Path) -> None:
    """The sentence says what to do about it."""
    path = tmp_path / "tokens"
    path.write_text("")
    for mode in (0o640, 0o604, 0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"open to others: chmod 600 {path}"):
            tokens.read_tokens(str(path))
    path.chmod(0o600)
    assert tokens.read_tokens(str(path)).tokens == ()


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    """A fifo does not hang the daemon, a huge file does not fill its memory."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigError, match="is not a file"):
        tokens.read_tokens(str(tmp_path / "fifo"))
    with pytest.raises(ConfigError, match="is not a file"):
        tokens.read_tokens(str(tmp_path))
    large = tmp_path / "large"
    large.write_bytes(b"#" * (tokens.MAX_FILE_BYTES + 1))
    large.chmod(0o600)
    with pytest.raises(ConfigError, match="has more than 1048576 bytes"):
        tokens.read_tokens(str(large))
