"""
Every block of code in the documentation is right, as far as that can be said without a cluster.

A block names its language. `console` has commands behind a prompt and what they print, `sh` has commands
alone, `text` is neither. They are run by the tests that `RUN_BY` names, or by the one that stands before
the block.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gom.help_texts import USAGE
from gom.usages import SUMMARIES, options_of, usage_of
from gom.verb_words import VERBS
from gomd.config.loading import load
from gomd.history.sqlite.schema import STEPS
from libgomd.errors import ConfigError
from tests.doc_blocks import BLOCKS, REASONS, ROOT, Block, commands, steps

#: Blocks that no test runs, in all pages.
MOST_NOT_RUN = 6
#: What stands for a word that only the reader knows: PID, NODE, @NODE, JOB-PID.
_STANDS_FOR = re.compile(r"@?[A-Z][A-Z-]+$")
#: The languages that are checked here, and those that are not.
_CHECKED = ("console", "sh", "ini", "sql")
_OTHERS = ("{toctree}", "text", "yaml", "c", "java", "perl", "python", "postgresql")
#: The test that runs, compiles or loads the blocks of a language, below tests/, by page if there are several.
RUN_BY = {
    "console": {"": "integration/test_docs_examples.py"},
    "sh": {"": "integration/test_docs_examples.py"},
    "ini": {"": "unit/test_docs_blocks.py"},
    "sql": {"": "unit/test_docs_blocks.py"},
    "yaml": {"http.md": "integration/test_prometheus.py"},
    "postgresql": {"history.md": "integration/collector/test_stored.py"},
    "c": {"library-c.md": "integration/test_c_client.py"},
    "java": {"library-java.md": "integration/test_java_client.py"},
    "perl": {"library-perl.md": "integration/test_perl_client.py"},
    "python": {
        "library.rst": "integration/test_library_docs.py", "README.rst": "integration/test_readme.py"
    },
}  # fmt: skip


def of(*languages: str) -> pytest.MarkDecorator:
    """Return the decorator that gives a test each block of these languages."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=[f"{block.page}:{block.line}" for block in found])


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


def test_every_block_is_run_somewhere() -> None:
    """By the test of its language or the one that stands before it; or one of few reasons says why not."""
    for block in BLOCKS:
        if block.language in ("{toctree}", "text"):
            assert not block.mark, f"{block.place}: text is not run anyway"
        elif not block.mark:
            by = RUN_BY[block.language]
            test = ROOT / "tests" / (by.get("") or by[block.page])
            assert "" in by or block.page in test.read_text("utf-8"), block.place
            assert test.exists(), block.place
        elif block.mark.startswith("tests/"):
            assert block.page in (ROOT / block.mark).read_text("utf-8"), (
                f"{block.place}: {block.mark} does not say that it runs a block of that page"
            )
        else:
            assert block.mark in REASONS, f"{block.place}: {block.mark!r} is none of {list(REASONS)}"


def test_few_blocks_are_not_run() -> None:
    """A mark without a test is for what installs software and builds this project; it is not the easy way."""
    marked = [block.place for block in BLOCKS if block.mark in REASONS and block.mark != "machines"]
    assert len(marked) <= MOST_NOT_RUN, marked
    machines = {block.page for block in BLOCKS if block.mark == "machines"}
    assert machines == {"install.md"}, "only the tutorial is run by `make test-packages`"


@of("console", "sh")
def test_commands_are_right(block: Block) -> None:
    """The shell can read them, and every call of gom has a verb and options that gom knows."""
    lines = commands(block)
    goes_on = block.mark == "machines" and not steps(block)[0].prompt
    assert lines or goes_on, "a console block has commands behind `$ ` or `# `"
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
