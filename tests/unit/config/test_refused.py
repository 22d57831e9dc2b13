"""Settings that cannot work anywhere are refused when they are read, whatever they would have done later."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.config import Environment, load
from libgomd.errors import ConfigError

AROUND = Environment(cwd="/srv", uid=0, environ={}, hostname="alpha")
#: What is set, and a word of the sentence that refuses it.
REFUSED = [
    ("peers.seeds=[::]:5428", "single nodes"),
    ("peers.seeds=[ff15::1]:5428", "single nodes"),
    ("peers.seeds=[fe80::1]:5428", "[fe80::1%eth0]:5428"),
    ("peers.seeds=[fd00::1%eth0]:5428", "HOST:PORT"),
    ("peers.seeds=[fe80::1%no/such]:5428", "HOST:PORT"),
    ("peers.seeds=fd00::1", "HOST:PORT"),
    ("peers.seeds=239.192.0.1:5429", "single nodes"),
    ("peers.seeds=255.255.255.255:5428", "single nodes"),
    ("peers.seeds=0.0.0.0:5428", "single nodes"),
    ("peers.seeds=localhost:0", "HOST:PORT"),
    ("peers.seeds=localhost:65536", "HOST:PORT"),
    ("peers.seeds=localhost", "HOST:PORT"),
    ("peers.seeds=a..b:5428", "HOST:PORT"),
    ("peers.seeds=-a.example:5428", "HOST:PORT"),
    ("peers.seeds=10.0.0:5428", "HOST:PORT"),
    ("peers.seeds=localhost:5428,10.0.0.256:5428", "10.0.0.256"),
    ("peers.seeds=localhost:65534 peers.engine=swim", "65535"),
    ("peers.engine=swim peers.port=65535", "65535"),
    ("peers.engine=swim peers.address=fe80::1%eth0 peers.key_file=/k", "link-local"),
    ("peers.engine=serf peers.address=fe80::1%eth0 peers.key_file=/k", "engine serf cannot use"),
    ("peers.address=240.0.0.1", "address of this node"),
    ("peers.address=0.1.2.3", "address of this node"),
    ("peers.address=localhost", "address of this node"),
    ("peers.address=fe80::1", "fe80::1%eth0"),
    ("peers.address=fd00::1%eth0", "address of this node"),
    ("peers.address=::ffff:10.0.0.1", "address of this node"),
    ("peers.address=ff15::1", "address of this node"),
    ("peers.address=", "address of this node"),
    ("peers.address=10.0.0.1,10.0.0.2", "second one"),
    ("peers.address=fd00::1,fd00::2", "second one"),
    ("peers.address=10.0.0.1,fd00::1,10.0.0.2", "second one"),
    ("peers.address=10.0.0.1,::1", "not one of each"),
    ("peers.address=10.0.0.1,fd00::1", "10.0.0.1 and fd00::1 are open"),
    ("peers.address=:: peers.key_file=/k peers.port=5429", "another port"),
    ("peers.multicast=[ff02::1]:5429", "multicast address"),
    ("peers.multicast=[fd00::1]:5429", "multicast address"),
    ("peers.multicast=[ff10::1]:5429", "multicast address"),
    ("peers.multicast=[ff11::1]:5429", "multicast address"),
    ("peers.multicast=[ff12::1]:5429", "multicast address"),
    ("peers.multicast=239.1.1.1:1,239.1.1.2:1", "second one"),
    ("peers.seeds=localhost:65533 peers.engine=serf", "65535"),
    ("peers.engine=serf peers.port=65534", "65535"),
    ("peers.engine=heartbeat,map peers.map_file=m", "cannot run beside each other"),
    ("peers.engine=heartbeat,heartbeat", "heartbeat, map, swim or serf"),
    ("peers.engine=,", "heartbeat, map, swim or serf"),
    ("peers.engine=gossip", "heartbeat, map, swim or serf"),
    ("peers.serf_rpc=7373", "HOST:PORT"),
    ("peers.serf_rpc=[fe80::1]:7373", "such as [fe80::1%eth0]:7373"),
    ("peers.serf_rpc=224.0.0.1:7373", "address of one machine"),
    ("http.endpoint=tcp:[fe80::1]:2980", "such as tcp:[fe80::1%eth0]:2980"),
    ("http.endpoint=tcp:[ff15::1]:2980", "address of one machine"),
    ("telnet.endpoints=tcp:255.255.255.255:1", "address of one machine"),
    ("ganglia.endpoint=tcp:224.0.0.1:1", "address of one machine"),
    ("manhole.endpoint=tcp:1:interface=fe80::1", "such as tcp:[fe80::1%eth0]:1"),
    ("peers.serf_rpc=127.0.0.1:0", "HOST:PORT"),
    ("peers.serf_auth_file=auth", "serf_rpc"),
    ("peers.multicast=239.1.1.1:0", "multicast address"),
    ("peers.multicast=10.0.0.1:5429", "multicast address"),
    ("peers.heartbeat=nan", "number"),
    ("peers.heartbeat=inf", "number"),
    ("peers.heartbeat=1e1", "number"),
    ("peers.forget=-1", "number"),
    ("peers.max_nodes=1", "whole number"),
    ("peers.admin_from_peers=perhaps", "yes or no"),
    ("telnet.endpoints=tcp:127.0.0.1:5999 peers.port=5999", "already [peers] port"),
    ("telnet.endpoints=tcp:0.0.0.0:5999 http.endpoint=tcp:127.0.0.1:5999", "already"),
    ("telnet.idle_timeout=NaN", "number"),
    ("telnet.max_connections=0", "whole number"),
    ("node.id=65536", "65535"),
    ("node.name=a.b.c:d", "letters"),
    ("node.name=" + "n" * 64, "63"),
    ("node.name=17", "digits"),
    ("node.state_dir=" + "s" * 200, "107 bytes"),
    ("node.command_timeout=inf", "number"),
    ("history.rotate_bytes=1", "whole number"),
    ("history.kind=postgresql", "needs [history] database"),
    ("history.kind=postgresql,none", "none alone"),
    ("history.database=gomd", "must be words"),
    ("history.database=postgresql://db:99999/gomd", "must be postgresql://"),
    ("history.database=mysql://db/gomd", "must be postgresql://"),
    ("history.database=application_name=x", "there are host"),
]
#: Settings with a password in them, each in another way.
WITH_PASSWORD = [
    "history.database=dbname=gomd password=hunter2",
    "history.database=dbname=gomd password='hunter2'",
    "history.database=dbname=gomd PASSWORD=hunter2",
    "history.database=postgresql://gomd:hunter2@db/gomd",
    "history.database=postgresql://gomd@db/gomd?password=hunter2",
    "history.database=postgresql://gomd@db/gomd?sslpassword=hunter2",
    "history.database=postgresql://gomd:hunter2",
    "history.database=mysql://gomd:hunter2@db/gomd",
    "history.database=dbname='password=hunter2'",
    "history.database=dbname=postgresql://gomd:hunter2@db/gomd",
    "history.database=passfile=/srv/hunter2",
    "history.database=service=hunter2",
    "history.database=dbname=gomd hunter2",
    "history.password=hunter2",
    "history.pasword=hunter2",
    "log.password=hunter2",
    "history.databse=postgresql://gomd:hunter2@db/gomd",
    "databases.password=hunter2",
]


@pytest.mark.parametrize(("setting", "word"), REFUSED, ids=[each[0][:60] for each in REFUSED])
def test_it_is_refused_in_a_sentence(setting: str, word: str) -> None:
    """One that names the setting, what was found and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        load(None, setting.split(" "), AROUND)
    told = caught.value.mistakes
    assert any(word in each for each in told), told
    assert all("\n" not in each for each in told)


