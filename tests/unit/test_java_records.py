"""The records of the library in Java are those of the schemas."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MADE = runpy.run_path(str(ROOT / "contrib" / "java_records.py"))


@pytest.mark.parametrize("verb", sorted(_MADE["RECORDS"]))
def test_a_record_is_made_from_its_schema(verb: str) -> None:
    """Who gives a verb a new field runs `python contrib/java_records.py`."""
    name, _ = _MADE["RECORDS"][verb]
    made = (ROOT / "clients" / "java" / "src" / "gomd" / f"{name}.java").read_text("utf-8")
    assert made == _MADE["record"](verb)
