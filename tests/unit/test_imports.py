"""What the code beside a job and `gom` may import. import-linter knows only what is forbidden."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Beside a job: bytes and values, errors, and private directories, which stand on the standard library.
BESIDE_JOBS = ("gomd.jobs.checkpoint", "libgomd.wire", "libgomd.errors", "libgomd.private")

#: Packages of `gom` that use the libraries of their extras, and are imported by their own commands alone.
EXTRAS = {"monitor", "report", "mount", "join", "nodeset"}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also within functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if is_module(name) else node.module


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or a folder of the project."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("gomd/jobs/checkpoint", BESIDE_JOBS),
        ("gomd/jobs/supervisor", ("gomd.jobs.supervisor", *BESIDE_JOBS)),
        ("libgomd/wire", ("libgomd.wire", "libgomd.errors", "libgomd.model", "cbor2", "cryptography")),
        ("gom", ("gom", "libgomd")),
    ],
)
def test_what_a_folder_imports(folder: str, allowed: tuple[str, ...]) -> None:
    """The standard library, and what is named above."""
    found = [
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT).parts[0] != "gom" or path.relative_to(ROOT).parts[1] not in EXTRAS
        for name in imports_of(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == each or name.startswith(f"{each}.") for each in allowed)
    ]
    assert found == []


def test_private_directories_stand_on_the_standard_library() -> None:
    """So that what is beside a job loads nothing else with them."""
    found = set(imports_of(ROOT / "libgomd" / "private.py"))
    assert {name.split(".")[0] for name in found} <= set(sys.stdlib_module_names)
