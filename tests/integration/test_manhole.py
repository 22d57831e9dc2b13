"""The manhole, with the ssh client that people have."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, run

pytestmark = pytest.mark.skipif(
    not shutil.which("ssh") or not shutil.which("ssh-keygen"), reason="there is no ssh (openssh-client)"
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; its public half is beside it."""
    return new_key(tmp_path / "id")


def new_key(path: Path) -> Path:
    """Make a pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, timeout=PATIENCE)
    return path


def ini_for(keys: Path) -> str:
    """The settings of a manhole at a free port."""
    return f"[manhole]\nendpoint = tcp:127.0.0.1:0\nauthorized_keys = {keys}\n"


def ssh(daemon: Daemon, key: Path, typed: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Log in with ``key``, type, and return what was to be seen."""
    port = daemon.wait_for(r"the manhole is at tcp:127\.0\.0\.1:(\d+)")[1]
    return subprocess.run(
        [
            "ssh", "-p", port, "-i", key, "-F", "/dev/null", "-o", "IdentityAgent=none",
            "-o", f"UserKnownHostsFile={daemon.home}/known_hosts", "-o", "StrictHostKeyChecking=accept-new",
            "-o", "NumberOfPasswordPrompts=0", *options, "admin@127.0.0.1",
        ],
        input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def seen(text: str) -> str:
    """What stays of ``text`` on a terminal without colours."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>A-Z78])", "", text)


def test_the_key_opens_it_and_the_daemon_can_be_looked_into(start_daemon: StartDaemon, key: Path) -> None:
    """The four names answer; the log says with which key; the host key stays the same after a restart."""
    daemon = start_daemon("--node-id", "9", ini=ini_for(key.with_suffix(".pub")))
    typed = (
        "cluster.nodes()\rcollector.own_node().load\r'ps' in [v.name for v in verbs]\rconfig.node.id\r\x04"
    )
    for _ in range(2):
        found = ssh(daemon, key, typed, "-tt")
        text = seen(found.stdout)
        assert "collector, config, verbs" in text
        assert "Node(id=9," in text
        assert "True" in text
        assert "Traceback" not in text
        daemon.wait_for("admin.* is in the manhole with the key ([0-9a-f:]{20,})")
        assert daemon.stop() in (0, -15)
        kept = daemon.state / "manhole_host_key"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        daemon = start_daemon("--node-id", "9", ini=ini_for(key.with_suffix(".pub")), home=daemon.home)
    assert "Traceback" not in daemon.log


def test_another_key_is_refused(start_daemon: StartDaemon, key: Path, tmp_path: Path) -> None:
    """So are a password and no key at all; the log has the fingerprint, and no traceback."""
    daemon = start_daemon(ini=ini_for(key.with_suffix(".pub")))
    other = new_key(tmp_path / "other")
    for options in (
        (),
        ("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive"),
        ("-o", "PreferredAuthentications=none"),
    ):
        found = ssh(daemon, other, "cluster.nodes()\r", "-tt", *options)
        assert found.returncode == 255
        assert "Permission denied (publickey)" in found.stderr
        assert "Node(" not in found.stdout
    daemon.wait_for("the manhole refused .*admin")
    assert "Traceback" not in daemon.log


def test_a_key_taken_out_of_the_file_opens_nothing_any_more(start_daemon: StartDaemon, key: Path) -> None:
    """Without a restart; and a file that others may write opens it for nobody."""
    keys = key.with_suffix(".pub")
    daemon = start_daemon(ini=ini_for(keys))
    text = keys.read_text()
    for spoilt, mode in (("# nobody\n", 0o600), (text, 0o666)):
        keys.write_text(spoilt)
        keys.chmod(mode)
        assert ssh(daemon, key, "1\r", "-tt").returncode == 255
    keys.chmod(0o600)
    assert "inside of gomd" in ssh(daemon, key, "\x04", "-tt").stdout


def test_nothing_but_the_console_is_served(start_daemon: StartDaemon, key: Path) -> None:
    """No commands, no files, no forwarding; a console without a terminal works."""
    daemon = start_daemon(ini=ini_for(key.with_suffix(".pub")))
    found = ssh(daemon, key, "6*7000\r", "-T")
    assert "inside of gomd" in found.stdout
    assert "42000" in found.stdout
    port = daemon.wait_for(r"the manhole is at tcp:127\.0\.0\.1:(\d+)")[1]
    common = (
        f"-F /dev/null -p {port} -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        "-o IdentityAgent=none admin@127.0.0.1"
    ).split()
    command = subprocess.run(
        ["ssh", *common, "id"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "runs no commands" in command.stderr
    assert "uid=" not in command.stdout
    forward = subprocess.run(
        ["ssh", "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1", *common],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert forward.returncode == 255
    assert "forwarding failed" in forward.stderr
    assert "Traceback" not in daemon.log


def test_odd_lines_do_not_end_the_console(start_daemon: StartDaemon, key: Path) -> None:
    """Half a string, a wrong indentation, bytes that are no text: an error, then the next prompt."""
    daemon = start_daemon(ini=ini_for(key.with_suffix(".pub")))
    typed = "'''\x03if 1:\r    2\r  3\r\r\xff\xfe\r(\x03\t1/0\r6*7000+1\r\x04"
    text = seen(ssh(daemon, key, typed, "-tt").stdout)
    assert "42001" in text
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0, "cannot be opened"),
        ("", 0o600, "no public key in it"),
        ("# nobody\n\n", 0o600, "no public key in it"),
        ("ssh-ed25519 AAAA me\n", 0o600, "line 1: not a public key"),
        ('command="id" ssh-ed25519 AAAA me\n', 0o600, "without options"),
        ("KEY", 0o606, "open to others: chmod go-w"),
        ("KEY", 0o620, "open to others: chmod go-w"),
        ("PRIVATE", 0o600, "not a public key"),
    ],
)
def test_a_key_file_that_cannot_be_trusted_refuses_the_start(
    tmp_path: Path, key: Path, content: str | None, mode: int, sentence: str
) -> None:
    """One sentence that says what to do, exit status 1."""
    keys = tmp_path / "keys"
    if content is not None:
        source = {"KEY": key.with_suffix(".pub"), "PRIVATE": key}.get(content)
        keys.write_text(source.read_text() if source else content)
        keys.chmod(mode)
    outcome = run(
        tmp_path, "--state-dir", str(tmp_path / "state"), "--telnet", "tcp:127.0.0.1:0", ini=ini_for(keys)
    )
    assert outcome.returncode == 1
    [told] = outcome.stderr.splitlines()
    assert sentence in told
    assert str(keys) in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_key_file_of_somebody_else_refuses_the_start(tmp_path: Path, key: Path) -> None:
    """Such a user could let themselves in."""
    keys = key.with_suffix(".pub")
    os.chown(keys, 65534, 65534)
    outcome = run(tmp_path, "--state-dir", str(tmp_path / "state"), ini=ini_for(keys))
    assert outcome.returncode == 1
    assert "belongs to user 65534" in outcome.stderr


def test_what_is_off_is_not_imported(tmp_path: Path) -> None:
    """A daemon without a manhole has nothing of conch in its memory."""
    code = "import sys, gomd.tap.service; print([n for n in sys.modules if 'conch' in n])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert found.stdout == "[]\n"
