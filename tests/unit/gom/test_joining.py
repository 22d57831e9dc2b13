"""How a new node gets the key: both ends of the exchange, without sockets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import configobj
import pytest

from gom.init_file import NewNode, text_of
from gom.init_options import parse as parse_init
from gom.invite import InviteOptions, _introduction, parse, port_beside
from gom.join.agreed import checked, is_there, still_needed, unknown
from gom.join.protocol import (
    Exchange,
    Introduction,
    WrongCode,
    digits_of,
    line_of,
    message_of,
    new_code,
    text_in,
)
from gomd.cluster.swim.setup import PORT_OFFSET
from libgomd.errors import ConfigError, MalformedReply, MalformedRequest, NotAllowed
from libgomd.keys import new_key_file

GIVEN = Introduction(bytes(range(32)), ("10.0.0.1:5428",), True)


def met(
    code: bytes = b"12345678", other: bytes = b"12345678", hello: bytes = b"hello", heard: bytes | None = None
) -> tuple[Exchange, Exchange]:
    """Return both ends behind their messages of SPAKE2. :param heard: what arrives of ``hello``."""
    joiner, inviter = Exchange(code, is_joiner=True), Exchange(other, is_joiner=False)
    joiner.say(hello)
    inviter.say(hello if heard is None else heard)
    for end in (joiner, inviter):
        end.say(b"answer")
    joiner.meet(inviter.first)
    inviter.meet(joiner.first)
    return joiner, inviter


def test_both_ends_of_one_code_have_one_key() -> None:
    """Each proves to the other that it has it, and the introduction arrives."""
    joiner, inviter = met()
    inviter.check(joiner.confirmation(of_joiner=True), of_joiner=True)
    joiner.check(inviter.confirmation(of_joiner=False), of_joiner=False)
    assert joiner.open(inviter.seal(GIVEN)) == GIVEN
    assert joiner.done == inviter.done


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (met(other=b"12345679")),
        (met(heard=b"hello from somebody else")),
    ],
    ids=["another code", "names or addresses changed on the way"],
)
def test_other_ends_have_other_keys(one: Exchange, other: Exchange) -> None:
    """Neither is believed, and nothing that one seals can be opened by the other."""
    with pytest.raises(WrongCode):
        other.check(one.confirmation(of_joiner=True), of_joiner=True)
    with pytest.raises(WrongCode):
        one.check(other.confirmation(of_joiner=False), of_joiner=False)
    with pytest.raises(MalformedReply):
        one.open(other.seal(GIVEN))


def test_a_proof_cannot_be_sent_back() -> None:
    """What one end says does not prove that the other end knows it."""
    joiner, inviter = met()
    with pytest.raises(WrongCode):
        joiner.check(joiner.confirmation(of_joiner=True), of_joiner=False)
    with pytest.raises(MalformedReply):
        Exchange(b"12345678", is_joiner=True).meet(Exchange(b"12345678", is_joiner=True).first)
    with pytest.raises(MalformedReply):
        inviter.open(inviter.seal(GIVEN)[:-1])


@pytest.mark.parametrize("message", [b"", b"\0", bytes(33), b"B" + bytes(32), b"B" + b"\xff" * 32, b"S" * 33])
def test_what_is_no_message_of_spake2_is_refused(message: bytes) -> None:
    """Points of small order among them."""
    with pytest.raises(MalformedReply):
        Exchange(b"12345678", is_joiner=True).meet(message)


def test_codes() -> None:
    """Eight digits at random; however they are typed, they are the same."""
    codes = {new_code() for _ in range(50)}
    assert len(codes) > 45
    assert all(re.fullmatch(r"\d{4}-\d{4}", code) for code in codes)
    assert digits_of(" 1234 5678\n") == digits_of("1234-5678") == b"12345678"
    for wrong in ("", "1234", "1234-567x", "123456789", "\u0661" * 8):
        with pytest.raises(NotAllowed):
            digits_of(wrong)


def test_messages() -> None:
    """A line holds an object; the other end's error is raised as its sentence, without control characters."""
    assert message_of(line_of({"a": 1})) == {"a": 1}
    for wrong in (b"", b"[1]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(MalformedReply):
            message_of(wrong)
    with pytest.raises(NotAllowed, match=r"no\\x1b"):
        message_of(json.dumps({"error": "no\x1b"}).encode())
    for message in ({}, {"name": 1}, {"name": "a\n"}, {"name": "x" * 400}):
        with pytest.raises(MalformedReply):
            text_in(message, "name")


def test_options() -> None:
    """What `gom invite` and `gom init --join` take; the code is never among it."""
    assert parse([]) == InviteOptions()
    assert parse(["--port", "7000", "--minutes=5", "--yes"]) == InviteOptions(7000, "", 5, False)
    for words in ("--port 0", "--minutes 61", "1234-5678", "--code 1", "--address 8.8.8.8"):
        with pytest.raises(MalformedRequest):
            parse(words.split())
    assert parse_init(["--join", "alpha"]).join == ("alpha", 5430)
    assert parse_init(["--join=10.0.0.1:7000"]).join == ("10.0.0.1", 7000)
    for words in ("--join a_b", "--join a:0", "--join a --key k", "--join a --multicast"):
        with pytest.raises(MalformedRequest):
            parse_init(words.split())


def test_seeds_that_a_new_node_would_refuse() -> None:
    """They are found before a code is shown, not after the key was given."""
    told = {"engine": "swim", "address": "10.0.0.1", "port": 5428, "key_file": "/none", "seeds": ["a_b:5428"]}
    with pytest.raises(MalformedRequest, match="a_b:5428"):
        _introduction(told, InviteOptions())


TOLD = {
    "node.sspeed": "12000", "peers.engine": "heartbeat, serf", "peers.heartbeat": "0.5", "peers.port": "6000",
    "peers.max_nodes": "9000", "peers.multicast": "239.192.0.7:5429, [ff15::7]:5429",
}  # fmt: skip


def test_nobody_is_invited_while_the_key_is_changed(tmp_path: Path) -> None:
    """A new node gets one key. It would be shut out when the others seal with the next one."""
    new_key_file(str(tmp_path / "key"))
    told = {
        "engine": "heartbeat", "address": "10.0.0.1", "port": 5428, "key_file": str(tmp_path / "key"),
        "seeds": [], "multicast": True,
    }  # fmt: skip
    for keys in ({"keys": 1}, {}):  # an older daemon does not say it
        assert _introduction({**told, **keys}, InviteOptions())
    with pytest.raises(ConfigError, match="is being changed"):
        _introduction({**told, "keys": 2}, InviteOptions())


def test_what_all_nodes_have_alike_travels_with_the_key() -> None:
    """And it is what the daemon reads from the gomd.ini that comes of it."""
    joiner, inviter = met()
    found = joiner.open(inviter.seal(GIVEN._replace(agreed=checked(TOLD))))
    assert (dict(found.agreed), found.unknown) == (TOLD, ())
    spec = configobj.ConfigObj(
        text_of(NewNode("a", "127.0.0.1", "/k", ("b:1",), agreed=found.agreed)).splitlines(),
        interpolation=False,
        list_values=False,
    )
    assert {f"{section}.{name}" for section in spec for name in spec[section]} >= set(TOLD)
    assert all(spec[name.split(".")[0]][name.split(".")[1]] == value for name, value in TOLD.items())


def test_nothing_else_gets_into_gomd_ini() -> None:
    """Neither another setting, nor lines or comments in a value; names that are unknown here are told."""
    bad = {
        "commands.x": "reboot", "jobs.criu": "/tmp/x", "peers.key_file": "/tmp/k",
        "peers.port": "1\n[commands]",
        "peers.engine": "map", "peers.heartbeat": "1 # x", "peers.max_nodes": 7, "node.sspeed": "",
        "\x1b[2J": "1",
    }  # fmt: skip
    wrong: tuple[object, ...] = (bad, None, [], "peers.port", {"peers.serf_rpc": "a b"})
    for told in wrong:
        assert checked(told) == ()
    assert set(unknown(bad)) == {name for name in bad if name.isprintable()}
    joiner, inviter = met()
    older = inviter.seal(GIVEN)
    assert joiner.open(older).agreed == ()


def test_the_engine_says_what_is_still_needed() -> None:
    """With the command of this installation; an agent of the cluster's own is its administrator's."""

    def needed(**agreed: str) -> list[str]:
        return list(
            still_needed({f"peers.{name}": value for name, value in agreed.items()}, lambda _name: False)
        )

    assert needed() == needed(heartbeat="2") == []
    [swim] = needed(engine="swim")
    assert "kinship" in swim
    [msgpack, program] = needed(engine="heartbeat, serf")
    assert "msgpack" in msgpack
    assert "apt install serf" in program
    [_msgpack, agent] = needed(engine="serf", serf_rpc="127.0.0.1:7373")
    assert "127.0.0.1:7373" in agent
    assert list(still_needed({"peers.engine": "serf, swim"}, lambda _name: True)) == []
    assert is_there("json")
    assert is_there("/bin/sh")
    assert not is_there("no_such_package")
    assert not is_there("/no/such/program")


@pytest.mark.parametrize(
    ("engine", "agreed", "seeds"),
    [
        ("heartbeat", {}, ()),  # multicast finds the others
        ("serf", {"peers.engine": "serf"}, ("10.0.0.1:5428",)),  # an engine that needs a seed
        ("heartbeat", {"peers.multicast": "239.192.0.7:5429"}, ("10.0.0.1:5428",)),
    ],
)
def test_a_new_node_is_told_a_seed_where_it_needs_one(
    tmp_path: Path, engine: str, agreed: dict[str, str], seeds: tuple[str, ...]
) -> None:
    """The node that invites is one."""
    new_key_file(str(tmp_path / "key"))
    told = {
        "engine": engine, "address": "10.0.0.1", "port": 5428, "key_file": str(tmp_path / "key"), "seeds": [],
        "multicast": True, "agreed": agreed,
    }  # fmt: skip
    introduction, _addresses = _introduction(told, InviteOptions())
    assert (introduction.seeds, dict(introduction.agreed)) == (seeds, agreed)


@pytest.mark.parametrize(
    ("engine", "port", "listens"),
    [
        ("heartbeat", 5428, 5430),
        ("swim", 5428, 5427),  # swim listens at 5430
        ("heartbeat,swim", 5428, 5427),
        ("swim", 6000, 5430),
        ("serf", 5428, 5430),
    ],
)
def test_an_invitation_listens_beside_the_engine(engine: str, port: int, listens: int) -> None:
    """Never where the daemon has a socket already: at its port, and those of its engine."""
    assert port_beside({"engine": engine, "port": port}) == listens
    assert listens not in (port, port + PORT_OFFSET * ("swim" in engine))
