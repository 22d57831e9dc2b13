"""
Writes the manual pages from the usage texts of gom, the table of verbs, the daemon's options and gomd.ini.

`make man` runs it: `python contrib/manual.py packaging/man`. The pages have no date, so that the same source
gives the same pages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gom.help_texts import USAGE
from gom.usages import SUMMARIES, usage_of
from gom.verb_words import VERBS
from gomd.config import SHORT_OPTIONS
from libgomd.version import VERSION

ROOT: Final = Path(__file__).parents[1]
#: The commands that have a page of their own, gom-NAME(1).
COMMANDS: Final = (
    "run", "attach", "top", "mon", "page", "init", "invite", "doctor", "migrate", "do", "mount", "completion"
)  # fmt: skip
_OPTION: Final = re.compile(r"  (-\S+(?:, -\S+)*(?: (?:[A-Z]+\b|1-4,7))?)(?:\s+(.*))?$")
_ENTRY: Final = re.compile(r"  (\S+(?: \S+)*)(?:  +(\S.*))?$")
_SETTING: Final = re.compile(r"([a-z_]+) =(?: (.*))?$")


class Entry(NamedTuple):
    """A word and what it means."""

    tag: str
    text: str


class Page:
    """One manual page, in the man(7) macros."""

    def __init__(self, name: str, section: int, about: str) -> None:
        self._lines = [
            '.\\" Made by `make man`; do not edit.',
            f'.TH {name.upper()} {section} "" "gomd {VERSION}"',
        ]
        self.head("NAME")
        self.text(f"{name} - {about}")

    def head(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f".SH {title}")

    def part(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f".SS {escaped(title)}")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        line = escaped(text)
        self._lines += [".PP", line] if self._lines[-1][:3] not in (".SH", ".SS") else [line]

    def entries(self, entries: Iterable[Entry]) -> None:
        """Add words with their meanings."""
        for tag, text in entries:
            self._lines += [".TP", f"\\fB{escaped(tag)}\\fR", escaped(text or "see above")]

    def verbatim(self, text: str) -> None:
        """Add lines as they are."""
        self._lines += [".PP", ".nf", *map(escaped, text.rstrip("\n").split("\n")), ".fi"]

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def escaped(text: str) -> str:
    """Return text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def parsed(usage: str) -> tuple[str, list[Entry | str]]:
    """Return the synopsis of a usage text, and its entries and paragraphs in their order."""
    synopsis, _, rest = usage.partition("\n\n")
    found: list[Entry | str] = []
    for block in rest.strip("\n").split("\n\n"):
        lines = block.split("\n")
        if not lines[0].startswith("  "):
            found.append(" ".join(map(str.strip, lines)))
            continue
        for line in lines:
            match = _OPTION.match(line) or _ENTRY.match(line)
            if match:
                found += _split(match[1], match[2] or "")
            elif found and isinstance(found[-1], Entry):
                found[-1] = found[-1]._replace(text=f"{found[-1].text} {line.strip()}".strip())
            else:
                found.append(line.strip())
    return re.sub(r"^usage: |^       ", "", synopsis, flags=re.MULTILINE), found


def _split(tag: str, text: str) -> Iterator[Entry]:
    """Yield the entries of a line that has several: `-s  speed    -m  memory used`."""
    first, *others = re.split(r"\s{3,}(?=-\S)", text)
    yield Entry(tag, first.strip())
    for other in others:
        more, _, meaning = other.partition("  ")
        yield Entry(more.strip(), meaning.strip())


def explain(page: Page, usage: str) -> None:
    """Add SYNOPSIS, DESCRIPTION and OPTIONS as the usage text has them."""
    synopsis, found = parsed(usage)
    page.head("SYNOPSIS")
    page.verbatim(synopsis)
    paragraphs = [each for each in found if isinstance(each, str)]
    entries = [each for each in found if isinstance(each, Entry)]
    statuses = [each for each in paragraphs if each.startswith("Exit status: ")]
    described = [each for each in paragraphs if each not in statuses]
    if described:
        page.head("DESCRIPTION")
        for paragraph in described:
            page.text(paragraph)
    if entries:
        page.head("OPTIONS")
        page.entries(entries)
    if statuses:
        page.head('"EXIT STATUS"')
        page.text(statuses[0].removeprefix("Exit status: "))


def gom() -> str:
    """Return gom(1)."""
    page = Page("gom", 1, "ask the gomd daemons of a cluster, and run and move jobs")
    explain(page, USAGE)
    page.head("VERBS")
    page.text("What can be asked of a daemon, with the lowest role that may ask it.")
    page.entries(Entry(usage, f"{summary} ({role})") for usage, role, summary in VERBS.values())
    page.head("ENVIRONMENT")
    page.entries([
        Entry("GOMD_ENDPOINT", "the daemon to ask, as with -c"),
        Entry("GOMD_TOKEN", "the token, as with -t"),
    ])  # fmt: skip
    page.head("FILES")
    page.entries([
        Entry("/run/gomd/gomd.sock", "the socket by which every user reaches the daemon of root"),
        Entry("/var/lib/gomd/gomd.sock", "the socket in the state directory of that daemon"),
    ])  # fmt: skip
    page.head('"SEE ALSO"')
    page.text(", ".join(f"gom-{name}(1)" for name in COMMANDS) + ", gomd(8), gomd.ini(5)")
    return str(page)


