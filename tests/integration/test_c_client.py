"""The client in C (clients/c): built, checked, installed; it asks a real daemon and daemons that lie."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from libgomd import blocking
from libgomd.keys import new_key_file
from libgomd.version import VERSION
from tests.integration.daemon import Daemon
from tests.integration.jobs import free_port

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "c"
PAGE = ROOT / "docs" / "library-c.md"
GREETING = b"220 gomd 0.1.0 node 1 alpha\r\n"

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("gcc")), reason="the client in C needs make and gcc"
)


def run(*command: str, **variables: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(compiled: Path) -> Path:
    """The folder in which everything is built."""
    build = compiled / "build"
    run("make", "-s", "-C", str(CLIENT), f"BUILD={build}", "CFLAGS=-O1 -g", "examples", f"{build}/calls")
    return build


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


def calls(build: Path, endpoint: str, *names: str, timeout_ms: int = 20000, **variables: str) -> list[str]:
    """What comes of the calls, a line each; the first is that of connecting. A crash fails the test."""
    output = run(str(build / "calls"), endpoint, str(timeout_ms), *names, **variables)
    return output.splitlines()


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


class Liar:
    """
    Greets at a unix socket, agrees to JSON, and answers everything else with the bytes it was given.

    :param hang_up: it does so after its first answer to something else.
    """

    def __init__(self, path: Path, lie: bytes, greeting: bytes = GREETING, *, hang_up: bool = False) -> None:
        self.endpoint = f"unix:{path}"
        self.connections = 0
        self._lie, self._greeting, self._hang_up = lie, greeting, hang_up
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with suppress(OSError), connected, connected.makefile("rb") as lines:
            connected.sendall(self._greeting)
            for line in lines:
                connected.sendall(b'200 "json"\r\n' if line.startswith(b"format") else self._lie)
                if self._hang_up and not line.startswith(b"format"):
                    connected.shutdown(socket.SHUT_RDWR)
                    return

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


NODE = (
    b'{"id": 1, "name": "a", "address": "127.0.0.1", "status": 3, "up": true, "load": null, "speed": 1,'
    b' "cpus": 1, "util": 1, "mem": 1, "rmem": 1, "tmem": 1, "age": null}'
)
#: What a daemon answers to `nodes`, and the error: -3 lost, -4 timeout, -5 not this protocol.
LIES = {
    "a status of four digits": (b"2000 x\r\n", -5),
    "a status of two": (b"20 x\r\n", -5),
    "no status": (b"hello\r\n", -5),
    "NUL in the status": (b"200 a\0b\r\n", -5),
    "NUL in a row": (b'201 x\r\n{"a\0": 1}\r\n.\r\n', -5),
    "half a block": (b"201 x\r\n" + NODE + b"\r\n", -3),
    "half a status": (b"20", -3),
    "half a block, and silence": (b"201 x\r\n" + NODE + b"\r\n", -4),
    "silence": (b"", -4),
    "a line without an end": (b"201 x\r\n" + b"[" * (17 << 20), -5),
    "a line that is deep": (b"201 x\r\n" + b"[" * 100000 + b"]" * 100000 + b"\r\n.\r\n", -5),
    "no JSON": (b"201 x\r\nid name\r\n.\r\n", -5),
    "JSON with a comma too many": (b"201 x\r\n" + NODE[:-1] + b",}\r\n.\r\n", -5),
    "no row": (b"201 x\r\n[1]\r\n.\r\n", -5),
    "a text for a number": (b"201 x\r\n" + NODE.replace(b'"id": 1', b'"id": "1"') + b"\r\n.\r\n", -5),
    "a number beyond 64 bits": (
        b"201 x\r\n" + NODE.replace(b'"mem": 1', b'"mem": 9223372036854775808') + b"\r\n.\r\n",
        -5,
    ),
    "a value missing": (b"201 x\r\n" + NODE.replace(b'"up": true, ', b"") + b"\r\n.\r\n", -5),
    "frames": (b"202 job 7\r\n\x01\xff\xff\xff\xff", -5),
    "a code that means nothing": (b"299 x\r\n", -5),
    "bytes that are no UTF-8": (b"201 x\r\n" + NODE.replace(b'"a"', b'"\xff"') + b"\r\n.\r\n", -5),
    "a refusal that paints": (b"404 \x1b[2Jgone\r\n", -404),
    "a code of its own": (b"599 odd\r\n", -599),
    "a block that failed": (b'201 x\r\n{"code": 504, "error": "no answer"}\r\n.\r\n', -504),
}


@pytest.mark.parametrize("name", LIES)
def test_a_daemon_that_lies(build: Path, tmp_path: Path, name: str) -> None:
    """One clear error without control characters, no crash, and no wait past the timeout."""
    lie, error = LIES[name]
    liar = Liar(tmp_path / "liar.sock", lie, hang_up=error == -3)
    began = time.monotonic()
    patience = 300 if error == -4 else 20000
    said = calls(build, liar.endpoint, "nodes", "load", timeout_ms=patience)
    liar.close()
    assert time.monotonic() - began < 15
    assert re.fullmatch(rf"nodes = {error} [^\x00-\x1f\x7f]+", said[1])
    if -5 <= error <= -3:  # the connection is closed, so that what comes late is nobody's answer
        assert said[2].startswith("load = -3 ")


def test_an_answer_before_its_question_is_nobodys(build: Path, tmp_path: Path) -> None:
    """Two answers to one question: the second one is not taken for the next question's."""
    liar = Liar(tmp_path / "liar.sock", b"200 5\r\n200 6\r\n")
    said = calls(build, liar.endpoint, "load", "load", "load")
    liar.close()
    assert said[1] == "load 5 = 0"
    assert re.match(r"load = -3 the daemon ended the connection \(6\)", said[2])
    assert said[3].startswith("load = -3 ")


