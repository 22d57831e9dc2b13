"""The client in C (clients/c): built, checked, installed; it asks a real daemon."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd import blocking
from libgomd.keys import new_key_file
from libgomd.version import VERSION
from tests.integration.c_client import CLIENT, NEEDED, ROOT, built, calls, run
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port

PAGE = ROOT / "docs" / "library-c.md"

pytestmark = NEEDED


@pytest.fixture(scope="module")
def build(compiled: Path) -> Path:
    """The folder in which everything is built."""
    return built(compiled)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with the same processes each time."""
    with Daemon(
        tmp_path_factory.mktemp("gomd"), "--source", "memory", "--telnet", "tcp:127.0.0.1:0,unix:"
    ) as running:
        with blocking.connect(running.unix) as client:
            while client.node().age is None:
                time.sleep(0.02)
        yield running


def test_the_vectors_hold(build: Path) -> None:
    """`make check` passes: the vectors of the line protocol, strict JSON, and damaged answers."""
    assert re.search(
        r"10 vectors; \d+ checks held, 0 failed",
        run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "CFLAGS=-O1 -g", "check"),
    )


def test_it_is_installed_as_other_libraries(build: Path, tmp_path: Path) -> None:
    """`make install` below DESTDIR: header, page, library with its soname and nothing but its own names."""
    run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "install", "PREFIX=/usr", f"DESTDIR={tmp_path}")
    usr = tmp_path / "usr"
    assert (usr / "include" / "gomd.h").is_file()
    assert (usr / "share" / "man" / "man3" / "gomd.3").is_file()
    assert (usr / "lib" / "libgomd.so").resolve().name == f"libgomd.so.{VERSION}"
    assert "libdir=/usr/lib\n" in (usr / "lib" / "pkgconfig" / "gomd.pc").read_text()
    library = str(usr / "lib" / "libgomd.so")
    assert "SONAME               libgomd.so.0\n" in run("objdump", "-p", library)
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    exported = {name.partition("@")[0] for name in exported}
    assert {name for name in exported if not name.startswith("gomd_")} == {"GOMD_0"}
    declared = set(
        re.findall(r"\b(gomd_\w+)\(", re.sub(r"/\*.*?\*/", "", (CLIENT / "gomd.h").read_text(), flags=re.S))
    )
    assert exported - {"GOMD_0"} == declared - {"gomd_callback_t"}  # a type


def test_a_prefix_with_spaces(build: Path, tmp_path: Path) -> None:
    """Each flag of pkg-config is one word for the shell, whatever is in the prefix."""
    prefix = tmp_path / "a prefix & more"
    run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "install", f"PREFIX={prefix}")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "gomd"], capture_output=True, text=True, check=True,
        env={**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")},
    )  # fmt: skip
    assert shlex.split(flags.stdout) == [f"-I{prefix}/include", f"-L{prefix}/lib", "-lgomd"]
    run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "uninstall", f"PREFIX={prefix}")
    assert not [path for path in prefix.rglob("*") if not path.is_dir()]


def test_the_example_prints_the_nodes(build: Path, daemon: Daemon) -> None:
    """demo/nodes.c, as README.md shows it, asks the daemon that $GOMD_ENDPOINT names."""
    output = run(str(build / "nodes"), GOMD_ENDPOINT=daemon.unix)
    assert re.match(r"node \d+ \S+ is up", output)
    assert len(re.findall(r"^process \d+ of \w+: \S.*$", output, re.MULTILINE)) == 3


def test_the_ten_lines_of_the_page_run(build: Path, daemon: Daemon, tmp_path: Path) -> None:
    """The first program in docs/library-c.md compiles without a warning and prints processes."""
    program, _other = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "ten.c").write_text(program)
    run(
        "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{CLIENT}", str(tmp_path / "ten.c"),
        "-o", str(tmp_path / "ten"), f"-L{build}", "-lgomd", f"-Wl,-rpath,{build}",
    )  # fmt: skip
    assert "/sbin/init\n" in run(str(tmp_path / "ten"), GOMD_ENDPOINT=daemon.unix)