def command(name: str) -> str:
    """Return gom-NAME(1)."""
    about = SUMMARIES.get(name) or VERBS[name][2]
    page = Page(f"gom-{name}", 1, about)
    explain(page, usage_of(name))
    page.head('"SEE ALSO"')
    page.text("gom(1), gomd(8)")
    return str(page)


def gomd() -> str:
    """Return gomd(8)."""
    page = Page("gomd", 8, "the general openMosix daemon")
    page.head("SYNOPSIS")
    page.verbatim("twistd [-n] gomd [OPTION ...]\ntwistd gomd --check [OPTION ...]")
    page.head("DESCRIPTION")
    page.text(
        "gomd runs on every node of a Linux cluster. It collects what the kernel knows of the node, answers "
        "requests of gom(1), programs and browsers, knows which nodes are up, and starts and moves "
        "processes. It is a plugin of twistd, whose options come before the word gomd: -n keeps "
        "it in the foreground. Debian calls the program twistd3."
    )
    page.head("OPTIONS")
    page.entries([
        Entry("--config FILE", "the configuration file; else ./gomd.ini, /etc/gomd/gomd.ini or "
              "/etc/gomd.conf, the first that is there"),
        Entry("--set SECTION.KEY=VALUE", "one setting, instead of the value in the file; may be repeated"),
        Entry("--check", "check the configuration, list every mistake in it, and exit"),
        *(Entry(f"--{name} VALUE", text) for name, text in SHORT_OPTIONS.items()),
    ])  # fmt: skip
    page.head("SIGNALS")
    page.entries([
        Entry("TERM, INT, QUIT", "stop; jobs go on, and the next start finds them again"),
        Entry("HUP", "read gomd.ini again; begin a new log file if the old one was moved away"),
        Entry("USR1", "begin a new log file"),
    ])  # fmt: skip
    page.head('"EXIT STATUS"')
    page.text(
        "0 stopped, or the configuration is good; 1 it was started by hand and could not start. Under "
        "systemd 78 says that the settings have mistakes, and 75 that something else, which may pass, "
        "kept it from starting."
    )
    page.head("FILES")
    page.entries([
        Entry("/etc/gomd/gomd.ini", "the configuration, which `gom init` writes"),
        Entry("/etc/gomd/key", "the cluster's secret, mode 0600; who can read it is root on every node"),
        Entry("/var/lib/gomd", "STATE of root's daemon, mode 0700"),
        Entry("/run/gomd/gomd.sock", "the socket for every user"),
    ])  # fmt: skip
    page.head('"SEE ALSO"')
    page.text("gom(1), gom-init(1), gom-doctor(1), gomd.ini(5), twistd(1), criu(8)")
    return str(page)


def gomd_ini(text: str, spec: str) -> str:
    """Return gomd.ini(5), from the commented gomd.ini and gomd.spec.ini."""
    page = Page("gomd.ini", 5, "configuration of the gomd daemon")
    checks = dict(_checks(spec))
    head, _, rest = text.partition("\n\n")
    page.head("DESCRIPTION")
    page.text(_joined(head.split("\n")).removeprefix("gomd.ini: every setting at its default. "))
    page.head("SETTINGS")
    notes: list[str] = []
    section, started = "", False
    for line in rest.split("\n"):
        if line.startswith("["):
            section, notes, started = line.strip("[]"), [], False
            page.part(f"[{section}]")
        elif line.startswith("#"):
            notes.append(line)
        elif match := _SETTING.match(line):
            name, default = match[1], match[2] or ""
            allowed = checks.get((section, name), "")
            page.entries([
                Entry(f"{name} = {default}".rstrip(), f"{_joined(notes)}{f' ({allowed})' if allowed else ''}")
            ])  # fmt: skip
            notes, started = [], True
        elif not line and notes and not started:
            examples = [note[1:] for note in notes if not note.startswith("# ")]
            page.text(_joined(note for note in notes if note.startswith("# ")))
            page.verbatim("\n".join(examples))
            notes = []
    page.head('"SEE ALSO"')
    page.text("gomd(8), gom(1)")
    return str(page)


def _joined(lines: Iterable[str]) -> str:
    return " ".join(line.lstrip("#").strip() for line in lines)


def _checks(spec: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield by section and key what a setting may be, in words."""
    section = ""
    for line in spec.split("\n"):
        if line.startswith("["):
            section = line.strip("[]")
        elif match := re.match(r"([a-z_]+) = ([a-z]+)\((.*)\)$", line):
            name, kind, rest = match.groups()
            limits = re.match(r"min=([0-9.]+), max=([0-9.]+)", rest)
            if kind in ("integer", "float") and limits:
                yield (section, name), f"a number from {limits[1]} to {limits[2]}"
            elif kind == "boolean":
                yield (section, name), "yes or no"


def pages() -> dict[str, str]:
    """Return every page by the name of its file."""
    found = {"gom.1": gom(), "gomd.8": gomd()}
    found |= {f"gom-{name}.1": command(name) for name in COMMANDS}
    found["gomd.ini.5"] = gomd_ini(
        (ROOT / "gomd.ini").read_text("utf-8"), (ROOT / "gomd" / "gomd.spec.ini").read_text("utf-8")
    )
    return found


def main(directory: str) -> None:
    """Write the pages."""
    for name, text in pages().items():
        Path(directory, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
