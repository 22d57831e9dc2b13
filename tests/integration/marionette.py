"""A Firefox of its own for a test, steered by Marionette, the protocol that it speaks itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.integration.daemon import PATIENCE
from tests.integration.jobs import free_port

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
#: Complaints of the page itself; Firefox has its own of its own parts.
_COMPLAINTS = """
return Services.console.getMessageArray().map((each) => {
  try { each.QueryInterface(Ci.nsIScriptError); } catch { return ""; }
  const isOurs = each.sourceName.startsWith(arguments[0]) || /CSP|Trusted/.test(each.category);
  return isOurs ? `${each.category}: ${each.errorMessage}` : "";
}).filter(Boolean);
"""


class Firefox:
    """One Firefox without a screen. Use it with ``with``."""

    def __init__(self, home: Path) -> None:
        assert FIREFOX is not None
        port = free_port()
        profile = home / "firefox"
        profile.mkdir()
        settings = {
            "marionette.port": port, "app.update.enabled": False,
            "datareporting.policy.dataSubmissionEnabled": False,
            "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
            "browser.shell.checkDefaultBrowser": False, "toolkit.telemetry.enabled": False,
            "services.settings.server": "http://127.0.0.1:9/", "network.proxy.type": 0,
        }  # fmt: skip
        lines = [f'user_pref("{name}", {json.dumps(value)});\n' for name, value in settings.items()]
        (profile / "user.js").write_text("".join(lines))
        self._process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--marionette", "--remote-allow-system-access",
             "--profile", str(profile)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip
        self._number = 0
        try:
            self._socket = self._connected(port)
            self._file = self._socket.makefile("rb")
            self._read()
            self.ask("WebDriver:NewSession", strictFileInteractability=False)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _connected(self, port: int) -> socket.socket:
        end = time.monotonic() + 2 * PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 2 * PATIENCE)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _read(self) -> Any:
        size = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox has ended"
            size += byte
        return json.loads(self._file.read(int(size)))

    def ask(self, command: str, **parameters: Any) -> Any:
        """Send a command of Marionette; return its value. :raises AssertionError: it failed."""
        self._number += 1
        text = json.dumps([0, self._number, command, parameters])
        self._socket.sendall(f"{len(text.encode())}:{text}".encode())
        _, _, error, value = self._read()
        assert error is None, (command, error)
        return value.get("value") if isinstance(value, dict) and "value" in value else value

    def open(self, url: str) -> None:
        """Go to a page."""
        self.ask("WebDriver:Navigate", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page; return what it returns."""
        return self.ask("WebDriver:ExecuteScript", script=script, args=arguments, newSandbox=False)

    def until(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function until it returns something true; return that."""
        end = time.monotonic() + 2 * PATIENCE
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < end, (script, self.run("return document.body.innerText"))
            time.sleep(0.2)
        return found

    def complaints(self, url: str) -> list[str]:
        """Return what the console says about files below ``url``, and what policies have refused."""
        self.ask("Marionette:SetContext", value="chrome")
        found: list[str] = self.run(_COMPLAINTS, url)
        self.ask("Marionette:SetContext", value="content")
        return found
