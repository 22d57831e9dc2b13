"""From URLs and bodies to requests, and what no URL or body can do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gomd.verbs.all import all_verbs
from gomd.verbs.table import Verb
from gomd.web.verb_requests import body_of, options_of, query_of, request_of, watch_request
from libgomd.errors import MalformedRequest
from libgomd.model import Role
from libgomd.wire.lines import Request, encode_request, parse_request

VERBS = {verb.name: verb for verb in all_verbs()}


def usage(arguments: str) -> Verb:
    """Return a verb with this usage."""
    return Verb("verb", arguments, Role.READ, "", lambda *_: None)  # type: ignore[arg-type]


def test_the_arguments_and_options_of_a_usage() -> None:
    """Whatever a later verb writes."""
    assert options_of(usage("NODE FIELD[,FIELD...] [--since=T] [--points N] [--all]"))[:3] == (
        ("since", "points"), ("all",), (("node", True, ""), ("field", True, "")),
    )  # fmt: skip
    assert options_of(VERBS["migrate"]).words[2] == ("dry_run", False, "dry-run")
    assert options_of(VERBS["ps"]).more
    assert options_of(usage("[NAME ...]"))[2:] == ((("name", False, ""),), True)


@pytest.mark.parametrize(
    ("verb", "rest", "query", "body", "line"),
    [
        ("ps", "4711/4712", "top=2&jobs=1&node=all", {}, "@all ps 4711 4712 --top=2 --jobs"),
        ("ps", "", "jobs=0&match=a%20b+c", {}, "ps '--match=a b c'"),
        ("get", "proc/hpc/nodes/3/load", "", {}, "get /proc/hpc/nodes/3/load"),
        ("get", "/proc//x%2fy", "", {}, "get /proc//x/y"),
        ("kill", "", "", {"job": 7, "sig": "TERM"}, "kill 7 TERM"),
        ("kill", "7", "", {"sig": "TERM"}, "kill 7 TERM"),
        ("migrate", "", "", {"pid": 7, "node": "beta", "dry_run": True}, "migrate 7 beta dry-run"),
        ("migrate", "", "node=3", {"pid": 7, "node": "beta", "dry_run": False}, "@3 migrate 7 beta"),
        ("stay", "", "", {"node": 3}, "@3 stay"),
        ("where", "4711/%33", "", {}, "where 4711 3"),
    ],
)
def test_a_url_is_a_line(verb: str, rest: str, query: str, body: dict[str, Any], line: str) -> None:
    """Each as it would be typed."""
    found = request_of(VERBS[verb], rest.encode(), query_of(query.encode()), body)
    assert found == parse_request(line.encode())


def test_a_watch_is_a_line() -> None:
    """Of this node, of another, of all."""
    assert watch_request(VERBS["load"], b"", {"n": "2", "c": "3", "node": "all"}) == Request(
        "watch", ("-n", "2", "-c", "3", "@all", "load")
    )


@pytest.mark.parametrize(
    "content", [b'{"pid": 7, "sig": 9, "pid": 8}', b'{"argv": ["a"], "env": {"A": "1", "A": "2"}}']
)
def test_a_name_is_given_once(content: bytes) -> None:
    """Another reader of the same bytes, a proxy that checks them, may take the other one."""
    with pytest.raises(MalformedRequest, match="is given twice: give it once"):
        body_of(content)


@given(some.binary(max_size=60), some.binary(max_size=60), some.binary(max_size=60))
def test_no_bytes_make_two_lines(rest: bytes, query: bytes, content: bytes) -> None:
    """Any path, query and body make one request that can be sent as one line, or an error."""
    for verb in VERBS.values():
        if verb.method:
            try:
                found = request_of(verb, rest, query_of(query), body_of(content))
            except MalformedRequest:
                continue
            line = encode_request(found)
            assert line.count(b"\n") == 1
            assert parse_request(line.rstrip(b"\r\n")) == found
