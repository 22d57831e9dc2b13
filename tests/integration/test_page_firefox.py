"""The page in Firefox: the same modules, worker, policies and charts in the other browser people have."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from gom import token as tokens
from tests.integration.conftest import StartDaemon
from tests.integration.jobs import until
from tests.integration.marionette import FIREFOX, Firefox
from tests.integration.test_page import url_of
from tests.integration.web import Web

pytestmark = pytest.mark.skipif(FIREFOX is None, reason="firefox-esr is not installed")

_TEXT = "return document.body.innerText.includes(arguments[0])"
_BUTTON = """
const all = [...document.querySelectorAll(arguments[0] + " button")];
const found = all.find((each) => each.textContent === arguments[1]);
found?.click();
return Boolean(found);
"""


def test_firefox_shows_the_page(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Tiles, sign-in, processes, the past of a node and the theme; its console stays empty."""
    token = str(tokens.add(str(tmp_path / "tokens"), "root", "admin"))
    ini = f"[telnet]\ntokens_file = {tmp_path / 'tokens'}\n[collector]\nperiod = 0.5\n"
    daemon = start_daemon("--http", "tcp:127.0.0.1:0", "--node-id", "1", "--name", "node1", ini=ini)
    url, marker = url_of(daemon), uuid.uuid4().hex
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)", f"<img src=x onerror=alert(1)>{marker}"]
    with subprocess.Popen(sleeper) as process, Firefox(tmp_path) as firefox:
        try:
            firefox.open(url)
            firefox.until(
                "return document.querySelector('.tile[data-state=up] .name')?.textContent === 'node1'"
            )
            firefox.until(_BUTTON, "header", "Sign in")
            firefox.run("document.querySelector('dialog input').value = arguments[0]", token)
            firefox.until(_BUTTON, "dialog", "Sign in")
            firefox.until(_TEXT, "Sign out root")
            firefox.run("location.hash = arguments[0]", f"#/processes?match={marker}")
            firefox.until("return document.querySelectorAll('.space .row').length === 1")
            assert firefox.run(_TEXT, f"<img src=x onerror=alert(1)>{marker}")
            firefox.run("document.querySelector('.space .row a').click()")
            firefox.until(_TEXT, "Memory: ")
            firefox.run("location.hash = '#/node/1?span=-15m'")
            firefox.until(_TEXT, "Processors in use: ")
            firefox.until(_BUTTON, "header", "Dark")
        finally:
            process.kill()
        [row] = [
            row
            for row in Web(daemon).ask("GET", "/api/v1/stats").json["rows"]
            if row["name"] == "http_streams"
        ]
        assert row["value"] in (3, 4)  # the nodes and events, processes, and those that are just being closed
        assert firefox.complaints(url) == []
        daemon.stop()
        firefox.until(_TEXT, "no connection, trying again")
        firefox.run("new Image().src = 'data:image/png,x'")
        until(lambda: firefox.complaints(url))  # what the policy refuses would be seen
