"""`gom init`: what it writes, what it never overwrites, and what it says."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gom.command import main
from gom.init import init, next_line
from gom.init_file import NewNode
from gom.init_options import InitOptions, address, join, parse, seeds
from gomd.config import Config, Environment, load
from gomd.tap.checking import mistakes_in_files
from libgomd.errors import ConfigError, MalformedRequest
from libgomd.keys import new_key_file, read_key_file

Captured = pytest.CaptureFixture[str]


def arguments(where: Path, *more: str) -> list[str]:
    """The command line of a node whose files are all below ``where``."""
    return [
        "init", "--yes", "--address", "127.0.0.1", "--config", str(where / "etc" / "gomd" / "gomd.ini"),
        "--state-dir", str(where / "state"), *more,
    ]  # fmt: skip


def loaded(where: Path) -> Config:
    """The configuration, as the daemon reads it, without a mistake."""
    config = load(
        str(where / "etc" / "gomd" / "gomd.ini"), [], Environment(str(where), os.geteuid(), {}, "host")
    )
    assert mistakes_in_files(config) == []
    return config


def contents(where: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path): path.read_bytes() for path in where.rglob("*") if path.is_file()}


def test_no_mode_is_given_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the directory could put a link to another file of root's in the place of the new one."""

    def by_name(path: object, *_mode: object, **_more: object) -> None:
        raise AssertionError(f"the mode of whatever is now called {path} was changed")

    monkeypatch.setattr(os, "chmod", by_name)
    old = os.umask(0o077)
    try:
        assert main(arguments(tmp_path, "--node-id", "7")) == 0
    finally:
        os.umask(old)
    where = tmp_path / "etc" / "gomd"
    assert [stat.S_IMODE((where / name).stat().st_mode) for name in ("gomd.ini", "key")] == [0o644, 0o600]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_it_writes_can_be_started(tmp_path: Path, capsys: Captured, umask: int) -> None:
    """gomd.ini for everybody to read, the key for its owner only, and every option in its place."""
    old = os.umask(umask)
    try:
        status = main(
            arguments(
                tmp_path, "--name", "alpha", "--node-id", "7", "--seeds", "10.0.0.1,b.example:99", "--page"
            )
        )
    finally:
        os.umask(old)
    assert status == 0, capsys.readouterr().err
    config = loaded(tmp_path)
    key = tmp_path / "etc" / "gomd" / "key"
    assert config.node.name == "alpha"
    assert config.node.id == 7
    assert config.node.state_dir == str(tmp_path / "state")
    assert [str(each) for each in config.peers.seeds] == ["tcp:10.0.0.1:5428", "tcp:b.example:99"]
    assert not config.peers.discovery
    assert config.peers.key_file == (str(key),)
    assert str(config.http.endpoint) == "tcp:127.0.0.1:2980"
    assert len(read_key_file(str(key))) == 32
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc" / "gomd" / "gomd.ini").stat().st_mode & 0o777 == 0o644
    assert "this machine's alone" in capsys.readouterr().out


PACKAGED = Path(__file__).parents[3] / "packaging" / "debian" / "default.ini"


def test_the_file_of_a_package_is_replaced_while_nothing_is_set_in_it(tmp_path: Path) -> None:
    """The one in packaging/debian is; with a setting, or as a link, it is somebody's, and stays."""
    home = tmp_path / "etc" / "gomd"
    home.mkdir(parents=True)
    config = home / "gomd.ini"
    config.write_bytes(PACKAGED.read_bytes() + b"[node]\nname = mine\n")
    before = contents(tmp_path)
    assert main(arguments(tmp_path)) == 1
    assert contents(tmp_path) == before
    config.rename(home / "other.ini")
    (home / "other.ini").write_bytes(PACKAGED.read_bytes())
    config.symlink_to("other.ini")
    assert main(arguments(tmp_path)) == 1
    config.unlink()
    config.write_bytes(PACKAGED.read_bytes())
    assert main(arguments(tmp_path, "--name", "alpha")) == 0
    assert loaded(tmp_path).node.name == "alpha"
    assert config.stat().st_mode & 0o777 == 0o644
    assert main(arguments(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"# mine\n", b"[node]\n"])
def test_no_other_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    """Empty ones and comments of somebody's neither."""
    (tmp_path / "etc" / "gomd").mkdir(parents=True)
    (tmp_path / "etc" / "gomd" / "gomd.ini").write_bytes(content)
    before = contents(tmp_path)
    assert main(arguments(tmp_path)) == 1
    assert contents(tmp_path) == before