def test_every_verb_that_reads(build: Path, daemon: Daemon) -> None:
    """Each call gives what the Python library gives for the same verb."""
    with blocking.connect(daemon.unix) as client:
        node = client.node()
        processes = client.ps()
    said = calls(
        build, daemon.unix, "nodes", "node", f"node {node.id}", "ps", "top", "top all", "pids 1201", "jobs",
        "map", "ls /proc/hpc", "whoami", "status", "version", "speed", "util", f"cpus {node.id}", "mem",
        "all mem",
        "events", "stats", "ask help", f"get /proc/hpc/nodes/{node.id}/cpus", f"where {node.id} 1201", "load",
    )  # fmt: skip
    row = f"[{node.id} {node.name} up=1 tmem={node.tmem}]"
    assert said[:19] == [
        "connect 0",
        f"nodes 1 rows {row} = 0",
        f"node 1 rows {row} = 0",
        f"node 1 rows {row} = 0",
        f"ps {len(processes)} rows "
        + " ".join(f"[{process.pid} {process.user} {process.command}]" for process in processes[:5])
        + " = 0",
        said[5],
        said[5].replace(" [", f" from {node.id} ["),
        "pids 1 rows [1201 ada ./simulate --grid 512] = 0",
        "jobs 0 rows = 0",
        f"map 1 rows [{node.id} 127.0.0.1 1] = 0",
        "ls 3 rows [admin] [nodes] [remote] = 0",
        said[11],
        f"status 1 rows [{node.status} up] = 0",
        said[13],
        f"speed {node.speed} = 0",
        f"util {node.util} = 0",
        f"cpus {node.cpus} = 0",
        f"mem {node.tmem} = 0",
        f"all 1 rows from {node.id} [{node.tmem}] = 0",
    ]
    assert re.fullmatch(r"top 2 rows( \[\d+ - [^]]+\]){2} = 0", said[5])
    assert re.fullmatch(rf"whoami 1 rows \[\w+ \S+ {os.getuid()} unix\] = 0", said[11])
    assert re.fullmatch(r"version 1 rows \[\S+ \d+\] = 0", said[13])
    assert said[19].startswith(f"events 1 rows [join {node.id}]")
    assert re.match(r"stats \d{2,} rows \[load_reads=\d+\]", said[20])
    assert re.fullmatch(r"ask 201 (\d+) verbs, \1 lines = 0", said[21])
    assert said[22] == f"get 1 rows [/proc/hpc/nodes/{node.id}/cpus {node.cpus}] = 0"
    assert said[23] == f"where = {node.id}"
    assert re.fullmatch(r"load \d+ = 0", said[24])


def test_refusals_are_codes_with_the_daemons_sentence(build: Path, daemon: Daemon) -> None:
    """After a refusal the handle works on; odd words arrive as they are."""
    said = calls(
        build, daemon.tcp, "load nosuch", "jobs", "auth wrong", "ask nosuch", "word a'b \"c\\ \t", "word ",
        "word a\nload",
        "where 0 1", "where 1 4000000", "watch nosuch", "ask watch load", "none", "util",
    )  # fmt: skip
    assert said[1].startswith("load = -404 there is no node nosuch")
    assert said[2].startswith("jobs = -403 ")
    assert said[3].startswith("auth = -403 ")
    assert said[4].startswith("ask 400 there is no verb nosuch")
    assert "word = -404 there is no node a'b \"c\\ " in said[5]
    assert re.match(r"word = -40[04] ", said[6])
    assert said[7].startswith("word = -1 ")  # and nothing of it was sent
    assert said[-6] == "where = -1 the id of a node is 1 to 65535"
    assert said[-5].startswith("where = -404 ")
    assert said[-4].startswith("watch = -400 ")
    assert said[-3].startswith("ask = -1 ")
    assert said[-2].startswith("none 0 - 0 - = -1 ")
    assert re.fullmatch(r"util \d+ = 0", said[-1])


def test_watches(build: Path, daemon: Daemon) -> None:
    """By callback and by descriptor, three rounds each, on a handle that answers questions afterwards."""
    said = calls(
        build, daemon.unix, "watch load", "watch ps --top 1", "watch mem", "watch nodes", "fd", "cpus"
    )
    assert said[1:5] == ["watch 1:1 2:1 3:1 = 0"] * 4
    assert said[5] == "fd asked -1 3 rounds = 0"
    assert said[6].startswith("cpus ")


