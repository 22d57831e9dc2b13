"""
Every block of code in the documentation is right, as far as that can be said without a cluster.

A block names its language. `console` has commands behind a prompt and what they print, `sh` has commands
alone, `text` is neither. Programs in other languages are compiled and run where their libraries are tested.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gom.help_texts import USAGE
from gom.usages import SUMMARIES, options_of, usage_of
from gom.verb_words import VERBS
from gomd.config.loading import load
from gomd.history.sqlite.schema import STEPS
from libgomd.errors import ConfigError

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What stands for a word that only the reader knows: PID, NODE, @NODE, JOB-PID.
_STANDS_FOR = re.compile(r"@?[A-Z][A-Z-]+$")
#: The languages that are checked here, and those that are not.
_CHECKED = ("console", "sh", "ini", "sql")
_OTHERS = ("{toctree}", "text", "yaml", "c", "java", "perl", "python", "postgresql", "xml")


class Block(NamedTuple):
    """A block of code: the page, the line that it begins at, its language and its text."""

    page: str
    line: int
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield the blocks of all pages."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text("utf-8")
        for found in _FENCE.finditer(text):
            yield Block(path.name, text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = tuple(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    """Return the decorator that gives a test each block of these languages."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=[f"{block.page}:{block.line}" for block in found])


def commands(block: Block) -> list[str]:
    """Return the commands of a block: all lines of `sh`, the lines behind a prompt of `console`."""
    lines = block.text.splitlines()
    return lines if block.language == "sh" else [line[2:] for line in lines if line[:2] in ("$ ", "# ")]


def calls_of_gom(line: str) -> Iterator[list[str]]:
    """Yield the words after `gom` of each call of it in a line of shell."""
    words = shlex.split(line, comments=True)
    split = [[]]  # type: list[list[str]]
    for word in words:
        if word in ("|", "&&", "||", ";", "&"):
            split.append([])
        else:
            split[-1].append(word.removesuffix(";"))
            if word.endswith(";"):
                split.append([])
    for call in split:
        if call and call[0] == "gom":
            yield call[1:]


def wrong_with(words: Sequence[str]) -> str:
    """Return what `gom` would refuse in these words, empty for nothing."""
    rest = list(words)
    while rest and (rest[0].startswith(("-", "@"))):
        option = rest.pop(0)
        if (
            option.startswith("-")
            and option not in options_of(USAGE)
            and option not in ("--help", "--version")
        ):
            return f"gom has no option {option}"
        if option in ("-c", "-t") and rest:
            rest.pop(0)
    if not rest:
        return "" if words else "no verb"
    verb, *arguments = rest
    if _STANDS_FOR.match(verb):
        return ""
    if (
        verb not in VERBS
        and verb not in SUMMARIES
        and verb not in ("history", "report", "events", "migrate", "help")
    ):
        return f"gom has no verb {verb}"
    if verb == "watch":
        return wrong_with([word for word in arguments if not word.startswith("-")][:2])
    known = options_of(usage_of(verb) or VERBS.get(verb, ("",))[0]) | dict.fromkeys(_general(verb), ("", ""))
    for word in arguments:
        if not word.startswith("-") and verb == "run":
            break
        if re.match(r"--?[a-z]", word) and word not in known and not re.match(r"-[0-9]|-\d+[a-z]", word):
            return f"gom {verb} has no option {word}"
    return ""


def _general(verb: str) -> tuple[str, ...]:
    """Return the options of a verb that its own line of usage does not name."""
    more = {
        "history": ("--since", "--until", "--step", "--csv"),
        "report": ("--since", "--until", "-o"),
        "run": ("-j", "-n", "-b"),
        "do": ("-n", "-f", "-l"),
    }
    return (*more.get(verb, ()), "--help")


def test_every_block_names_its_language() -> None:
    """A block without a language, or with one that nobody checks, is a block that nobody has tried."""
    assert len(BLOCKS) > 40
    unknown = [
        (block.page, block.line, block.language)
        for block in BLOCKS
        if block.language not in _CHECKED + _OTHERS
    ]
    assert unknown == []


@of("console", "sh")
def test_commands_are_right(block: Block) -> None:
    """The shell can read them, and every call of gom has a verb and options that gom knows."""
    lines = commands(block)
    assert lines, "a console block has commands behind `$ ` or `# `"
    done = subprocess.run(["sh", "-n"], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in lines:
        if " | while " in line or line.lstrip().startswith(("case ", "done")):
            continue
        for words in calls_of_gom(line):
            assert wrong_with(words) == "", line


def test_wrong_commands_are_found() -> None:
    """The check above can fail: a verb, a global option and an option of a command that do not exist."""
    assert wrong_with(["nodess"]) == "gom has no verb nodess"
    assert wrong_with(["--xml", "nodes"]) == "gom has no option --xml"
    assert wrong_with(["run", "--fast", "true"]) == "gom run has no option --fast"
    assert wrong_with(["ps", "--bottom", "5"]) == "gom ps has no option --bottom"
    assert wrong_with(["run", "-n", "beta", "ls", "--color"]) == ""
    assert list(calls_of_gom("gom @all ps --top 3 | head; gom load # the load")) == [
        ["@all", "ps", "--top", "3"],
        ["load"],
    ]


@of("ini")
def test_settings_are_accepted(block: Block, tmp_path: Path) -> None:
    """A gomd.ini with these lines alone is one that the daemon would start with."""
    file = tmp_path / "gomd.ini"
    file.write_text(block.text)
    try:
        config = load(str(file))
    except ConfigError as error:
        pytest.fail(str(error))
    assert config.warnings == ()


@of("sql")
def test_questions_in_sql_are_answered(block: Block) -> None:
    """The history's own tables answer each statement; Grafana puts numbers for its variables."""
    with sqlite3.connect(":memory:") as database:
        for step in STEPS:
            database.executescript(step)
        database.executescript(re.sub(r"\$__(from|to)", "0", block.text))
