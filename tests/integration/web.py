"""Asks a real daemon over HTTP, as a program would."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.integration.daemon import PATIENCE, Daemon


class Told(NamedTuple):
    """An answer. :ivar headers: by their names in lower case."""

    code: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


class Web:
    """The HTTP way in of one daemon. :ivar port: where it is."""

    def __init__(self, daemon: Daemon, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.port = int(daemon.wait_for(r"the metrics are at tcp:\S+:(\d+)")[1])
        self._tls = tls
        self._host = host

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self.port, timeout=PATIENCE, context=self._tls)
        return http.client.HTTPConnection(self._host, self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Told:
        """Send one request. An underscore in the name of a header is a hyphen."""
        connection = self._connection()
        content = None if body is None else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, content, named)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Told(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)
        finally:
            connection.close()

    def watch(self, path: str, **headers: str) -> Iterator[tuple[str, Any]]:
        """Yield the event of each message of a stream, `message` when it has no name, and its data."""
        connection = self._connection()
        try:
            connection.request(
                "GET", path, None, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            event = "message"
            while line := answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)
                    event = "message"
        finally:
            connection.close()


def bearer(token: str) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token}"}
