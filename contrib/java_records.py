"""
Writes the records of the library in Java from the JSON schemas: `python contrib/java_records.py`.

Each record has the fields of its schema, boxed, null for what is not known or was not asked for. A test
compares the files with the schemas, so that a verb's new field is in Java as soon as it is in docs/schema.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
#: The record of each verb, and what one of them is.
RECORDS: Final = {
    "nodes": ("Node", "A node of the cluster as the verb `nodes` lists it."),
    "ps": ("ClusterProcess", "A process; of a selection by fields only these are known."),
    "jobs": ("Job", "A job, wherever it runs."),
    "events": ("Event", "Something that happened in the cluster."),
    "history": ("Past", "The values of a field over one step of time."),
    "measures": ("Measure", "A value of a node with a name and labels."),
    "stats": ("Counter", "What the daemon has counted since it started."),
    "switches": ("Switch", "A switch of a node: who set it, when and why."),
    "doctor": ("Finding", "What works on a node, or what does not and what mends it."),
    "map": ("MapRange", "Nodes with consecutive ids and addresses."),
    "help": ("VerbHelp", "A verb, and how it is used."),
    "whoami": ("Caller", "Who asks, as the daemon sees it."),
    "version": ("Version", "The version of the daemon."),
    "status": ("Status", "The switches of a node."),
    "mem": ("Memory", "The memory of a node in bytes."),
    "migrate": ("Moved", "How a process has moved."),
    "get": ("FileText", "The text of a file of the tree."),
}
#: Names that are words of Java.
_RESERVED: Final = {"switch": "name"}
_TYPES: Final = {"integer": "Long", "number": "Double", "string": "String", "boolean": "Boolean"}


def record(verb: str) -> str:
    """Return the source of the record of a verb."""
    name, about = RECORDS[verb]
    schema = json.loads((ROOT / "docs" / "schema" / f"{verb}.json").read_text("utf-8"))
    fields = [(key, *_typed(found)) for key, found in schema["properties"].items()]
    about = re.sub(r"`(.*?)`", r"{@code \1}", about)
    lines = [
        "// Made by contrib/java_records.py from docs/schema; do not edit.",
        "package gomd;",
        "",
        "import java.util.List;",
        "import java.util.Map;",
        "",
        "/**",
        f" * {about}",
        " *",
        *(f" * @param {_named(key)} {_about(schema['properties'][key])}" for key, *_ in fields),
        " */",
        f"public record {name}(",
        ",\n".join(f"        {kind} {_named(key)}" for key, kind, _ in fields) + ") {",
        f"    static {name} of(Map<String, Object> row) {{",
        f"        return new {name}(",
        ",\n".join(f'                Values.{reader}(row, "{key}")' for key, _, reader in fields) + ");",
        "    }",
        "}",
    ]
    text = "\n".join(lines) + "\n"
    for imported in ("List", "Map"):
        if not re.search(rf"\b{imported}<", text.partition("/**")[2]):
            text = text.replace(f"import java.util.{imported};\n", "")
    return text


def _typed(found: dict[str, Any]) -> tuple[str, str]:
    """Return the type in Java, and the method of Values that reads it."""
    types = (
        [found["type"]]
        if isinstance(found["type"], str)
        else [each for each in found["type"] if each != "null"]
    )
    if types == ["array"]:
        item = _TYPES[found["items"]["type"]]
        return f"List<{item}>", f"list{item}"
    if types == ["object"]:
        return "Map<String, String>", "labels"
    if len(types) > 1:
        return "Object", "any"
    return _TYPES[types[0]], _TYPES[types[0]].lower() + "Of"


def _named(key: str) -> str:
    """Return the name of a field in Java: cpu_percent is cpuPercent."""
    key = _RESERVED.get(key, key)
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)


def _about(found: dict[str, Any]) -> str:
    unit = found.get("x-unit") or " or ".join(found.get("enum", ())) or found.get("description", "")
    is_optional = not isinstance(found["type"], str) and "null" in found["type"]
    text = re.sub(r"[<>&]", "", str(unit)) or "as in docs/schema"
    return f"{text}{'; null when it is not known' if is_optional else ''}"


def main(directory: str) -> None:
    """Write the records into ``directory``."""
    for verb, (name, _) in RECORDS.items():
        Path(directory, f"{name}.java").write_text(record(verb), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "clients" / "java" / "src" / "gomd"))
