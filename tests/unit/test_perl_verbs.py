"""The library in Perl knows each verb that has a schema, and what its answer is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from libgomd.proof import QUESTIONS

ROOT = Path(__file__).parents[2]
#: Verbs with methods of their own, because they are more than a question, or that the library asks itself.
OTHERS = {"do", "watch", "run", "attach", "auth", "format", "page", "invitation"}


def lists() -> dict[str, set[str]]:
    """Return the words of %ROWS, %VALUES and %ORDERS of Client.pm."""
    text = (ROOT / "clients" / "perl" / "lib" / "Gomd" / "Client.pm").read_text("utf-8")
    found = re.findall(r"^our %(\w+) += map \{ \$_ => 1 \} qw\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    return {name: set(words.split()) for name, words in found}


def test_each_verb_is_a_method() -> None:
    """A verb that gomd gets is a word in one of the three lists."""
    verbs = {path.stem for path in (ROOT / "docs" / "schema").glob("*.json")}
    known = lists()
    assert set().union(*known.values()) == verbs - OTHERS
    assert sum(map(len, known.values())) == len(verbs - OTHERS)


def test_rows_are_rows() -> None:
    """What the schema calls a row is returned as a list, anything else as a value or not at all."""
    known = lists()
    for verb in set().union(*known.values()):
        schema = json.loads((ROOT / "docs" / "schema" / f"{verb}.json").read_text("utf-8"))
        assert ("One row of" in schema["description"]) == (verb in known["ROWS"]), verb


def test_the_same_verbs_are_sent_to_a_port_found_by_default() -> None:
    """In Perl and Java as in Python: only those that read."""
    perl = (ROOT / "clients/perl/lib/Gomd/Endpoint.pm").read_text("utf-8")
    java = (ROOT / "clients/java/src/gomd/Endpoint.java").read_text("utf-8")
    [words] = re.findall(r"%QUESTION = map \{ \$_ => 1 \} qw\((.*?)\);", perl, re.DOTALL)
    [names] = re.findall(r"QUESTIONS = Set\.of\((.*?)\);", java, re.DOTALL)
    assert set(words.split()) == set(re.findall(r'"(\w+)"', names)) == set(QUESTIONS)