def test_the_defaults_are_multicast_a_new_key_and_no_page(tmp_path: Path) -> None:
    """And two new clusters have two keys."""
    for name in ("one", "two"):
        assert main(arguments(tmp_path / name)) == 0
    config = loaded(tmp_path / "one")
    assert config.peers.discovery
    assert config.peers.seeds == ()
    assert config.http.endpoint is None
    assert len({(tmp_path / name / "etc/gomd/key").read_bytes() for name in ("one", "two")}) == 2


def test_the_second_time_nothing_changes(tmp_path: Path, capsys: Captured) -> None:
    """One sentence, exit status 1, and both files as they were."""
    assert main(arguments(tmp_path)) == 0
    before = contents(tmp_path)
    capsys.readouterr()
    assert main(arguments(tmp_path, "--name", "other", "--page")) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "configured already" in said.err
    assert "never overwritten" in said.err or "ever overwritten" in said.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("left", "missing"), [("key", "gomd.ini"), ("gomd.ini", "key")])
def test_half_a_configuration_is_described(tmp_path: Path, capsys: Captured, left: str, missing: str) -> None:
    """What is there, what is missing, and what to do; nothing is written."""
    assert main(arguments(tmp_path)) == 0
    (tmp_path / "etc" / "gomd" / missing).unlink()
    before = contents(tmp_path)
    capsys.readouterr()
    assert main(arguments(tmp_path)) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert f"/{left} is there and " in error
    assert f"/{missing} is missing" in error or f"and {tmp_path}/etc/gomd/{missing} is missing" in error
    assert contents(tmp_path) == before


def test_links_and_directories_count_as_there(tmp_path: Path) -> None:
    """A dangling link where gomd.ini belongs would be written through by a careless program."""
    place = tmp_path / "etc" / "gomd"
    place.mkdir(parents=True)
    (place / "gomd.ini").symlink_to(tmp_path / "elsewhere")
    assert main(arguments(tmp_path)) == 1
    assert not (tmp_path / "elsewhere").exists()
    assert not (place / "key").exists()


def test_another_nodes_key_is_copied_or_used_where_it_is(tmp_path: Path) -> None:
    """The same secret on both; a key that lies where it belongs is not written again."""
    new_key_file(str(tmp_path / "copied"))
    assert main(arguments(tmp_path / "a", "--key", str(tmp_path / "copied"))) == 0
    place = tmp_path / "b" / "etc" / "gomd"
    place.mkdir(parents=True)
    (tmp_path / "copied").rename(place / "key")
    inode = (place / "key").stat().st_ino
    assert main(arguments(tmp_path / "b", "--key", str(place / "key"))) == 0
    assert (place / "key").stat().st_ino == inode
    secrets = {read_key_file(str(tmp_path / each / "etc/gomd/key")) for each in ("a", "b")}
    assert len(secrets) == 1


