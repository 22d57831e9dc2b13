"""One class name means one thing in the whole project."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: The clients with and without Deferreds: a program changes one import.
TWINS = {"Client": ["libgomd/blocking.py", "libgomd/client.py"]}


def test_class_names() -> None:
    """No two files define classes of one name."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for package in ("gom", "gomd", "libgomd"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == TWINS
