"""What `gom --help`, `gom VERB --help` and `gom help VERB` print. None of it needs a daemon."""

from __future__ import annotations

from textwrap import fill, wrap

from gom.global_options import GlobalOptions
from gom.usages import usage_of

_WIDTH = 100


def help_text(options: GlobalOptions) -> str:
    """
    Return what is to be told, for words of which `gom.global_options.wants_help` is true.

    It is empty where the daemon has the answer: to ``help VERB`` for a verb that is its own alone, and for a
    verb that this gom does not know, which a newer daemon may.
    """
    words = [word.lower() for word in options.words]
    if words[0].startswith("@"):
        del words[0]
    if words[0] == "--version":
        from libgomd.version import VERSION

        return f"gom {VERSION}\n"
    if words[0] in ("-h", "--help"):
        from gom.help_texts import USAGE

        return USAGE
    if words[0] == "help" and not words[1].startswith("-"):
        return _of_own(words[1])
    return _of_own(words[0]) or _of_verb(words[0])


def _of_own(command: str) -> str:
    """Return the text of a command that does more than to relay a verb."""
    if command == "history":
        from gom.history import HISTORY_USAGE

        return HISTORY_USAGE
    if command in ("key", "token"):
        from gom.secret_commands import USAGES
        from gom.usages import SUMMARIES

        return f"{USAGES[command]}\n\n  {SUMMARIES[command]}; see `gom --help`\n"
    return usage_of(command)


def _of_verb(verb: str) -> str:
    """Return the text of a verb of the daemon, from the table that its own `help` shows."""
    from gom.verb_words import VERBS

    if verb not in VERBS:
        return ""
    usage, role, summary = VERBS[verb]
    lines = wrap(f"usage: gom [@NODE] {usage}", _WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False)
    about = f"{summary[0].upper()}{summary[1:]}. " + (f"It needs the role {role}. " if role != "none" else "")
    explained = fill(
        f"{about}docs/verbs.md and docs/line.md have the rest.",
        _WIDTH, initial_indent="  ", subsequent_indent="  ",
    )  # fmt: skip
    return "\n".join(lines) + f"\n\n{explained}\n"
