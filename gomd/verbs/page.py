"""Prints docs/verbs.md from the table of verbs: `python -m gomd.verbs.page`."""

from __future__ import annotations

from gomd.verbs.all import all_verbs
from libgomd.model import Role

_HEAD = """\
# The verbs

This page is made from the table of verbs by `python -m gomd.verbs.page`; the verb `help` shows the same.
[The telnet line](line.md) has the protocol. Each role may also use the verbs of the roles above it on this
page. In JSON, a verb with fields answers with a block of objects that have these names.
"""


def page() -> str:
    """Return the page."""
    lines = [_HEAD]
    for role in Role:
        lines += [f"## {role.word}\n", "| verb | what it does | JSON fields |", "| --- | --- | --- |"]
        for verb in all_verbs():
            if verb.role is role:
                usage = verb.usage.replace("|", "\\|")
                lines.append(f"| `{usage}` | {verb.summary} | {' '.join(verb.fields)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - its purpose