@pytest.mark.parametrize("setting", WITH_PASSWORD)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_password_is_refused_and_not_repeated(setting: str, in_file: bool, tmp_path: Path) -> None:
    """Not in gomd.ini and not on the command line; the refusal, which may be logged, does not show it."""
    name, _equals, value = setting.partition("=")
    section, _dot, key = name.partition(".")
    file = tmp_path / "gomd.ini"
    file.write_text(f"[{section}]\n{key} = {value}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file) if in_file else None, () if in_file else [setting], AROUND)
    told = "\n".join(caught.value.mistakes)
    assert key in told or section in told
    assert "hunter2" not in told


def test_the_database_of_the_history() -> None:
    """Both forms are taken; what is not said is libpq's to choose."""
    for text in (
        "dbname=gomd host='/var/run my' user=gomd",
        "postgresql://gomd@db.example:5433/gomd?sslmode=require",
    ):
        config = load(None, [f"history.database={text}", "history.kind=sqlite,postgresql,flat"], AROUND)
        assert config.history.database == text
        assert config.history.kind == ("sqlite", "postgresql", "flat")


@pytest.mark.parametrize(
    ("setting", "hosts"),
    [
        ("peers.seeds=localhost:5428", ["localhost"]),
        ("peers.seeds=10.0.0.1:1,beta.example.:65535,x-1:2", ["10.0.0.1", "beta.example.", "x-1"]),
        ("peers.seeds=127.0.0.1:5428", ["127.0.0.1"]),
        ("peers.seeds=[FD00:0::1]:5428,[fe80::1%eth0]:1", ["fd00::1", "fe80::1%eth0"]),
        ("peers.seeds=[::1]:5428,[::ffff:10.0.0.1]:1", ["::1", "10.0.0.1"]),
    ],
)
def test_seeds_that_may_be_there_one_day(setting: str, hosts: list[str]) -> None:
    """Names are not looked up when gomd.ini is read."""
    assert [seed.host for seed in load(None, [setting], AROUND).peers.seeds] == hosts


@pytest.mark.parametrize(
    ("setting", "addresses"),
    [
        ("::1", ("::1",)),
        ("FD00:0::1, 10.0.0.1", ("10.0.0.1", "fd00::1")),
        ("[fe80::1%eth0]", ("fe80::1%eth0",)),
        ("::,0.0.0.0", ("0.0.0.0", "::")),
    ],
)
def test_addresses_of_a_node(setting: str, addresses: tuple[str, ...]) -> None:
    """A node has one address of each family at most; that of IPv4 comes first, whatever the order."""
    peers = load(None, [f"peers.address={setting}", "peers.key_file=/k"], AROUND).peers
    assert peers.addresses == addresses
    assert peers.address == addresses[0]


def test_the_group_of_the_other_family_has_the_same_port() -> None:
    """Where one group is set, for a cluster of its own, that of the other family is there too."""

    def groups(setting: str) -> tuple[str, ...]:
        return tuple(map(str, load(None, [f"peers.multicast={setting}"], AROUND).peers.groups))

    assert groups("239.1.1.1:77") == ("tcp:239.1.1.1:77", "tcp:[ff15::676f:6d64]:77")
    assert groups("[ff15::1]:78") == ("tcp:239.192.0.1:78", "tcp:[ff15::1]:78")
    assert groups("[ff15::1]:78, 239.1.1.1:77") == ("tcp:239.1.1.1:77", "tcp:[ff15::1]:78")
