"""The structs of the client in C have what docs/schema says each verb answers with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from libgomd.proof import QUESTIONS

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "clients" / "c" / "row_tables.c").read_text("utf-8")
HEADER = (ROOT / "clients" / "c" / "gomd.h").read_text("utf-8")
TABLES = dict(
    re.findall(r"(?:static )?const struct field (\w+)_fields\[\] = \{(.*?) ?LAST\};", SOURCE, re.DOTALL)
)
#: Each verb and its table.
VERBS = {
    "nodes": "node", "node": "node", "ps": "process", "jobs": "job", "events": "event", "map": "range",
    "ls": "name", "stats": "stat", "whoami": "caller", "auth": "caller", "status": "status",
    "version": "version", "mem": "memory", "get": "file",
}  # fmt: skip
TYPES = {
    ("integer",): "INTEGER", ("number",): "NUMBER", ("boolean",): "BOOLEAN", ("string",): "TEXT",
    ("array", "integer"): "INTEGERS", ("array", "string"): "TEXTS", ("integer", "number", "string"): "SCALAR",
}  # fmt: skip
#: How gomd.h declares a field of each type.
DECLARED = {
    "INTEGER": "int64_t", "NUMBER": "double", "BOOLEAN": "int", "TEXT": "const char *",
    "SCALAR": "const char *", "INTEGERS": "const int64_t *", "TEXTS": "const char *",
}  # fmt: skip


def rows_of(table: str) -> list[tuple[str, str, str, str]]:
    """The lines of a table: macro, type, struct and name."""
    return re.findall(r"\b(RN?|ON?|S)\((\w+), (?:(\w+|struct source), )?(\w+)\)", TABLES[table])


def declarations(struct: str) -> dict[str, str]:
    """The fields of a struct of gomd.h with their types."""
    text = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    body = next(
        found for found, name in re.findall(r"typedef struct \{([^}]*)\} (\w+);", text) if name == struct
    )
    found = {}
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        kind, names = re.fullmatch(r"((?:const )?\w+)\s+(.*)", declaration, re.DOTALL).groups()  # type: ignore[union-attr]
        for name in names.split(","):
            star = " *" if name.strip().startswith("*") else ""
            found[name.strip().lstrip("*")] = kind + star
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_the_fields_of_a_verb(verb: str) -> None:
    """Names, types, null and what may be missing are those of the schema, and the struct is declared so."""
    schema = json.loads((ROOT / "docs" / "schema" / f"{verb}.json").read_text("utf-8"))
    wanted = {}
    for name, field in schema["properties"].items():
        kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
        macro = ("R" if name in schema.get("required", ()) else "O") + ("N" if "null" in kinds else "")
        items = (field["items"]["type"],) if kinds == ["array"] else ()
        wanted[name] = (macro, TYPES[(*(kind for kind in kinds if kind != "null"), *items)])
    rows = rows_of(VERBS[verb])
    assert {name: (macro, kind) for macro, kind, _, name in rows} == wanted
    declared = declarations(rows[0][2])
    assert {name: declared[name] for name in wanted} == {
        name: DECLARED[kind] for name, (_, kind) in wanted.items()
    }


def test_what_rows_of_several_nodes_have() -> None:
    """The names that docs/schema/watch.json adds are those that every row is read with."""
    schema = json.loads((ROOT / "docs" / "schema" / "watch.json").read_text("utf-8"))
    assert {name for _, _, _, name in rows_of("source")} == set(schema["properties"])


def test_the_questions_are_those_of_the_python_library() -> None:
    """What the library in C sends to a port found by default is what `libgomd.proof` allows there."""
    source = (ROOT / "clients" / "c" / "request.c").read_text("utf-8")
    found = re.search(r"questions\[\] = \{(.*?), NULL\}", source, re.DOTALL)
    assert found
    assert set(re.findall(r'"(\w+)"', found[1])) == QUESTIONS - {"watch"}
