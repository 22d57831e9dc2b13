"""The API of real daemons: every URL that it describes, changes, jobs, live events, and hostile clients."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gom import token as tokens
from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.web import Web, bearer

HTTP = ("--http", "tcp:127.0.0.1:0", "--node-id", "9", "--name", "niner")


@pytest.fixture
def token(tmp_path: Path) -> str:
    """The token of an admin, in a file that `with_tokens` names."""
    return str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))


def with_tokens(tmp_path: Path) -> str:
    """Return the part of gomd.ini that names the tokens file."""
    return f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n"


def example(web: Web, template: str, name: str) -> str:
    """Return an argument that fits: a name of something is the first that the verb itself lists."""
    if name == "name":
        verb = template.removeprefix("/api/v1/").removeprefix("watch/").partition("/")[0]
        return str(web.ask("GET", f"/api/v1/{verb}").json["rows"][0]["name"])
    return {
        "path": "proc/hpc/nodes/9/load", "pid": str(os.getpid()), "node": "9", "verb": "load", "text": "json",
        "field": "load", "question": "paths",
    }[name]  # fmt: skip


def test_the_description_is_that_of_the_server(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """Each GET of openapi.json answers as its schema says; each path takes the methods it names, no other."""
    web = Web(start_daemon(*HTTP, ini=with_tokens(tmp_path)))
    api = web.ask("GET", "/api/v1/openapi.json").json
    assert api["openapi"] == "3.1.0"
    for template, operations in api["paths"].items():
        names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
        wrong = web.ask("PATCH", template.replace("{", "").replace("}", ""))
        assert (wrong.code, wrong.json["code"]) == (405, 405), template
        assert set(wrong.headers["allow"].split(", ")) - {"HEAD"} == {each.upper() for each in operations}
        operation = operations.get("get")
        if operation is None or "attach" in template:
            continue
        path = template
        for name in names:
            path = path.replace(f"{{{name}}}", example(web, template, name))
        if path == "/api/v1/ls/proc/hpc/nodes/9/load":
            path = "/api/v1/ls/proc/hpc"
        [(media_type, content)] = operation["responses"]["200"]["content"].items()
        if media_type == "text/event-stream":
            if "events" not in path:
                [(event, value)] = web.watch(f"{path}?c=1", **bearer(token))
                assert event == "message"
                jsonschema.validate(value, content["schema"])
            continue
        told = web.ask("GET", path, **bearer(token))
        assert (told.code, told.headers["content-type"]) == (200, media_type), (path, told.text[:300])
        jsonschema.validate(told.json, content["schema"])
    with_line = {path.split("/")[3] for path in api["paths"]}
    assert {"nodes", "kill", "migrate", "run", "session", "watch"} <= with_line
    assert not {"attach", "migration", "moved", "quit", "page"} & with_line


def test_the_line_and_the_api_say_the_same(start_daemon: StartDaemon) -> None:
    """The same rows by the same names."""
    daemon = start_daemon(*HTTP)
    web = Web(daemon)
    with daemon.connect() as line:
        line.ask("format json")
        for verb, path in (
            ("help", "help"), ("map", "map"), ("ls /proc/hpc", "ls/proc/hpc"),
            (f"ps {os.getpid()} --fields=pid,user", f"ps/{os.getpid()}?fields=pid,user"),
        ):  # fmt: skip
            rows = [json.loads(row) for row in line.ask(verb).block or ()]
            assert web.ask("GET", f"/api/v1/{path}").json == {"rows": rows}


def test_a_job_from_its_start_to_its_end(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """It is started, its output comes as it is written, it is ended; nobody without a token can."""
    web = Web(start_daemon(*HTTP, ini=with_tokens(tmp_path)))
    script = "printf 'h\\303\\244ll\\303\\266\\n'; echo wrong >&2; read x; sleep 600"
    assert web.ask("POST", "/api/v1/run", {"argv": ["true"]}).code == 403
    told = web.ask("POST", "/api/v1/run", {"argv": ["sh", "-c", script]}, **bearer(token))
    job = told.json["value"]["job"]
    watched = web.watch(f"/api/v1/watch/attach/{job}", **bearer(token))
    found: dict[str, str] = {"stdout": "", "stderr": ""}
    for event, value in watched:
        if event in found:
            found[event] += value["text"]
        if all(found.values()):
            break
    assert found == {"stdout": "hällö\n", "stderr": "wrong\n"}
    assert web.ask("GET", f"/api/v1/watch/attach/{job}").code == 403
    [row] = web.ask("GET", "/api/v1/jobs", **bearer(token)).json["rows"]
    assert (row["job"], row["state"], row["user"]) == (job, "running", "root")
    assert web.ask("POST", "/api/v1/kill", {"job": job}, **bearer(token)).json == {
        "value": {"job": job, "signal": 15}
    }
    assert ("exit", 143) in [(event, value.get("exit")) for event, value in watched]
    for body, code in (({"argv": []}, 400), ({"argv": "x"}, 400), ({"argv": ["x"], "y": 1}, 400), ({}, 400),
                       ({"argv": ["/none"]}, 404), ({"argv": ["true"], "node": "nobody"}, 404),
                       ({"argv": ["true"], "cwd": 3}, 400), ({"argv": ["a\0b"]}, 400)):  # fmt: skip
        told = web.ask("POST", "/api/v1/run", body, **bearer(token))
        assert told.code == code, (body, told)
        assert set(told.json) == {"code", "error"}


def test_events_come_as_they_happen(start_daemon: StartDaemon, tmp_path: Path, token: str) -> None:
    """And with resync those that were before, so that nothing is missed."""
    web = Web(start_daemon(*HTTP, ini=with_tokens(tmp_path)))
    events = web.watch("/api/v1/watch/events?resync=1")
    _, first = next(events)
    assert first["resync"]
    assert [row["kind"] for row in first["rows"]] == ["join"]
    web.ask("POST", "/api/v1/run", {"argv": ["true"]}, **bearer(token))
    assert next(events)[1]["rows"][0]["kind"] == "started"


def test_hostile_clients_cost_themselves_only(start_daemon: StartDaemon) -> None:
    """Two thousand connections, a gigabyte, slow writers, slow readers: others are answered all the while."""
    web = Web(start_daemon(*HTTP))
    held = []
    try:
        for _ in range(2000):
            connection = socket.create_connection(("127.0.0.1", web.port), PATIENCE)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
            held.append(connection)
            if len(held) % 500 == 0:
                assert web.ask("GET", "/api/v1/load").code == 200
        reader = socket.create_connection(("127.0.0.1", web.port), PATIENCE)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(b"GET /api/v1/watch/ps?n=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(reader)
        with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as writer:
            writer.sendall(
                b"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n"
            )
            assert writer.recv(100).startswith(b"HTTP/1.1 413")
        stats: Any = {row["name"]: row["value"] for row in web.ask("GET", "/api/v1/stats").json["rows"]}
        assert stats["http_connections"] <= 512
        assert stats["http_dropped"] >= 1400
        for path in ("/../../etc/passwd", "/%2e%2e/etc/passwd", "/static/../limits.py", "//etc/passwd",
                     "/api/v1/get/etc/passwd", "/api/v1/get/proc/..%2f..%2fetc%2fpasswd"):  # fmt: skip
            assert web.ask("GET", path).code in (403, 404), path
    finally:
        for connection in held:
            connection.close()


def test_without_it_nothing_is_imported() -> None:
    """Of the web server, the API or OpenAPI."""
    code = (
        "import sys, gomd.tap.service;"
        "print([name for name in sys.modules if name.startswith(('gomd.web', 'twisted.web'))])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"


def test_it_stops_with_open_streams(start_daemon: StartDaemon) -> None:
    """At once, whoever watches."""
    daemon: Daemon = start_daemon(*HTTP)
    events = Web(daemon).watch("/api/v1/watch/nodes")
    next(events)
    began = time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 10
