"""
The blocks of code in the documentation, as the tests run them.

A block names its language. `console` has commands behind a prompt and what they print, `sh` a script, `text`
is neither. A comment in the line before a block says that it is not run where the others of its language are:
``<!-- example: WHY -->`` in Markdown, ``.. example: WHY`` in README.rst, where WHY is one of `REASONS`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
#: Why a block is not run with the others of its language, and what sees to it instead.
REASONS: Final[Mapping[str, str]] = {
    "machines": "it is for machines of Debian 13 with systemd: `make test-packages` runs it",
    "installs": "it fetches software from the network, for good",
    "checkout": "it builds or tests this whole project, which `make test` and CI do",
}
_FENCE: Final = re.compile(
    r"(?:^<!-- example: (?P<mark>[^\n]*) -->\n)?^(?P<fence>```+)(?P<language>\S*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_DIRECTIVE: Final = re.compile(
    r"(?:^\.\. example: (?P<mark>[^\n]*)\n\n)?"
    r"^\.\. code-block:: (?P<language>\S+)\n\n(?P<text>(?:    ?.*\n|\n)+)",
    re.MULTILINE,
)
#: `$ `, `# `, or `root@alpha:~# ` where it matters on which machine that is.
_PROMPT: Final = re.compile(r"((?:(?P<user>[a-z]+)@(?P<host>[a-z]+):[~/]\S*?)?[#$]) (?P<command>.*)")


class Block(NamedTuple):
    """
    A block of code: the page, the line that it begins at, its language and its text.

    :ivar mark: why it is not run with the others, empty for those that are.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for the name of a test."""
        return f"{self.page}:{self.line}"


class Step(NamedTuple):
    """
    A command behind a prompt, and the lines that are printed then.

    :ivar prompt: without the space; empty where a block goes on with what an earlier command prints.
    :ivar user: who types it on the machine ``host``; both empty where the prompt does not say it.
    """

    prompt: str
    user: str
    host: str
    command: str
    output: tuple[str, ...]


def pages() -> Iterator[Path]:
    """Yield the files with the documentation."""
    yield ROOT / "README.rst"
    yield from sorted((ROOT / "docs").glob("*.md"))
    yield from sorted((ROOT / "docs").glob("*.rst"))


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    text = path.read_text("utf-8")
    for found in (_FENCE if path.suffix == ".md" else _DIRECTIVE).finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        body = found["text"] if path.suffix == ".md" else f"{textwrap.dedent(found['text']).strip()}\n"
        yield Block(path.name, line, found["language"], body, found["mark"] or "")


BLOCKS: Final = tuple(block for page in pages() for block in blocks_of(page))


def steps(block: Block) -> list[Step]:
    """Return what a `console` block says is typed, and printed."""
    found: list[Step] = []
    for line in block.text.splitlines():
        prompt = _PROMPT.match(line)
        if prompt:
            found.append(Step(prompt[1], prompt["user"] or "", prompt["host"] or "", prompt["command"], ()))
        elif found:
            found[-1] = found[-1]._replace(output=(*found[-1].output, line))
        else:
            found.append(Step("", "", "", "", (line,)))
    return found


def commands(block: Block) -> list[str]:
    """Return the commands of a block: all lines of `sh`, the lines behind a prompt of `console`."""
    if block.language == "sh":
        return block.text.splitlines()
    return [step.command for step in steps(block) if step.prompt]


class Numbers:
    """
    What the numbers in printed output are in a run: job 17 is another one there, and so is PID 4711.

    Numbers of two digits and more are learned from the output that is shown, and put into later commands.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def put(self, command: str) -> str:
        """Return a command with the numbers of this run."""
        return re.sub(
            r"(?<![\w.:/-])\d{2,}\b(?![.:-])", lambda found: self._known.get(found[0], found[0]), command
        )

    def learn(self, shown: str, printed: str) -> None:
        """Compare two lines of one shape word by word."""
        words = (re.findall(r"[^\s,;:()]+", line) for line in (shown, printed))
        for ours, theirs in zip(*words, strict=False):
            if re.fullmatch(r"\d{2,}", ours) and theirs.isdigit():
                self._known[ours] = theirs


def shape(line: str) -> str:
    """Return a line without what differs from run to run: numbers, and how wide the columns are."""
    return re.sub(r"\s+", " ", re.sub(r"\d+(?:\.\d+)*", "N", line)).strip()
