"""
Writes the pages of the documentation that are made from the source: the settings and the JSON schemas.

`make docs` runs it: `python contrib/reference.py docs`. The pages are kept in git, so that they can be read
there; a test compares them with the source.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_SECTION: Final = re.compile(r"\[([a-z]+)\]$")
_SETTING: Final = re.compile(r"(#?)([a-z_-]+) =(?: (.*))?$")


def settings() -> str:
    """Return the page of all settings, from gomd.ini with its comments."""
    lines = (ROOT / "gomd.ini").read_text(encoding="utf-8").splitlines()
    out = ["# Settings", ""]
    comment: list[str] = []
    section = ""
    for line in lines:
        if line.startswith("# ") or line == "#":
            comment.append(line[2:])
        elif not line:
            if comment:
                out += [*_prose(comment), ""]
            comment = []
        elif found := _SECTION.match(line):
            section = found[1]
            out += [f"## [{section}]", ""]
        elif found := _SETTING.match(line):
            out += _entry(section, found, comment)
            comment = []
        else:
            raise ValueError(f"gomd.ini: what is {line!r}?")
    return "\n".join(out).rstrip("\n") + "\n"


def _entry(section: str, found: re.Match[str], comment: list[str]) -> list[str]:
    """Return the lines about one setting; `[commands]` has examples in place of settings."""
    example, name, value = found.groups()
    head = f"`{name} = {value or ''}`".replace(" `", "`")
    if example:
        return [
            *_prose(comment),
            *([""] if comment else []),
            f"- for example {head}",
            *([""] if not comment else []),
        ]
    live = any("(live)" in line for line in comment)
    text = " ".join(_prose(comment)).replace("(live)", "").strip()
    text = re.sub(r"\s+", " ", text)
    return [
        f"(setting-{section}-{name})=",
        f"### {head}",
        "",
        text,
        *(["", "*Read again at SIGHUP.*"] if live else []),
        "",
    ]


def _prose(comment: list[str]) -> list[str]:
    """Return comment lines as Markdown: what Markdown would take for markup is escaped."""
    return [re.sub(r"(?<!\\)([*<])", r"\\\1", line) for line in comment if line]


def schemas() -> str:
    """Return the page that lists the JSON schemas."""
    names = sorted(path.stem for path in (ROOT / "docs" / "schema").glob("*.json"))
    links = ", ".join(f"[{name}](schema/{name}.json)" for name in names)
    return (
        "# JSON schemas\n\n"
        "This page is for people who read gomd's JSON in a program: `gom --json VERB`, `format json` on the\n"
        "telnet line, and the API over HTTP answer in the same shapes. Each verb has a schema (JSON Schema\n"
        "2020-12) with types, units and what may be null; `make test` checks the answers of real daemons\n"
        "against them. A newer gomd may add fields: ignore what you do not know.\n\n"
        f"{links}\n\n"
        "They are made from the table of verbs: `python -m gomd.verbs.schemas`.\n"
    )


def main(directory: str) -> None:
    """Write the pages into ``directory``."""
    for name, text in (("settings.md", settings()), ("schemas.md", schemas())):
        Path(directory, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
