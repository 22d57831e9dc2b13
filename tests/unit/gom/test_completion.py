"""How command lines of gom go on, and that the shells are given exactly that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gom import run_options
from gom.candidates import candidates
from gom.command import main
from gom.completion import SCRIPTS
from gom.init_options import USAGE
from gom.usages import SUMMARIES, options_of, usage_of
from gom.verb_words import VERBS
from gomd.verbs.gom_words import module
from libgomd.wire.lines import Request

ROWS: dict[str, list[dict[str, Any]]] = {
    "nodes": [{"id": 1, "name": "alpha", "up": True}, {"id": 2, "name": "beta", "up": False}],
    "ps": [{"pid": 4711, "user": "ada", "command": "./simulate \x1b[2J"}],
    "jobs": [{"job": 9, "state": "running", "command": "make"}],
    "ls /proc": [{"name": "loadavg"}, {"name": "stat"}, {"name": "hpc"}],
    "ls /proc/stat": [{"name": "stat"}],
    "ls /proc/hpc": [{"name": "nodes"}, {"name": "admin"}],
}


def ask(request: Request) -> Sequence[dict[str, Any]]:
    return ROWS.get(" ".join((request.verb, *request.arguments)), [])


def after(typed: str) -> list[str]:
    """What the last word of a line can be."""
    return [word for word, _about in candidates(typed.split(" "), ask)]


def test_the_verbs_are_those_of_the_table() -> None:
    """`python -m gomd.verbs.gom_words >gom/verb_words.py` after a change of the table; ruff lays it out."""
    made: dict[str, Any] = {}
    exec(module(), made)
    assert made["VERBS"] == VERBS


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mig", ["migrate"]),
        ("-c unix:/x mig", ["migrate"]),
        ("@", ["@all", "@alpha", "@beta"]),
        ("@b", ["@beta"]),
        ("migrate ", ["4711"]),
        ("migrate 4711 ", ["alpha", "beta", "home", "best"]),
        ("migrate --", ["--dry-run", "--help"]),
        ("doctor ", ["4711"]),
        ("doctor 4711 b", ["beta"]),
        ("attach ", ["9"]),
        ("kill ", ["9"]),
        ("signal 4711 K", ["KILL"]),
        ("run -n ", ["alpha", "beta"]),
        ("run ", [":commands"]),
        ("run ls ", [":files"]),
        ("run --no-input ", [":commands"]),
        ("init --key ", [":files"]),
        ("ps --sort c", ["cpu"]),
        ("watch -n 2 ps --so", ["--sort"]),
        ("watch @beta ps --sort r", ["rss"]),
        ("help migr", ["migrate"]),
        ("get ", ["/proc/"]),
        ("get /proc/l", ["/proc/loadavg"]),
        ("get /pr", ["/proc/"]),
        ("get /proc/s", ["/proc/stat"]),
        ("get /etc", []),
        ("get /proc/h", ["/proc/hpc/"]),
        ("ps --sort=c", ["--sort=cpu"]),
        ("top --sort r", ["rss"]),
        ("do x -n al", ["alpha"]),
        ("report --si", ["--since"]),
        ("token ", ["add", "list", "remove"]),
        ("completion f", ["fish"]),
        ("top --o", ["--once"]),
        ("load a", ["alpha"]),
        ("whoami ", []),
        ("nothing such ", []),
        ("-c ", []),
    ],
)
def test_how_a_line_goes_on(typed: str, expected: list[str]) -> None:
    """From the usage texts, the verb table and what the daemon says."""
    assert after(typed) == expected


@pytest.mark.parametrize(
    "name",
    ["$(id)", "`id`", ";id;", "a|b", ">file", "~root", "*", "a'b", "{a,b}", "!!", "a b", "a\nb", "\x1b[2J"],
)
def test_nothing_that_a_shell_would_read_is_offered(name: str) -> None:
    """Bash types a word as it is, and anybody may answer at the port while no daemon runs."""
    rows = [{"id": 1, "name": name, "up": True}, {"id": 2, "name": "beta", "up": True}]

    def hostile(request: Request) -> Sequence[dict[str, Any]]:
        return (
            rows
            if request.verb == "nodes"
            else [{"job": name, "pid": name, "name": name, "state": "", "user": "", "command": ""}]
        )

    assert [word for word, _ in candidates(["load", ""], hostile)] == ["beta"]
    assert candidates(["attach", ""], hostile) == []
    assert candidates(["lock", ""], hostile) == []
    assert candidates(["get", "/proc/hpc/"], hostile) == []


def test_the_first_word_is_any_verb_or_command() -> None:
    """And of another node only what is asked of a daemon."""
    assert set(after("")) == {*VERBS, *SUMMARIES}
    assert set(after("@beta ")) == set(VERBS)


@pytest.mark.parametrize("command", ["run", "attach", "top", "mon", "page", "init", "doctor"])
def test_every_option_of_a_usage_line_is_explained_and_completed(command: str) -> None:
    """An option that stands in the first lines only would be missing in the completion and in the manual."""
    import re

    usage = usage_of(command)
    first = usage.partition("\n\n")[0]
    named = set(re.findall(r"(?<![\w-])(--?[A-Za-z][a-z-]*)", first))
    assert named <= set(options_of(usage)), named - set(options_of(usage))
    assert set(options_of(usage)) <= set(after(f"{command} -")) | {"-h"}


def test_options_know_their_values() -> None:
    """A flag has none."""
    found = options_of(USAGE)
    assert found["--key"][0] == "FILE"
    assert found["--page"][0] == ""
    assert options_of(run_options.RUN_USAGE)["--mem"][0] == "SIZE"


def test_without_a_daemon_there_are_no_live_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no error on the line that somebody types."""
    monkeypatch.setenv("GOMD_ENDPOINT", f"unix:{tmp_path}/none")
    assert main(["completion", "words", "--", "migrate", ""]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["completion", "tcsh"]) == 2


@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_the_scripts_are_good_for_their_shells(shell: str, tmp_path: Path) -> None:
    """The shell itself reads them without a complaint, where it is installed."""
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell])
    if shutil.which(shell) is None:
        assert "completion words" in SCRIPTS[shell]
        return
    subprocess.run([shell, "-n", str(script)], check=True, timeout=30)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gom mig", "migrate"),
        ("gom completion ", "bash zsh fish"),
        ("gom @a", "@all"),
        ("gom ps --sort=c", "cpu"),
        ("gom --js", "--json"),
    ],
)
def test_bash_completes(line: str, expected: str, tmp_path: Path) -> None:
    """A real bash, as at a prompt; `=` ends a word for it, and `@` stays with what follows."""
    gom = tmp_path / "gom"
    gom.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from gom.command import run\nsys.exit(run())\n"
    )
    gom.chmod(0o755)
    (tmp_path / "script").write_text(SCRIPTS["bash"].replace("compopt", "true"))
    line = line.replace("gom", str(gom), 1)
    done = subprocess.run(
        ["bash", "-c", '. "$1"; COMP_LINE="$2" COMP_POINT=${#2}; _gom; echo "${COMPREPLY[@]}"', "-",
         str(tmp_path / "script"), line],
        capture_output=True, text=True, timeout=60, check=True,
        env={"GOMD_ENDPOINT": f"unix:{tmp_path}/none", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == expected
