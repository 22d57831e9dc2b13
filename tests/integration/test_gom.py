"""The gom command against a daemon that follows a script: what is printed where, and how it exits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gom.command import main
from tests.integration.scripted import Start, scripted_daemons

start = pytest.fixture(scripted_daemons)

GOM = [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the daemon or the token of whoever runs it."""
    monkeypatch.setenv("GOMD_ENDPOINT", "tcp:127.0.0.1:1")
    monkeypatch.delenv("GOMD_TOKEN", raising=False)


def test_a_short_answer_is_printed(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """`gom load` prints the number and exits with 0."""
    assert main(["-c", start({"load": "200 57"}).endpoint, "load"]) == 0
    assert capsys.readouterr() == ("57\n", "")


def test_a_table_is_printed_as_it_comes(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """The block without the line protocol's dots; what could drive a terminal is made visible."""
    daemon = start({"@3 ps 1 'a b'": "201 2 processes\nPID\n..\n1 \x1b[2J\x9b é\n."})
    assert main(["-c", daemon.endpoint, "@3", "ps", "1", "a b"]) == 0
    assert capsys.readouterr() == ("PID\n.\n1 \\x1b[2J\\xc2\\x9b é\n", "")


def test_json_is_asked_for_and_passed_on(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, nothing else."""
    daemon = start({"nodes": '201 1 node\n{"id": 1}\n.'})
    assert main(["-c", daemon.endpoint, "--json", "nodes"]) == 0
    assert capsys.readouterr().out == '{"id": 1}\n'
    assert daemon.all_gone()
    assert daemon.heard == [["format json", "nodes"]]


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        ("history", "; see `gom history --help`"), ("migrate", "; see `gom migrate --help`"),
        ("where", "; see `gom --help`"),
    ],
)  # fmt: skip
def test_usage_from_the_daemon_says_where_the_help_is(
    start: Start, capsys: pytest.CaptureFixture[str], verb: str, hint: str
) -> None:
    """As wrong usage does that gom finds itself."""
    daemon = start({verb: f"400 usage: {verb} WORD"})
    assert main(["-c", daemon.endpoint, verb]) == 1
    assert capsys.readouterr().err == f"gom: usage: {verb} WORD{hint}\n"


def test_a_long_block_is_printed_whole(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """More lines than are written in one go."""
    lines = "\n".join(str(number) for number in range(1234))
    assert main(["-c", start({"ps": f"201 x\n{lines}\n."}).endpoint, "ps"]) == 0
    assert capsys.readouterr().out == lines + "\n"


def test_the_daemon_decides_what_a_verb_is(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """Its sentence goes to stderr, the exit status is 1. Options after the verb are the verb's."""
    daemon = start({"frobnicate --json -c": "400 no verb `frobnicate`: say `help`"})
    assert main(["-c", daemon.endpoint, "frobnicate", "--json", "-c"]) == 1
    assert capsys.readouterr() == ("", "gom: no verb `frobnicate`: say `help`\n")


@pytest.mark.parametrize(
    "last", ["! 404 no process 42: it has ended", '{"code": 404, "error": "no process 42: it has ended"}']
)
def test_an_answer_that_could_not_be_completed_is_a_failure(
    last: str, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came is printed, the reason goes to stderr; a file or an output that looks like that is none."""
    daemon = start(
        {"watch where 42": f"201 watching\n1\n{last}\n1\n{last}\n.", "get /proc/x": f"201 x\n{last}\n."}
    )
    assert main(["-c", daemon.endpoint, "watch", "where", "42"]) == 1
    assert capsys.readouterr() == (f"1\n{last}\n1\n", "gom: no process 42: it has ended\n")
    assert main(["-c", daemon.endpoint, "get", "/proc/x"]) == 0
    assert capsys.readouterr() == (f"{last}\n", "")


def test_migrate_has_its_own_option(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` may stand before the process, as options of commands do; an unknown one is said."""
    answers = {
        "migrate 7 best dry-run": "200 process 7 can move to node 2 beta",
        "migrate 7 home": "200 process 7 runs on node 1 alpha",
    }
    daemon = start({**answers, **{f"@3 {said}": answer for said, answer in answers.items()}})
    for words in (["migrate", "--dry-run", "7", "best"], ["@3", "migrate", "7", "best", "--dry-run"]):
        assert main(["-c", daemon.endpoint, *words]) == 0
        assert capsys.readouterr().out == "process 7 can move to node 2 beta\n"
    assert main(["-c", daemon.endpoint, "@3", "migrate", "7", "home"]) == 0
    assert main(["-c", daemon.endpoint, "migrate", "-n", "2", "7"]) == 2
    assert "there is no option -n of migrate" in capsys.readouterr().err
    assert main(["migrate", "--help"]) == 0
    assert "--dry-run" in capsys.readouterr().out
    daemon.all_gone()
    assert [heard[-1] for heard in daemon.heard] == [
        "migrate 7 best dry-run", "@3 migrate 7 best dry-run", "@3 migrate 7 home",
    ]  # fmt: skip


def test_a_token_is_shown_first(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From -t, or from the environment; a wrong one stops everything."""
    daemon = start({"auth good": "200 admin ann", "auth bad": "403 not known here", "stay": "200 stay"})
    assert main(["-c", daemon.endpoint, "-t", "good", "stay"]) == 0
    monkeypatch.setenv("GOMD_TOKEN", "bad")
    assert main(["-c", daemon.endpoint, "stay"]) == 1
    assert daemon.all_gone()
    assert daemon.heard == [["auth good", "stay"], ["auth bad"]]


def test_help_is_ours_and_the_daemons(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """`gom help` says how to use gom and what the daemon can; `help VERB` is the daemon's for its verbs."""
    daemon = start({"help": "201 1 verb\nload\n.", "help load": "201 1 verb\nload [NODE]\n."})
    assert main(["-c", daemon.endpoint, "help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: gom ")
    assert printed.endswith("\nload\n")
    assert main(["-c", daemon.endpoint, "help", "load"]) == 0
    assert capsys.readouterr().out == "load [NODE]\n"


def test_no_daemon_is_said_with_the_place(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 3: nothing there, somebody else there, or gone before the answer."""
    assert main(["load"]) == 3
    assert "no daemon at tcp:127.0.0.1:1 (Connection refused): is gomd running?" in capsys.readouterr().err
    assert main(["-c", start({}, greeting="SSH-2.0-OpenSSH_9.2").endpoint, "load"]) == 3
    assert main(["-c", start({"load": "HANG UP"}).endpoint, "load"]) == 3
    assert main(["-c", start({}, greeting="429 too many connections").endpoint, "load"]) == 1


@pytest.mark.parametrize(
    "argv",
    [[], ["--json"], ["-c"], ["-x", "load"], ["-c", "127.0.0.1", "load"], ["@3"], ["load\nshutdown"], ["--"],
     ["key"], ["key", "new"], ["token"], ["token", "add", "ann"], ["token", "add", "ann", "root"],
     ["token", "add", "-n", "read"], ["token", "list", "--file"], ["token", "remove"]],
)  # fmt: skip
def test_wrong_usage_is_exit_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence on stderr, nothing asked, nothing written."""
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("gom: ")
    assert printed.err.count("\n") == 1


def test_a_watch_prints_at_once_and_ends_with_ctrl_c(start: Start) -> None:
    """Exit status 130, no traceback, and the daemon's connection is closed."""
    daemon = start({"watch load": "201 watching\n57"})
    with subprocess.Popen(
        [*GOM, "-c", daemon.endpoint, "watch", "load"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as gom:
        assert gom.stdout is not None
        assert gom.stdout.readline() == b"57\n"
        gom.send_signal(signal.SIGINT)
        _, errors = gom.communicate(timeout=10)
    assert (gom.returncode, errors) == (130, b"")
    assert daemon.all_gone()


def test_a_reader_who_has_enough_is_no_error(start: Start) -> None:
    """`gom ps | head -1` is quiet."""
    lines = "\n".join(["x" * 100] * 10_000)
    daemon = start({"ps": f"201 x\n{lines}\n."})
    with subprocess.Popen(
        [*GOM, "-c", daemon.endpoint, "ps"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as gom:
        assert gom.stdout is not None
        assert gom.stdout.readline() == b"x" * 100 + b"\n"
        gom.stdout.close()
        assert gom.stderr is not None
        assert gom.stderr.read() == b""
        assert gom.wait(10) == 141


@pytest.mark.parametrize("words", [["load"], ["--help"], ["--version"]], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["as usual", "unbuffered"])
def test_a_full_disk_is_said(start: Start, words: list[str], unbuffered: str) -> None:
    """The answer that could not be written is no success, whether Python writes it at once or at its end."""
    daemon = start({"load": "200 57"})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*GOM, "-c", daemon.endpoint, *words] if words == ["load"] else [*GOM, *words],
            stdout=full, stderr=subprocess.PIPE, timeout=10, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"gom: the answer cannot be written: No space left on device\n"


def test_it_prints_utf_8_whatever_the_locale(start: Start) -> None:
    """A command line with letters from elsewhere does not break a cron job."""
    daemon = start({"ps": "201 x\né\n."})
    done = subprocess.run(
        [*GOM, "-c", daemon.endpoint, "ps"],
        env={**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "é\n".encode())


def test_it_starts_in_milliseconds(tmp_path: Path) -> None:
    """What makes other commands slow to start is not imported for a question."""
    code = (
        "import sys; import gom.command, gom.relay;"
        "print(sorted({'argparse', 'dataclasses', 'inspect', 'json', 'asyncio', 'subprocess', 'hashlib',"
        " 'importlib.metadata', 'logging', 'encodings.idna'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
