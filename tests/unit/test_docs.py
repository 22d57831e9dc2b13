"""What the project's texts refer to exists: pages, sections, links, source files and names in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from libgomd.wire.values import dumps

ROOT = Path(__file__).parents[2]
#: The folders and files that people write; generated and captured files are not among them.
FOLDERS = ("bench", "clients", "contrib", "demo", "docs", "gom", "gomd", "libgomd", "tests", "twisted")
CAPTURED = ROOT / "tests" / "data"
#: Names of pages: README.rst, docs/jobs.md. Usage.rst of a variable `USAGE.rstrip` is none.
PAGE = re.compile(r"(?<![\w./-])(?:docs/|\.\./)?([A-Za-z][\w-]*\.(?:md|rst))\b(?!\()")
#: Folders of the source tree, as paths in them are written.
SOURCE = re.compile(
    r"(?<![\w./~-])((?:bench|clients|contrib|demo|gom|gomd|libgomd|tests|twisted)/[A-Za-z_.][\w./-]*\w)"
)
#: A name in the code, in backticks: `gomd.interfaces.IThreads.run_apart`.
DOTTED = re.compile(r"`((?:gomd|libgomd|gom)(?:\.[A-Za-z_]\w*)+)`")
#: Ends of the names of files, which are no names in the code.
FILES = ("ini", "jar", "sock", "service", "socket", "conf", "log", "pid", "so", "h", "map", "pc")
#: Files that a reader makes while following a page.
EXAMPLES = {"gomd/sources/linux/gpu.py"}


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project with its contents, but for captured data and licences."""
    paths = [path for path in ROOT.iterdir() if path.is_file() and path.name != "COPYING"]
    for folder in FOLDERS:
        paths += [
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "node_modules" not in path.parts
        ]
    for path in sorted(paths):
        if CAPTURED in path.parents or "__pycache__" in path.parts or path == Path(__file__):
            continue
        if path.suffix in {
            ".py",
            ".md",
            ".rst",
            ".ini",
            ".cfg",
            ".toml",
            ".json",
            ".service",
            ".socket",
            ".conf",
            "",
        }:
            try:
                yield path, path.read_text("utf-8")
            except UnicodeDecodeError:
                continue


TEXTS = list(texts())
PAGES = {path.name: path for path, _ in TEXTS if path.suffix in {".md", ".rst"}}
PROSE = [(path, text) for path, text in TEXTS if path.suffix in {".md", ".rst"}]


def name_of(path: Path) -> str:
    """The name of a file below the project's directory, for the report of a test."""
    return str(path.relative_to(ROOT))


def headings(page: str) -> set[str]:
    """The headings of a page."""
    lines = page.split("\n")
    underlined = {line for line, under in pairwise(lines) if re.fullmatch("([=~-])\\1{2,}", under)}
    return {line.lstrip("#").strip() for line in lines if re.match("#+ ", line)} | underlined


def test_there_is_something_to_check() -> None:
    """The patterns below find what they look for."""
    assert len(TEXTS) > 500
    assert len(PAGES) > 15
    assert PAGE.findall("see docs/jobs.md and ../README.rst, not USAGE.rstrip()") == ["jobs.md", "README.rst"]
    assert SOURCE.findall("`gomd/jobs/service.py` (gom/streams.py)") == [
        "gomd/jobs/service.py",
        "gom/streams.py",
    ]
    assert headings("# One\n\ntwo\n---\n") == {"One", "two"}


def test_no_text_refers_to_a_page_that_is_not_in_the_project() -> None:
    """Whoever follows a reference to a page, from a page, a docstring or a comment, finds it."""
    dead = {(name_of(path), name) for path, text in TEXTS for name in PAGE.findall(text) if name not in PAGES}
    assert dead == set()


def test_no_text_refers_to_a_numbered_section() -> None:
    """`DESIGN 4.4` and its like are numbers in documents that nobody has."""
    found = [name_of(path) for path, text in TEXTS if re.search(r"\b(?:DESIGN|STYLE)(?:\.md)?\b", text)]
    assert found == []