def test_the_first_plans_call_connects_again(build: Path, tmp_path: Path) -> None:
    """gomd_getCurNode goes on when the daemon was started anew between two calls; other calls say it."""
    liar = Liar(tmp_path / "liar.sock", b"200 7\r\n", hang_up=True)
    said = calls(build, liar.endpoint, "cur 1 5", "cur 1 5", "load", "load", GOMD_ENDPOINT=liar.endpoint)
    liar.close()
    assert said[1:4] == ["cur thread 7 = 7", "cur thread 7 = 7", "load 7 = 0"]
    assert said[4].startswith("load = -3 ")
    assert liar.connections == 5


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", -5),
        (b"220 smtp.example.org ESMTP\r\n", -5),
        (b"220 gomd 0.1.0 node 99999 x\r\n", -5),
        (b"429 too many connections\r\n", -429),
        (b"", -4),
    ],
)
def test_a_greeting_of_somebody_else(build: Path, tmp_path: Path, greeting: bytes, error: int) -> None:
    """Another program, a refusal, and silence are told apart."""
    liar = Liar(tmp_path / "liar.sock", b"", greeting)
    [said] = calls(build, liar.endpoint, "load", timeout_ms=300 if error == -4 else 20000)
    liar.close()
    assert said.startswith(f"connect {error} ")


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (b'201 w\r\n{"value": 1, "round": 1, "rows": 2}\r\n{"value": 1, "round": 2, "rows": 2}\r\n', -5),
        (b'201 w\r\n{"value": 1, "round": 1, "rows": 2}\r\n.\r\n', -5),
        (b'201 w\r\n{"value": 1, "round": 1, "rows": -5}\r\n', -5),
        (b'201 w\r\n{"code": 502, "error": "gone"}\r\n.\r\n', -502),
        (b"201 w\r\n.\r\n", -8),
        (b"200 5\r\n", -5),
    ],
)
def test_a_watch_of_a_daemon_that_lies(build: Path, tmp_path: Path, lie: bytes, error: int) -> None:
    """Half a round is no round; a watch that fails says why, and one that ends says so."""
    liar = Liar(tmp_path / "liar.sock", lie)
    said = calls(build, liar.endpoint, "watch load")
    liar.close()
    assert said[1].startswith(f"watch = {error} ")
