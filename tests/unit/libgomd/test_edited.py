"""Files that people edit, as editors of other systems leave them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gomd.cluster.map_file import parse_map
from gomd.config.inifile import read_file
from gomd.protocols.manhole_keys import read_authorized_keys
from libgomd.edited import plain_bytes, plain_text
from libgomd.errors import ConfigError
from libgomd.keys import parse_key, read_key_file
from libgomd.model import Role
from libgomd.tokens import hash_token, read_tokens

SECRET = bytes(range(32))
#: The same text as each editor leaves it.
READ_RIGHT = {
    "plain": lambda text: text.encode(),
    "with a byte order mark": lambda text: text.encode("utf-8-sig"),
    "with CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "of an old Mac": lambda text: text.replace("\n", "\r").encode(),
    "with both": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "with blanks behind the lines": lambda text: text.replace("\n", " \t\n").encode(),
    "with empty lines": lambda text: f"\n{text}\n\n \n".encode(),
    "without the last line end": lambda text: text.rstrip("\n").encode(),
}
REFUSED = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
}
TOKENS = f"ann admin {hash_token('x', bytes(16))}\n# a comment\nbob read {hash_token('y', bytes(16))}\n"
PUBLIC = Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes(
    Encoding.OpenSSH, PublicFormat.OpenSSH
)  # fmt: skip


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("how", READ_RIGHT)
def test_every_file_is_read_right(how: str, tmp_path: Path) -> None:
    """Key, tokens, map, gomd.ini and authorized_keys: none minds how its text was saved."""
    save = READ_RIGHT[how]
    assert read_key_file(written(tmp_path / "key", save(base64.b64encode(SECRET).decode() + "\n"))) == SECRET
    found = read_tokens(written(tmp_path / "tokens", save(TOKENS)))
    assert found.mistakes == ()
    assert [token[:2] for token in found.tokens] == [("ann", Role.ADMIN), ("bob", Role.READ)]
    nodes = parse_map(plain_text(save("1 10.0.0.1 2\n# more\n7 10.0.0.9 1\n")), "m", str)
    assert list(nodes.addresses) == [1, 2, 7]
    ini = read_file(written(tmp_path / "ini", save("[node]\nid = 3\n# x\n[peers]\nport = 5\n")))
    assert ini.mistakes == []
    assert ini.values["node"]["id"].strip() == "3"
    assert ini.values["peers"]["port"].strip() == "5"
    keys = read_authorized_keys(written(tmp_path / "keys", save(f"# me\n{PUBLIC.decode()} me@here\n")))
    assert [key.public().toString("openssh").split()[1] for key in keys] == [PUBLIC.split()[1]]


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(how: str, tmp_path: Path) -> None:
    """The sentence says what the file is and what to do, for each of them."""
    save = REFUSED[how]
    said = []
    for read, text in (
        (read_key_file, base64.b64encode(SECRET).decode() + "\n"),
        (read_tokens, TOKENS),
        (read_authorized_keys, f"{PUBLIC.decode()}\n"),
    ):
        with pytest.raises(ConfigError) as raised:
            read(written(tmp_path / "file", save(text)))
        said.append(str(raised.value))
    [(line, mistake)] = read_file(written(tmp_path / "ini", save("[node]\nid = 3\n"))).mistakes
    assert line == 0
    with pytest.raises(ValueError, match="UTF-8") as refused:
        plain_text(save("1 10.0.0.1 2\n"))
    for sentence in (*said, mistake, str(refused.value)):
        assert how[:6] in sentence
        assert "save it as UTF-8" in sentence


def test_another_encoding_is_told_with_its_line() -> None:
    """Latin-1 in a map's comment, for example."""
    with pytest.raises(ValueError, match=r"line 2 is not UTF-8 \(byte 0xfc\): save the file as UTF-8"):
        plain_text(b"1 10.0.0.1 1\r\n# k\xfchl\r\n")


def test_a_map_in_memory_may_have_the_mark_too() -> None:
    """As a program that read the file itself gives it."""
    assert list(parse_map("\ufeff1 10.0.0.1 1\r\n", "m", str).addresses) == [1]


@given(st.binary())
def test_any_bytes_are_text_or_one_sentence(data: bytes) -> None:
    """Nothing else comes of any file."""
    try:
        found = plain_text(data)
    except ValueError as error:
        said = str(error)
    else:
        said = "UTF-8"
        assert found.encode() == plain_bytes(data)
        assert "\r" not in found
    assert "UTF-8" in said


def test_a_key_that_is_none_keeps_its_sentence() -> None:
    """What is in the file is never told."""
    with pytest.raises(ConfigError, match="not base64"):
        parse_key(b"\xef\xbb\xbfn@t-base64")
