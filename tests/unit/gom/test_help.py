"""What gom tells of itself and of each verb, without a daemon."""

from __future__ import annotations

import pytest

from gom.command import main
from gom.usages import SUMMARIES, usage_of
from gom.verb_words import VERBS

NO_DAEMON = "unix:/nonexistent/gomd.sock"


@pytest.mark.parametrize("before", [[], ["--json"], ["-c", NO_DAEMON], ["-t", "token", "--json"]])
def test_options_may_stand_before_help_and_version(
    before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody who has typed half a command line, or has an alias with -c, asks too."""
    for word in ("-h", "--help"):
        assert main([*before, word]) == 0
        assert capsys.readouterr().out.startswith("usage: gom [-c ENDPOINT]")
    assert main([*before, "--version"]) == 0
    assert capsys.readouterr().out.startswith("gom ")


@pytest.mark.parametrize("verb", sorted({*VERBS, *SUMMARIES}))
@pytest.mark.parametrize("at", [[], ["@two"]])
def test_every_verb_has_a_help(verb: str, at: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No daemon is asked: `expel --help` and `stay -h` are reasons to a daemon, and it would do them."""
    for word in ("-h", "--help"):
        assert main(["-c", NO_DAEMON, *at, verb, word]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith("usage: gom ")
        assert verb in printed.out
        assert printed.err == ""
        assert max(map(len, printed.out.splitlines())) <= 120


@pytest.mark.parametrize("command", [*SUMMARIES, "history", "migrate"])
def test_help_verb_knows_the_commands_of_gom(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon has no verb `top`, and knows less of `run` than gom does."""
    assert main(["-c", NO_DAEMON, "help", command]) == 0
    assert usage_of(command) in capsys.readouterr().out


@pytest.mark.parametrize("words", [["help", "load"], ["help", "newer"], ["newer", "--help"]])
def test_what_only_the_daemon_knows_is_asked_there(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be newer than this gom."""
    assert main(["-c", NO_DAEMON, *words]) == 3
    assert capsys.readouterr().out == ""


def test_an_endpoint_is_no_empty_word(capsys: pytest.CaptureFixture[str]) -> None:
    """`gom -c "$UNSET" shutdown` asks no other daemon than the one that was meant."""
    assert main(["-c", "", "load"]) == 2
    assert capsys.readouterr().err == "gom: -c needs an endpoint, not an empty word; see `gom --help`\n"
