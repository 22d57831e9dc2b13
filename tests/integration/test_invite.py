"""A new node gets the key by a one-time code: `gom invite` here, `gom init --join` there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from gom.join.channel import Channel
from gom.join.inviting import Invitation, Proven, give
from gom.join.protocol import Exchange, Introduction
from libgomd.errors import GomdError
from libgomd.keys import new_key_file
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, free_port, until
from tests.integration.prompt import Prompt


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A node with a cluster's key."""
    home = tmp_path_factory.mktemp("gomd")
    new_key_file(str(home / "key"))
    port = free_port()
    with Daemon(
        home / "alpha", "--node-id", "1", "--name", "alpha", "--key-file", str(home / "key"),
        "--set", f"peers.port={port}", "--set", "peers.heartbeat=0.5",
    ) as daemon:  # fmt: skip
        yield daemon


class Inviting:
    """`gom invite` that runs. :ivar code: what it shows. :ivar port: where it listens."""

    def __init__(self, daemon: Daemon, *options: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [*GOM, "-c", daemon.unix, "invite", "--port", str(self.port), "--yes", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        text = self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"code: +(\d{4}-\d{4})", text)
        assert found, text
        self.code = found[1]

    def ended(self) -> tuple[int, str]:
        """Wait until it has ended; return its status and what else it printed."""
        text, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, text

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def join(
    home: Path, port: int, code: str, name: str = "beta", host: str = "127.0.0.1"
) -> subprocess.CompletedProcess[str]:
    """Run `gom init --join`, the code on its standard input."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*GOM, "init", "--join", f"{host}:{port}", "--name", name, "--config", str(home / "gomd.ini"),
         "--state-dir", str(home / "state"), "--yes"],
        input=f"{code}\n", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_a_node_joins_by_code(alpha: Daemon, tmp_path: Path) -> None:
    """
    It has the key and a gomd.ini then, mode 0600 and never overwritten, and becomes a member with them.

    What all nodes have alike comes along: settings of alpha, and the yardstick that somebody has set since.
    """
    with alpha.connect_unix() as line:
        assert line.ask("setyard 12000").code == 200
    inviting = Inviting(alpha)
    done = join(tmp_path / "beta", inviting.port, inviting.code)
    assert done.returncode == 0, done.stderr
    assert (
        "set as on the other nodes:  [node] sspeed = 12000; [peers] heartbeat = 0.5; [peers] port"
        in done.stdout
    )
    status, text = inviting.ended()
    assert status == 0
    assert "beta (127.0.0.1) has the key" in text
    key = tmp_path / "beta" / "gomd.key"
    assert key.read_bytes() == (alpha.home.parent / "key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    with socket.socket() as probe:  # an invitation is good once
        assert probe.connect_ex(("127.0.0.1", inviting.port))
    again = join(tmp_path / "beta", inviting.port, inviting.code)
    assert again.returncode == 1
    assert "configured already" in again.stderr
    beta = tmp_path / "beta" / "gomd.ini"
    beta.write_text(re.sub(r"(?m)^port = \d+$", f"port = {free_port()}", beta.read_text()))  # of one machine
    with (
        Daemon(tmp_path / "gomd", "--config", str(beta), "--node-id", "2") as joined,
        alpha.connect() as line,
    ):
        until(lambda: "beta" in " ".join(line.ask("nodes").block or ()))
        with joined.connect() as other:
            assert other.ask("get /proc/hpc/admin/sspeed").block == ["12000"]
    alpha.wait_for(r"the cluster's key was given to beta \(127\.0\.0\.1\)")


def test_a_node_joins_over_ipv6(alpha: Daemon, tmp_path: Path) -> None:
    """The address that its gomd.ini gets is that from which it has called."""
    inviting = Inviting(alpha, "--address", "::1")
    done = join(tmp_path / "delta", inviting.port, inviting.code, "delta", host="[::1]")
    assert (done.returncode, done.stderr) == (0, "")
    assert inviting.ended()[0] == 0
    assert "\naddress = ::1\n" in (tmp_path / "delta" / "gomd.ini").read_text()


def test_three_wrong_codes_end_it(alpha: Daemon, tmp_path: Path) -> None:
    """Nobody gets the key, also with the right code afterwards; an event says so."""
    inviting = Inviting(alpha)
    for wrong in ("0000-0000", "1111-1111", "2222-2222"):
        other = "3333-3333" if wrong == inviting.code else wrong
        done = join(tmp_path / "gamma", inviting.port, other, "gamma")
        assert done.returncode == 1
        assert done.stderr == "gom: the code is wrong\n"
    status, text = inviting.ended()
    assert status == 1
    assert "three wrong codes" in text
    assert join(tmp_path / "gamma", inviting.port, inviting.code, "gamma").returncode == 1
    assert not (tmp_path / "gamma" / "gomd.key").exists()
    assert not (tmp_path / "gamma" / "gomd.ini").exists()
    with alpha.connect() as line:
        until(lambda: "three wrong codes" in " ".join(line.ask("events").block or ()))


def test_strangers_cost_no_try(alpha: Daemon, tmp_path: Path) -> None:
    """Silent callers, other protocols, half messages, callers who prove nothing: the node still joins.

    Who does not know the code is not told either which names nodes have.
    """
    inviting = Inviting(alpha)
    kept = []
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b"\0" * 20_000, b'{"join": 1}\n', b'{"join": 9}\n'):
        stranger = socket.create_connection(("127.0.0.1", inviting.port))
        stranger.sendall(said)
        kept.append(stranger)
    for name in ("alpha", "delta", "alpha", "delta"):  # as far as the message of SPAKE2, and no further
        channel = Channel(socket.create_connection(("127.0.0.1", inviting.port)), 10)
        exchange = Exchange(b"00000000", is_joiner=True)
        where = {"from": channel.here, "to": channel.there}
        channel.send({"join": 1, "name": name, **where, "pake": exchange.first.hex()})
        assert "pake" in channel.receive()[0]
        channel.close()
    done = join(tmp_path / "beta", inviting.port, inviting.code, "epsilon")
    assert done.returncode == 0, done.stderr
    assert inviting.ended()[0] == 0
    for stranger in kept:
        stranger.close()


def test_a_name_that_is_taken_is_refused(alpha: Daemon, tmp_path: Path) -> None:
    """Two nodes of one name are a mistake that is found before the key is given, and costs no try."""
    inviting = Inviting(alpha)
    done = join(tmp_path / "beta", inviting.port, inviting.code, "alpha")
    assert "name yours with --name" in done.stderr
    assert join(tmp_path / "beta", inviting.port, inviting.code, "zeta").returncode == 0
    assert inviting.ended()[0] == 0


def test_a_person_says_yes_or_no(alpha: Daemon, tmp_path: Path) -> None:
    """On a terminal the key is given only to a yes; the code is read from the input and is no argument."""
    for answer, status in (("no", 1), ("yes", 0)):
        port, home = free_port(), tmp_path / answer
        home.mkdir()
        with Prompt(alpha.unix, home) as prompt:
            prompt.type(f"gom invite --port {port}\n")
            shown = re.search(r"code: +(\d{4}-\d{4})", prompt.wait(r"code: +\d{4}-\d{4}"))
            assert shown
            joining = subprocess.Popen(
                [*GOM, "init", "--join", f"127.0.0.1:{port}", "--name", "eta", "--yes",
                 "--config", f"{home}/gomd.ini"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert joining.stdin is not None
            joining.stdin.write(f"{shown[1]}\n")
            joining.stdin.flush()
            prompt.wait(r"eta \(127\.0\.0\.1\) knows the code")
            prompt.type(f"{answer}\n")
            assert joining.wait(PATIENCE) == status
            joining.communicate()


@pytest.mark.parametrize(
    ("seeds", "written"),
    [
        (
            ("\n10.0.0.9:5428\n", "10.0.0.8,\nb.example,none", "10.0.0.9"),
            "10.0.0.9:5428, 10.0.0.8:5428, b.example:5428, none:5428",
        ),
        (("b.example\n[commands]",), ""),
        (("b.example:1\nport = 7",), ""),
        (("b.example:000000000000000000000005428",), ""),
    ],
)
def test_what_an_inviter_says_is_no_text_of_gomd_ini(
    tmp_path: Path, seeds: tuple[str, ...], written: str
) -> None:
    """Seeds are written as they are understood; where one is none, nothing is written."""
    with Invitation(["127.0.0.1"], 0, b"12345678", "mallory", lambda _name: False) as invitation:

        def serve() -> None:
            for caller in invitation.callers(PATIENCE):
                if isinstance(caller, Proven):
                    with contextlib.suppress(GomdError):
                        give(caller, Introduction(bytes(32), seeds, False))
                    return

        serving = threading.Thread(target=serve)
        serving.start()
        done = join(tmp_path / "theta", invitation.port, "1234-5678", "theta")
        serving.join(PATIENCE)
    assert (done.returncode == 0) == bool(written), done.stderr
    found = tmp_path / "theta" / "gomd.ini"
    if written:
        assert f"\nseeds = {written}\n" in found.read_text()
    else:
        assert "seeds are HOST" in done.stderr
        assert os.listdir(tmp_path / "theta") == []


def test_only_admins_at_the_unix_socket_invite(alpha: Daemon) -> None:
    """The verb behind it is refused over tcp, and takes nothing that is no state, name or address."""
    with alpha.connect() as line:
        assert line.ask("invitation").code == 403
    schema = json.loads((Path(__file__).parents[2] / "docs/schema/invitation.json").read_text("utf-8"))
    with alpha.connect_unix() as line:
        line.ask("format json")
        jsonschema.validate(json.loads(line.ask("invitation").text), schema)
        assert line.ask("invitation sideways").code == 400
        assert line.ask("invitation ended x 'not an address'").code == 400
    assert os.access(alpha.home.parent / "key", os.R_OK)
