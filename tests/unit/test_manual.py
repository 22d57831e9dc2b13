"""The manual pages: up to date, complete, and good roff."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gom.usages import options_of, usage_of
from gom.verb_words import VERBS
from gomd.config import SHORT_OPTIONS

ROOT = Path(__file__).parents[2]
MAN = ROOT / "packaging" / "man"
PAGES = {path.name: path.read_text("utf-8") for path in MAN.iterdir()}


def plain(page: str) -> str:
    """A page without the escapes of roff."""
    return page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\&", "")


def test_the_pages_are_up_to_date(tmp_path: Path) -> None:
    """`make man` after a change of an option, a usage text, a verb or a setting."""
    subprocess.run(
        [sys.executable, str(ROOT / "contrib" / "manual.py"), str(tmp_path)], check=True, timeout=60, cwd=ROOT
    )
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == PAGES


def test_every_setting_is_in_gomd_ini_5() -> None:
    """As in gomd.spec.ini."""
    spec = (ROOT / "gomd" / "gomd.spec.ini").read_text("utf-8")
    named = set(re.findall(r"^([a-z][a-z_]*) =", spec, re.MULTILINE))
    assert len(named) > 50
    tags = set(re.findall(r"^([a-z_]+) =", plain(PAGES["gomd.ini.5"]), re.MULTILINE))
    assert named - tags == set()


def test_every_option_and_verb_is_in_its_page() -> None:
    """Of the daemon, of gom's own commands, and the verbs."""
    assert all(f"--{name} VALUE" in plain(PAGES["gomd.8"]) for name in SHORT_OPTIONS)
    assert all(usage in plain(PAGES["gom.1"]).replace("\\e", "\\") for usage, _role, _about in VERBS.values())
    for name in ("run", "attach", "top", "init", "doctor"):
        page = plain(PAGES[f"gom-{name}.1"])
        assert all(option in page for option in options_of(usage_of(name)))


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", sorted(PAGES))
def test_groff_has_nothing_to_complain_about(name: str) -> None:
    """No unknown macro, no line that is read as a request."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", str(MAN / name)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = [line for line in done.stderr.splitlines() if "cannot" not in line and "adjust" not in line]
    assert found == []
    assert len(done.stdout) > 300
