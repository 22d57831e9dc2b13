"""What is sent to an endpoint that nobody named: questions, and nothing that may have a secret in it."""

from __future__ import annotations

import pytest
from twisted.internet.testing import StringTransport

from gomd.verbs.all import all_verbs
from libgomd.connection import LineConnection, WholeReply
from libgomd.endpoints import FoundTcp, Tcp, Unix, default_endpoints
from libgomd.errors import ConnectionLost, UnprovenEndpoint
from libgomd.model import Role
from libgomd.proof import QUESTIONS, check_request
from libgomd.wire.lines import Request, parse_request

FOUND = FoundTcp("127.0.0.1", 2901)


def test_the_questions_are_the_verbs_that_read() -> None:
    """All but `auth`, `page` and `relay`, which only daemons send; a new verb is thought about here."""
    reading = {verb.name for verb in all_verbs() if verb.role <= Role.READ}
    assert reading - {"auth", "page", "relay"} == QUESTIONS


@pytest.mark.parametrize(
    "line", ["load", "@all ps", "watch -n 2 -c 3 ps 1", "watch @all load", "GET /proc/loadavg", "watch"]
)
def test_a_question_is_sent_anywhere(line: str) -> None:
    """It says nothing that anybody may not know."""
    check_request(parse_request(line.encode()), FOUND)


@pytest.mark.parametrize(
    "line",
    [
        "run", "attach 3", "auth secret", "AUTH secret", "watch auth secret", "watch -n 1 @all auth secret",
        "do backup", "put /proc/hpc/admin/stay 1", "kill 4", "migrate 4711 best", "shutdown", "auht secret",
        "@2 setspeed 7",
    ],
)  # fmt: skip
def test_all_else_is_sent_where_somebody_wanted_it(line: str) -> None:
    """The error says what to do; an endpoint that was named gets everything."""
    request = parse_request(line.encode())
    with pytest.raises(UnprovenEndpoint, match=r"name the endpoint .* with -c or in \$GOMD_ENDPOINT"):
        check_request(request, FOUND)
    check_request(request, Tcp("127.0.0.1", 2901))
    check_request(request, Unix("/tmp/sock"))


def test_the_default_is_marked_and_what_is_named_is_not() -> None:
    """$GOMD_ENDPOINT is the user's own choice, the same port too."""
    with pytest.raises(ConnectionLost, match=r"^no daemon at unix:/x \(gone\), and `run` is not sent"):
        check_request(Request("run"), default_endpoints({}, 1000)[-1], ("unix:/x (gone)",))
    [named] = default_endpoints({"GOMD_ENDPOINT": "tcp:127.0.0.1:2901"}, 1000)
    check_request(Request("run"), named)


def test_a_connection_of_the_twisted_client_checks_what_it_sends() -> None:
    """Nothing of it is written, and the requests around it are."""
    connection, transport = LineConnection(), StringTransport()
    connection.check = lambda request: check_request(request, FOUND)
    connection.makeConnection(transport)
    connection.send(Request("load"), WholeReply())
    with pytest.raises(UnprovenEndpoint):
        connection.send(Request("auth", ("secret",)), WholeReply())
    connection.send(Request("speed"), WholeReply())
    assert transport.value() == b"load\r\nspeed\r\n"
