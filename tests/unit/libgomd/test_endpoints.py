"""Where a daemon is, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd.endpoints import Tcp, Unix, default_endpoints, parse_endpoint, state_directory
from libgomd.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp:127.0.0.1:2901", Tcp("127.0.0.1", 2901)),
        ("tcp:beta.example.org:1", Tcp("beta.example.org", 1)),
        ("tcp:[::1]:65535", Tcp("::1", 65535)),
        ("unix:/run/a:b.sock", Unix("/run/a:b.sock")),
    ],
)
def test_an_endpoint_is_read_and_written_alike(text: str, endpoint: Tcp | Unix) -> None:
    """What a user writes comes back in messages as they wrote it."""
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    ["", "tcp:", "tcp:2901", "tcp:host:", "tcp:host:0", "tcp:host:65536", "tcp::2901", "tcp:::1:2901",
     "tcp:host:+1", "tcp:host:٣", "unix:", "unix:a\0b", "udp:host:1", "/run/gomd.sock", "tcp:[]:1"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    """The sentence shows what was written and how it should look."""
    with pytest.raises(ConfigError, match=r"write tcp:HOST:PORT or unix:PATH") as caught:
        parse_endpoint(text)
    assert repr(text) in str(caught.value)


@given(st.text())
def test_any_text_is_an_endpoint_or_one_error(text: str) -> None:
    """Whatever stands in $GOMD_ENDPOINT, nothing but ConfigError comes of it."""
    for prefix in ("", "tcp:", "unix:"):
        try:
            assert parse_endpoint(prefix + text) == parse_endpoint(str(parse_endpoint(prefix + text)))
        except ConfigError:
            pass


def test_state_is_where_the_design_says() -> None:
    """root's is in /var/lib, everybody else's at home, where XDG says."""
    assert state_directory({"HOME": "/root"}, 0) == "/var/lib/gomd"
    assert state_directory({"HOME": "/home/ann"}, 1000) == "/home/ann/.local/state/gomd"
    assert state_directory({"HOME": "/home/ann", "XDG_STATE_HOME": "/x"}, 1000) == "/x/gomd"
    assert (
        state_directory({"HOME": "/home/ann", "XDG_STATE_HOME": "x"}, 1000) == "/home/ann/.local/state/gomd"
    )


def test_a_user_without_home_or_entry_still_has_a_state() -> None:
    """In a container with a bare uid nothing breaks."""
    assert state_directory({}, 54321) == "/.local/state/gomd"


def test_where_a_user_looks() -> None:
    """The caller's own daemon first, then root's, where the kernel says who calls, then the port."""
    assert default_endpoints({"HOME": "/home/ann"}, 1000) == (
        Unix("/home/ann/.local/state/gomd/gomd.sock"),
        Unix("/run/gomd/gomd.sock"),
        Tcp("127.0.0.1", 2901),
    )
    assert default_endpoints({}, 0) == (Unix("/var/lib/gomd/gomd.sock"), Tcp("127.0.0.1", 2901))


def test_who_names_an_endpoint_gets_no_other() -> None:
    """With $GOMD_ENDPOINT a token goes nowhere else, and a mistake in it is told."""
    assert default_endpoints({"GOMD_ENDPOINT": "tcp:beta:7"}, 0) == (Tcp("beta", 7),)
    with pytest.raises(ConfigError):
        default_endpoints({"GOMD_ENDPOINT": "beta"}, 0)
