"""docs/verbs.md, made from the table of verbs: `python -m gomd.verbs.page` prints it."""

from __future__ import annotations

from gomd.verbs.all import all_verbs
from libgomd.model import Role

_HEAD = """\
# The verbs

Made from the table of verbs by `python -m gomd.verbs.page`; `help` says the same. docs/line.md has the
protocol. A role may do what the smaller ones may. Over JSON a verb with fields answers a block of objects
with them.
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
