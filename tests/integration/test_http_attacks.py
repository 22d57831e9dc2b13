"""
What has been wrong with the web servers of other monitors, tried on a real daemon one by one.

Among them is the list of Glances' advisories of 2026: names that are rebound, wildcard CORS, an API without
authentication, secrets of the configuration, credentials of other servers, requests made on behalf of a
caller, and commands and SQL injected through the names of processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gom import token as tokens
from libgomd.blocking import connect
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import until
from tests.integration.test_http_api import example
from tests.integration.web import Told, Web, bearer

HTTP = ("--http", "tcp:127.0.0.1:0", "--node-id", "9", "--name", "niner")
EVIL = "http://evil.example"


def say(web: Web, text: bytes) -> bytes:
    """Send bytes; return what comes until the connection ends or is silent for a moment."""
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as connection:
        connection.sendall(text)
        connection.settimeout(1.0)
        found = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                found += piece
        return found


def every_answer(web: Web, **headers: str) -> Iterator[tuple[str, Told]]:
    """Yield the answer of every URL that can be read."""
    for template, operations in web.ask("GET", "/api/v1/openapi.json").json["paths"].items():
        if "get" in operations and "/watch/" not in template:
            path = template
            for name in [part[1:-1] for part in template.split("/") if part.startswith("{")]:
                path = path.replace(f"{{{name}}}", example(web, template, name))
            yield path, web.ask("GET", path, **headers)
    for path in ("/", "/metrics", "/app.js"):
        yield path, web.ask("GET", path)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A daemon whose page is open on loopback: one for all that try to change nothing."""
    with Daemon(tmp_path_factory.mktemp("daemon"), *HTTP) as daemon:
        yield Web(daemon)


def test_no_other_origin_is_ever_let_in(web: Web) -> None:
    """No answer has a word of CORS, whatever origin asks, and a preflight request is refused."""
    for path in ("/", "/metrics", "/api/v1/nodes", "/api/v1/session", "/api/v1/stay"):
        for origin in (EVIL, "null", f"http://127.0.0.1:{web.port}.evil.example", "http://127.0.0.1:1"):
            for method in ("GET", "OPTIONS", "POST"):
                told = web.ask(
                    method, path, Origin=origin, Access_Control_Request_Method="POST", Cookie="gomd-1=x"
                )
                assert not [name for name in told.headers if name.startswith("access-control-")], (
                    method,
                    path,
                )
                assert told.code in (403, 404, 405) or (method == "GET" and path in ("/", "/metrics")), (
                    method,
                    path,
                )