@pytest.mark.parametrize("kind", ["missing", "open", "no key"])
def test_a_bad_key_writes_nothing(tmp_path: Path, capsys: Captured, kind: str) -> None:
    """The sentence names the file."""
    key = tmp_path / "given"
    if kind == "open":
        new_key_file(str(key))
        key.chmod(0o644)
    elif kind == "no key":
        key.touch(mode=0o600)
    assert main(arguments(tmp_path, "--key", str(key))) == 1
    assert f"key file {key}" in capsys.readouterr().err
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "all"], ["--name", "12"], ["--name", "a b"], ["--address", "nowhere"],
        ["--address", "192.0.2.77"], ["--node-id", "0"], ["--node-id", "65536"], ["--node-id", "x"],
        ["--seeds", ","], ["--seeds", "a:0"], ["--seeds", "1.2.3"], ["--seeds", "239.192.0.1"],
        ["--seeds", "a", "--multicast"], ["--page", "--no-page"], ["--wrong"], ["--name"], ["--key="],
    ],
)  # fmt: skip
def test_wrong_options_are_wrong_usage(tmp_path: Path, words: list[str], capsys: Captured) -> None:
    """Exit status 2 and a sentence, nothing is written."""
    assert main(["init", "--yes", "--config", str(tmp_path / "gomd.ini"), *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_gomd_ini_cannot_hold_is_refused(tmp_path: Path) -> None:
    """With a comma the daemon would read two key files."""
    assert (
        main(["init", "--yes", "--address", "127.0.0.1", "--config", str(tmp_path / "a,b" / "gomd.ini")]) == 1
    )
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_space_is_fine(tmp_path: Path) -> None:
    """As on a memory stick of somebody's."""
    assert main(arguments(tmp_path / "with space")) == 0
    assert loaded(tmp_path / "with space").peers.key_file == (str(tmp_path / "with space/etc/gomd/key"),)


def answering(*answers: str) -> tuple[Callable[[str], str], list[str]]:
    """Somebody at a terminal who gives these answers, and the questions they were asked."""
    rest, asked = list(answers), []

    def ask(question: str) -> str:
        asked.append(question)
        return rest.pop(0)

    return ask, asked


def test_on_a_terminal_it_asks_for_what_is_not_given(tmp_path: Path, capsys: Captured) -> None:
    """A wrong answer is explained and asked for again; an empty one takes the default."""
    ask, asked = answering("all", "beta", "127.0.0.1", "", "none", "perhaps", "yes")
    options = InitOptions(config=str(tmp_path / "etc/gomd/gomd.ini"), state_dir=str(tmp_path / "state"))
    init(options, ask)
    assert len(asked) == 7
    assert "none of all, best, home" in capsys.readouterr().out
    config = loaded(tmp_path)
    assert config.node.name == "beta"
    assert not config.peers.discovery
    assert config.http.endpoint is not None


def test_what_is_given_is_not_asked_for(tmp_path: Path) -> None:
    """All options: no question."""
    ask, asked = answering()
    new_key_file(str(tmp_path / "k"))
    words = [
        "--name",
        "n",
        "--address",
        "127.0.0.1",
        "--multicast",
        "--no-page",
        "--key",
        str(tmp_path / "k"),
    ]
    init(parse([*words, "--config", str(tmp_path / "gomd.ini")]), ask)
    assert asked == []


def test_the_line_for_the_next_node_is_a_command_of_gom(tmp_path: Path) -> None:
    """It fetches the key, and its options parse; seeds name this node first."""
    node = NewNode("alpha", "10.0.0.1", "/etc/gomd/key", ("10.0.0.9:5428",), False, True)
    fetch, words = next_line(node).split(" && ")[1:]
    assert fetch == "scp -p 10.0.0.1:/etc/gomd/key /etc/gomd/key"
    options = parse(shlex.split(words)[2:])
    assert options.key == "/etc/gomd/key"
    assert options.seeds == ("10.0.0.1:5428", "10.0.0.9:5428")
    assert options.page
    assert parse(shlex.split(next_line(NewNode("a", "10.0.0.1", "/k")).split(" && ")[2])[2:]).multicast


def test_a_disk_that_refuses_gomd_ini_keeps_no_key(tmp_path: Path) -> None:
    """A name too long for a file: the key that was written before is removed again."""
    with pytest.raises(ConfigError):
        init(InitOptions(name="a", address="127.0.0.1", config=str(tmp_path / ("x" * 300)), asks=False), None)
    assert list(tmp_path.iterdir()) == []


def test_seeds() -> None:
    """A port is added, what is named twice is named once."""
    assert seeds("a, b:7,a") == ("a:5428", "b:7")
    assert seeds("none") == ()
    with pytest.raises(MalformedRequest):
        seeds("fe80::1")


def test_ipv6_seeds_and_invitations() -> None:
    """An address has brackets when its port follows, and its interface when it is link-local."""
    assert seeds("fd00::1, [fd00::2]:77, [fe80::1%eth0], 10.0.0.1") == (
        "[fd00::1]:5428", "[fd00::2]:77", "[fe80::1%eth0]:5428", "10.0.0.1:5428",
    )  # fmt: skip
    for wrong in ("[fd00::1", "fe80::1", "[::]:5428", "ff15::1", "[alpha]:5", "fd00::1::2", "fd00::1%eth0"):
        with pytest.raises(MalformedRequest):
            seeds(wrong)
    assert join("fd00::1") == ("fd00::1", 5430)
    assert join("[fd00::1]:99") == ("fd00::1", 99)
    assert join("alpha:99") == ("alpha", 99)
    for wrong in ("[fd00::1", "alpha:", ":5", "a b"):
        with pytest.raises(MalformedRequest):
            join(wrong)


def test_one_address_of_each_family(tmp_path: Path) -> None:
    """What it writes is what the daemon reads, and the line for the next node names both."""
    assert address("::1, 127.0.0.1") == "127.0.0.1, ::1"
    for wrong in ("127.0.0.1,127.0.0.2", "::1,::1%lo", "fe80::1", "2001:db8::77", "fd00::1::"):
        with pytest.raises(MalformedRequest):
            address(wrong)
    assert main(arguments(tmp_path, "--address", "127.0.0.1,::1", "--node-id", "7")) == 0
    assert loaded(tmp_path).peers.addresses == ("127.0.0.1", "::1")
    node = NewNode("a", "10.0.0.1, fd00::1", "/etc/gomd/key", ("[fd00::2]:5428",), multicast=False)
    assert "scp -p 10.0.0.1:/etc/gomd/key" in next_line(node)
    assert "--seeds '10.0.0.1:5428,[fd00::1]:5428,[fd00::2]:5428'" in next_line(node)
    assert "scp -p '[fd00::1]':/etc/gomd/key" in next_line(node._replace(address="fd00::1"))