def test_every_link_between_pages_resolves() -> None:
    """A relative link leads to a file; a quoted heading behind it is one of that page's."""
    for path, text in PROSE:
        for label, target in re.findall(r"\[([^\]]+)\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("#"):
                continue
            assert (path.parent / target.partition("#")[0]).is_file(), (
                f"{name_of(path)}: {label} leads to {target}"
            )
        for target, heading in re.findall(r"\]\(([^)\s]+\.md)\), \"([^\"]+)\"", text):
            assert heading in headings((path.parent / target).read_text("utf-8")), (
                f"{name_of(path)}: {heading}"
            )


def test_every_source_file_that_a_page_names_exists() -> None:
    """A path in a page is a path in the tree."""
    dead = {
        (name_of(path), name)
        for path, text in PROSE
        for name in SOURCE.findall(text)
        if name not in EXAMPLES and not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()
    }
    assert dead == set()


def test_every_test_that_the_page_of_promises_names_exists() -> None:
    """security.md names the tests of each promise, below tests/."""
    page = PAGES["security.md"].read_text("utf-8")
    named = re.findall(r"`((?:unit|integration)/[\w/.]+)`", page)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_every_file_of_the_walks_exists() -> None:
    """architecture.md names files below gomd/, or a file of the folder it is in just then."""
    known = {path.name for path, _ in TEXTS}
    page = PAGES["architecture.md"].read_text("utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", page))
    assert len(named) > 30
    dead = {
        name
        for name in named
        if not (
            (ROOT / name).is_file() or (ROOT / "gomd" / name).is_file() or ("/" not in name and name in known)
        )
    }
    assert dead == set()


def test_every_folder_of_the_daemon_is_on_the_maps() -> None:
    """Who looks for a folder finds it in CONTRIBUTING.rst and in architecture.md."""
    contributing = PAGES["CONTRIBUTING.rst"].read_text("utf-8")
    layers = PAGES["architecture.md"].read_text("utf-8")
    folders = {path.parent.name for path in (ROOT / "gomd").glob("*/__init__.py")}
    assert len(folders) > 10
    assert {name for name in folders if f"``gomd/{name}/``" not in contributing} == set()
    assert {name for name in folders if not re.search(rf"^ .*\b{name}/", layers, re.MULTILINE)} == set()


def test_what_is_added_names_its_files() -> None:
    """Each entry of "How to add" says in which files, all of which exist: see the test of source files."""
    page = PAGES["CONTRIBUTING.rst"].read_text("utf-8")
    entries = re.findall(
        r"^(an? [a-z].*)\n((?:    .*\n)+)",
        page[page.index("How to add") : page.index("Rules\n---")],
        re.MULTILINE,
    )
    assert len(entries) >= 9
    assert [name for name, text in entries if not SOURCE.search(text)] == []


@pytest.mark.parametrize("folder", ["gomd", "libgomd", "gom"])
def test_every_dotted_name_exists(folder: str) -> None:
    """A name in backticks is a module, or is defined or imported in the module that it names."""
    dead = set()
    for path, text in TEXTS:
        for name in DOTTED.findall(text):
            if name.split(".", 1)[0] != folder or name.rsplit(".", 1)[1] in FILES:
                continue
            if not exists(name):
                dead.add((name_of(path), name))
    assert dead == set()


def exists(name: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that stands in the module it begins with."""
    here, *rest = ROOT, *name.split(".")
    while rest:
        if (here / rest[0]).is_dir():
            here = here / rest.pop(0)
            continue
        module = here / f"{rest[0]}.py"
        if module.is_file():
            here = module
            rest.pop(0)
        break
    if not rest:
        return True
    if here.is_dir():
        here = here / "__init__.py"
    return re.search(rf"\b{rest[0]}\b", here.read_text("utf-8")) is not None


def test_what_a_script_looks_for_in_json_is_written_like_that() -> None:
    """A pattern such as `"kind": "down"` has the space that gomd's JSON has."""
    found = [
        (path.name, each)
        for path in (ROOT / "docs").glob("*.md")
        for each in re.findall(r"\*'(\"\w+\":[^']*)'\*", path.read_text("utf-8"))
    ]
    assert found
    for page, pattern in found:
        name, value = re.findall(r"\w+", pattern)
        assert pattern in dumps({"time": 1.0, name: value}), f"{page}: {pattern}"
