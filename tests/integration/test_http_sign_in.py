"""Who may do what over HTTP: tokens, `gom page`, TLS, and endpoints that others reach."""

from __future__ import annotations

import html
import os
import re
import ssl
import stat
import subprocess
import sys
from pathlib import Path

from gom import token as tokens
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon, run
from tests.integration.web import Web, bearer

GOM = str(Path(sys.executable).with_name("gom"))


def gom_page(daemon: Daemon, home: Path, endpoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """Say `gom page` with a runtime directory of its own, and no screen."""
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "GOMD_ENDPOINT": endpoint or daemon.unix}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    return subprocess.run(
        [GOM, "page"], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_gom_page_signs_its_user_in(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """By a file that only the user can read, with a code that is good once; not over tcp."""
    daemon = start_daemon("--http", "tcp:127.0.0.1:0")
    web = Web(daemon)
    said = gom_page(daemon, tmp_path)
    assert said.returncode == 0, said.stderr
    path = Path(re.search(r"file://(\S+)", said.stdout)[1])  # type: ignore[index]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = re.search(r'url=(http://127\.0\.0\.1:\d+/)#code=([\w-]+)"', html.unescape(path.read_text()))
    assert found is not None
    assert found[1] == f"http://127.0.0.1:{web.port}/"
    assert found[2] not in said.stdout
    told = web.ask("POST", "/api/v1/session", {"code": found[2]})
    assert (told.json["value"]["role"], told.json["value"]["uid"]) == ("admin", os.getuid())
    assert web.ask("POST", "/api/v1/session", {"code": found[2]}).code == 401
    over_tcp = gom_page(daemon, tmp_path, daemon.tcp)
    assert over_tcp.returncode == 1
    assert "needs the unix socket" in over_tcp.stderr
    none = start_daemon()
    assert "set [http] endpoint" in gom_page(none, tmp_path).stderr


def test_tls_with_a_certificate_of_its_own(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """P-256, kept from start to start; the cookie is Secure, and anonymous callers get metrics only."""
    token = tokens.add(str(tmp_path / "tokens"), "root", "admin")
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n[http]\ntls = yes\nhosts = page.example\n"
    home = tmp_path / "one"
    daemon = start_daemon("--http", "tcp:0.0.0.0:0", "--name", "alpha", ini=ini, home=home)
    fingerprint = daemon.wait_for("SHA-256 fingerprint ([0-9A-F:]+)")[1]
    context = ssl.create_default_context(cafile=str(home / "state" / "http.pem"))
    web = Web(daemon, context, "localhost")
    assert stat.S_IMODE((home / "state" / "http.pem").stat().st_mode) == 0o600
    assert web.ask("GET", "/metrics").code == 200
    assert web.ask("GET", "/api/v1/nodes").code == 401
    assert web.ask("GET", "/api/v1/nodes", **bearer(token)).code == 200
    told = web.ask("POST", "/api/v1/session", {"token": token}, Origin=f"https://localhost:{web.port}")
    assert "; Secure" in told.headers["set-cookie"]
    assert web.ask("GET", "/metrics", Host="page.example").code == 200
    assert web.ask("GET", "/metrics", Host="other.example").code == 421
    daemon.stop()
    again = start_daemon("--http", "tcp:0.0.0.0:0", "--name", "alpha", ini=ini, home=home)
    assert again.wait_for("SHA-256 fingerprint ([0-9A-F:]+)")[1] == fingerprint


def test_in_clear_text_other_machines_get_the_metrics_only(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Whatever `anonymous` says, and whatever token comes."""
    token = tokens.add(str(tmp_path / "tokens"), "root", "admin")
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n[http]\nanonymous = read\n"
    daemon = start_daemon("--http", "tcp:0.0.0.0:0", ini=ini)
    web = Web(daemon)
    assert web.ask("GET", "/metrics").code == 200
    for method, path, body in (
        ("GET", "/", None), ("GET", "/api/v1/nodes", None), ("GET", "/api/v1/watch/load", None),
        ("POST", "/api/v1/session", {"token": token}),
    ):  # fmt: skip
        told = web.ask(method, path, body, **bearer(token))
        assert told.code == 403, path
        assert "clear text" in told.text
    assert "clear text" in gom_page(daemon, tmp_path).stderr


def test_a_removed_token_ends_what_it_opened(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """An open stream says so and ends, and the session is over."""
    file = str(tmp_path / "tokens")
    token = tokens.add(file, "root", "admin")
    web = Web(start_daemon("--http", "tcp:127.0.0.1:0", ini=f"[telnet]\ntokens_file = {file}\n"))
    told = web.ask("POST", "/api/v1/session", {"token": token})
    session = {
        "Cookie": told.headers["set-cookie"].partition(";")[0], "X_Gomd_Session": told.json["value"]["key"],
    }  # fmt: skip
    stream = web.watch("/api/v1/watch/load", **session)
    next(stream)
    tokens.remove(file, "root")
    assert [event for event, _ in stream][-1] == "signed-out"
    assert web.ask("GET", "/api/v1/session", **session).code == 401


def test_wrong_settings_refuse_the_start(tmp_path: Path) -> None:
    """In one sentence each, by `--check` too."""
    key = tmp_path / "key.pem"
    key.write_text("x")
    key.chmod(0o644)
    for ini, words in (
        ("certificate = /c.pem\n", ["with tls = yes only"]),
        ("tls = yes\nkey = /k.pem\n", ["the certificate to it is missing"]),
        (f"tls = yes\ncertificate = {key}\n", ["is open to others"]),
        ("anonymous = all\nhosts = a.example:80\n", ["anonymous = 'all'", "names without ports"]),
    ):
        outcome = run(tmp_path, "--check", "--http", "tcp:127.0.0.1:0", ini=f"[http]\n{ini}")
        assert outcome.returncode == 1, (ini, outcome.stderr)
        for each in words:
            assert each in outcome.stderr