def test_a_name_that_was_rebound_reaches_nothing(web: Web) -> None:
    """Not with the address in the request line either, nor with two hosts, nor as a proxy."""
    for host in (
        "evil.example",
        f"evil.example:{web.port}",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ):
        for path in ("/", "/metrics", "/api/v1/ps", "/api/v1/watch/ps", "/api/v1/session"):
            assert web.ask("GET", path, Host=host).code == 421, (host, path)
    for request, codes in (
        (b"GET http://evil.example/api/v1/ps HTTP/1.1\r\nHost: localhost\r\n", (404,)),
        (b"GET http://localhost/api/v1/ps HTTP/1.1\r\nHost: evil.example\r\n", (421,)),
        (b"GET /api/v1/ps HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", (400, 421)),
        (b"GET /api/v1/ps HTTP/1.1\r\n", (400, 421)),
        (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: localhost\r\n", (404, 405)),
        (b"GET //evil.example/%2f.. HTTP/1.1\r\nHost: localhost\r\n", (404,)),
    ):
        answer = say(web, request + b"Connection: close\r\n\r\n")
        assert int(answer.split(b" ", 2)[1]) in codes, (request, answer)
        assert b"Location:" not in answer


def test_two_requests_in_one_are_none(web: Web) -> None:
    """A body whose length is said twice or in two ways would be read differently by a proxy."""
    begin = b"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\n"
    for framing in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: +4\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: xchunked\r\n",
    ):  # fmt: skip
        answer = say(
            web, begin + framing + b"\r\n0\r\n\r\nGET /api/v1/load HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        assert b" 400 " in answer.partition(b"\r\n")[0], (framing, answer)
        assert answer.count(b"HTTP/1.1 ") == 1, (framing, answer)


def test_no_secret_is_in_any_answer(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Neither key nor tokens nor where they are, to a reader; key and tokens to nobody, an admin neither."""
    key = tmp_path / "key"
    key.touch(0o600)
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0ISE="
    key.write_text(f"{secret}\n")
    token = str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))
    kept = json.dumps((tmp_path / "tokens").read_text()).split("$")[-1].strip('"\\n')
    ini = (
        f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n[commands]\nmount = mount -o password=hunter2 /srv\n"
    )
    daemon = start_daemon(*HTTP, "--key-file", str(key), ini=ini)
    web = Web(daemon)
    for headers in ({}, bearer(token)):
        for path, told in every_answer(web, **headers):
            for word in (secret, token, kept, "hunter2"):
                assert word not in told.text, (path, word)
            own = path.startswith(("/api/v1/ps", "/api/v1/busiest"))  # the daemon's command line is in them
            assert headers or own or str(tmp_path) not in told.text, path
    for path in (
        "/proc/hpc/../../etc/shadow",
        str(key),
        str(tmp_path / "tokens"),
        "/proc/1/environ",
        "/proc/self/environ",
    ):
        assert web.ask("GET", f"/api/v1/get/{path}", **bearer(token)).code in (400, 403, 404), path


@pytest.mark.parametrize("anonymous", ["metrics", "none"])
def test_without_a_token_the_api_says_nothing(start_daemon: StartDaemon, anonymous: str) -> None:
    """Of nodes, processes and files; the list of URLs is the same for everybody and has no values."""
    web = Web(start_daemon(*HTTP, ini=f"[http]\nanonymous = {anonymous}\n"))
    for path in (
        "nodes",
        "ps",
        "get/proc/loadavg",
        "events",
        "stats",
        "watch/ps",
        "watch/events",
        "help",
        "whoami",
    ):
        told = web.ask("GET", f"/api/v1/{path}")
        assert told.code == 401 or path in ("help", "whoami"), path
    assert web.ask("GET", "/metrics").code == (200 if anonymous == "metrics" else 401)


def test_nothing_is_changed_by_reading(web: Web) -> None:
    """No method is tunnelled through another, and none is changed by a header."""
    for path in ("/api/v1/stay", "/api/v1/kill/1", "/api/v1/shutdown", "/api/v1/run"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "TRACE"):
            told = web.ask(method, path, X_HTTP_Method_Override="POST")
            assert told.code == 405, (method, path)
            assert told.headers["allow"] == "POST"
    assert web.ask("POST", "/api/v1/nodes", X_HTTP_Method_Override="GET").code == 405


def test_no_request_is_made_for_a_caller(web: Web) -> None:
    """Nodes are asked by id or name only: no address and no URL, so there is nothing to forge."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        where = f"127.0.0.1:{trap.getsockname()[1]}"
        for node in (
            where,
            f"http://{where}/",
            f"//{where}",
            f"9@{where}",
            "169.254.169.254",
            "..%2f..",
            "@all",
            "a b",
        ):
            for path in (
                f"/api/v1/load?node={node}",
                f"/api/v1/watch/load?node={node}",
                f"/api/v1/node/{node}",
            ):
                assert web.ask("GET", path.replace(" ", "%20")).code in (400, 404), path
        trap.settimeout(0.2)
        with pytest.raises(TimeoutError):
            trap.accept()


def test_names_are_never_executed(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """By no shell, template, SQL or markup, wherever the name of a process goes: history, metrics, JSON."""
    trap = tmp_path / "trap"
    words = [
        f"$(touch {trap})", f"`touch {trap}`", f"; touch {trap} #", f"{{{{ touch('{trap}') }}}}",
        "'; DROP TABLE processes; --", '"},{"pid":1', "<script>alert(1)</script>", "a\nb\r\ndata: x",
        "%s%n${jndi:x}",
    ]  # fmt: skip
    token = str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))
    ini = (
        f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n[collector]\nperiod = 0.5\nprocesses_period = 0.5\n"
        "[commands]\ngreet = echo hello\n"
    )
    daemon = start_daemon(*HTTP, ini=ini)
    web = Web(daemon)
    rename = "open('/proc/self/comm', 'w').write('$(x)`y`;<b>{{')"
    script = f"import time\n{rename}\nprint(flush=True)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            [row] = web.ask("GET", f"/api/v1/ps/{process.pid}").json["rows"]
            assert row["name"] == "$(x)`y`;<b>{{"
            assert all(word.split("\n")[0] in row["command"] for word in words)
            assert "\n" not in row["command"]
            [(event, value)] = web.watch(f"/api/v1/watch/ps/{process.pid}?c=1")
            assert (event, value["rows"][0]["name"]) == ("message", row["name"])
            list(parse_text(web.ask("GET", "/metrics").text))
            past = f"/api/v1/ps/{process.pid}?at=0s"
            until(lambda: process.pid in [each["pid"] for each in web.ask("GET", past).json.get("rows", [])])
            for match in words[:5]:
                assert web.ask("GET", f"/api/v1/ps?match={quote(match)}").code == 200
            for name in ("greet;id", "greet && id", "../greet", "greet\0", "$(id)", "greet -x"):
                assert web.ask("POST", f"/api/v1/do/{quote(name)}", {}, **bearer(token)).code in (400, 404), (
                    name
                )
            told = web.ask(
                "POST", "/api/v1/run", {"argv": ["/bin/echo", f"$(touch {trap})"]}, **bearer(token)
            )
            assert told.code == 200, told
            for field in ("load'--", "load;DROP", "load%20UNION%20SELECT"):
                assert web.ask("GET", f"/api/v1/history/9/{field}").code in (400, 404), field
        finally:
            process.kill()
    assert not trap.exists()
    with contextlib.closing(sqlite3.connect(daemon.state / "history.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM processes").fetchone()[0] > 0


def test_a_gigabyte_costs_no_memory(start_daemon: StartDaemon) -> None:
    """In chunks, whose end nobody announces; it is refused long before, and others are answered meanwhile."""
    daemon: Daemon = start_daemon(*HTTP)
    web = Web(daemon)
    before = psutil.Process(daemon.process.pid).memory_info().rss
    head = b"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += 65536
    assert sent < 1 << 26
    assert web.ask("GET", "/api/v1/load").code == 200
    assert psutil.Process(daemon.process.pid).memory_info().rss - before < 30 << 20
    with connect(daemon.unix) as client:
        assert client.version()


def test_the_page_of_another_user_gets_nothing_of_a_cookie(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Cookies ignore ports: it is sent the cookie of an admin, and with it alone it is nobody."""
    token = str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))
    web = Web(start_daemon(*HTTP, ini=f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n"))
    told = web.ask("POST", "/api/v1/session", {"token": token})
    cookie, key = told.headers["set-cookie"].partition(";")[0], told.json["value"]["key"]
    tab = key.partition(".")[0]
    assert web.ask("GET", "/api/v1/whoami", Cookie=cookie).json["value"]["role"] == "read"
    for guess in (
        tab,
        f"{tab}.",
        f"{tab}.{'x' * 43}",
        cookie.partition("=")[2],
        f"{tab}.{cookie.partition('=')[2]}",
    ):
        assert web.ask("GET", "/api/v1/whoami", Cookie=cookie, X_Gomd_Session=guess).code == 401, guess
    assert web.ask("POST", "/api/v1/stay", {}, Cookie=cookie).code == 403
    assert os.getuid() == 0 or web.ask("GET", "/api/v1/jobs", Cookie=cookie).code == 403