def test_the_first_plans_call_and_a_fork(build: Path, daemon: Daemon) -> None:
    """gomd_getCurNode asks from two threads; a child cannot spoil the answers of its parent."""
    with blocking.connect(daemon.unix) as client:
        node = client.node().id
    said = calls(build, daemon.unix, f"cur {node} 1201", "fork", GOMD_ENDPOINT=daemon.unix)
    assert said[1] == f"cur thread {node} = {node}"
    assert said[2].startswith("fork child 7 ")


def test_where_by_a_sealed_question(build: Path, tmp_path: Path) -> None:
    """With the key the home itself is asked; with another one, or a deaf node, three times in vain."""
    asked = ["pkg-config", "--exists", "libsodium"]
    if not shutil.which("pkg-config") or subprocess.run(asked, check=False).returncode:
        pytest.skip("sealed questions need libsodium-dev and pkg-config")
    port = free_port()
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--set", f"peers.port={port}") as home:
        key, other = str(home.state / "key"), str(tmp_path / "other")
        new_key_file(other)
        open_to_all = tmp_path / "open"
        open_to_all.write_text(Path(key).read_text())
        open_to_all.chmod(0o644)
        pid, address = home.process.pid, f"address 1 127.0.0.1:{port}"
        said = calls(
            build, home.unix, f"key {key}", address, f"where 1 {pid}", "where 1 999999999", f"key {other}",
            f"where 1 {pid}", f"key {open_to_all}", "key /nowhere", "key /etc/passwd", "address 1 nowhere",
            f"key {key}", f"poll 1 {pid}", "poll 1 999999999",
        )  # fmt: skip
        assert said.pop().startswith("poll fd -1 due -1 = -404 ")
        assert (said.pop(), said.pop()) == ("poll fd -1 due -1 = 1", "key = 0")
        assert said[1:4] == ["key = 0", "address = 0", "where = 1"]
        assert said[4].startswith("where = -404 ")
        assert said[6].startswith(f"where = -4 no answer from 127.0.0.1:{port} after 3 tries")
        for line, why in zip(said[7:], ("chmod 600", "No such file", "passwd: ", "HOST"), strict=True):
            assert re.match(r"\w+ = -1 ", line)
            assert why in line
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.settimeout(10)
            there = f"address 1 127.0.0.1:{deaf.getsockname()[1]}"
            assert calls(build, home.unix, f"key {key}", there, "where 1 5")[3].startswith("where = -4 ")
            packets = {deaf.recv(2000) for _ in range(3)}
        assert len(packets) == 3  # each try has a seal of its own
        assert {len(packet) for packet in packets} <= {256, 257}


def test_a_sealed_question_over_ipv6(build: Path, tmp_path: Path) -> None:
    """An address of IPv6 has brackets when its port follows; one without an answer is shown so."""
    port = free_port()
    options = ("--node-id", "1", "--peers", f"[::1]:{port}")
    with Daemon(tmp_path / "gomd", *options) as home:
        key, pid = f"key {home.state / 'key'}", home.process.pid
        said = calls(
            build,
            home.unix,
            key,
            f"address 1 [::1]:{port}",
            f"where 1 {pid}",
            "address 1 [::1]5",
            "address 1 ::1",
        )
        if said[1] != "key = 0":
            pytest.skip("this library was built without libsodium")
        assert said[2:4] == ["address = 0", "where = 1"]
        assert said[4].startswith("address = -1 ")
        assert said[5] == "address = 0"
        dead = calls(build, home.unix, key, f"address 1 [::1]:{free_port()}", f"where 1 {pid}")[3]
        assert dead.startswith("where = -4 no answer from [::1]:")


@pytest.mark.parametrize(
    "endpoint",
    [
        "here",
        "unix:",
        "unix:/nowhere/gomd.sock",
        "tcp:127.0.0.1",
        "tcp:::1:5",
        "tcp:a:70000",
        "http://x",
        "unix:" + "x" * 200,
    ],
)
def test_a_wrong_endpoint_is_one_sentence(build: Path, endpoint: str) -> None:
    """Nothing is connected to; the sentence says what an endpoint is."""
    [said] = calls(build, endpoint, "load")
    assert re.match(r"connect -[12] .{20,}", said)
