"""Prints gom/verb_words.py, the verbs that `gom` completes: `python -m gomd.verbs.gom_words`."""

from __future__ import annotations

from gomd.verbs.all import all_verbs

#: Verbs of daemons and of connections, which nobody types after `gom`.
_NOT_TYPED = ("auth", "format", "quit", "migration", "moved", "collect", "relay")
_HEAD = '''\
"""The verbs of the daemon: usage, role and summary of each. Made by `python -m gomd.verbs.gom_words`."""

from typing import Final

VERBS: Final[dict[str, tuple[str, str, str]]] = {
'''


def module() -> str:
    """Return the text of the module."""
    lines = [
        f"    {_quoted(verb.name)}: (\n        {_quoted(verb.usage)},\n"
        f"        {_quoted(verb.role.word)},\n        {_quoted(verb.summary)},\n    ),\n"
        for verb in all_verbs()
        if verb.name not in _NOT_TYPED
    ]
    return _HEAD + "".join(lines) + "}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(text) > 90:  # a line of the file has at most 110 characters
        at = text.rindex(" ", 0, 90) + 1
        return f"{_quoted(text[:at])}\n        {_quoted(text[at:])}"
    return f'"{escaped}"'


if __name__ == "__main__":
    print(module(), end="")  # noqa: T201 - its purpose
