"""What a job needs of another node, as the file of a message: anything else is one named error."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from gomd.jobs.checkpoint.requirements import MAX_FILES, FileRequirement, Requirements, without_carried
from gomd.jobs.migration.requirements_file import (
    MAX_REQUIREMENTS_BYTES,
    decode_requirements,
    encode_requirements,
)
from libgomd.errors import CannotMove
from libgomd.wire.frames import MalformedFrame

REQUIREMENTS = Requirements(
    50 << 20, "x86_64", "6.1.0", 1000, "ann", ("avx", "sse"), ("/home/ann", "/b\udcff"),
    (FileRequirement("/lib/libc.so.6", 100, "aa", 5), FileRequirement("/log", 7, "", 9, True)),
    ("it uses io_uring",),
)  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=3,
)


def test_requirements_come_out_as_they_went_in() -> None:
    """With names that are no Unicode."""
    assert decode_requirements(encode_requirements(REQUIREMENTS)) == REQUIREMENTS


def _with(change: Callable[[dict[str, Any]], object]) -> bytes:
    values = json.loads(encode_requirements(REQUIREMENTS))
    change(values)
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"memory": -1}, {"memory": True}, {"memory": 1.5}, {"memory": None}, {"memory": 1 << 63},
        {"uid": -1}, {"uid": "0"}, {"uid": 1 << 33}, {"user": None}, {"user": "a\0"}, {"machine": 5},
        {"kernel": []}, {"flags": [5]}, {"flags": None}, {"flags": 5}, {"directories": ["/\0"]},
        {"directories": ["/a"] * (MAX_FILES + 1)}, {"stays": [None]}, {"more": 1}, {"files": None},
        {"files": [{}]}, {"files": ["a"]}, {"files": [{"path": "/a", "size": 1, "x": 1}]},
        {"files": [{"path": "a", "size": 1}]}, {"files": [{"path": "/a\0", "size": 1}]},
        {"files": [{"path": 5, "size": 1}]}, {"files": [{"path": "/a", "size": -1}]},
        {"files": [{"path": "/a", "size": 1, "inode": "5"}]},
        {"files": [{"path": "/a", "size": 1, "build_id": None}]},
        {"files": [{"path": "/a", "size": 1, "written": 1}]},
        {"files": [{"path": "/a", "size": 1}] * (MAX_FILES + 1)},
    ],
)  # fmt: skip
def test_what_are_no_requirements(change: dict[str, Any]) -> None:
    """Each field has its type and its bounds."""
    with pytest.raises(MalformedFrame):
        decode_requirements(_with(lambda values: values.update(change)))


def test_a_limit_of_memory_is_told_of_only_where_there_is_one() -> None:
    """A node that knows of none takes other jobs, and refuses this one."""
    assert b"memory_max" not in encode_requirements(REQUIREMENTS)
    limited = replace(REQUIREMENTS, memory_max=1 << 30)
    assert decode_requirements(encode_requirements(limited)) == limited
    for wrong in (-1, True, "1G", 1 << 63):
        with pytest.raises(MalformedFrame):
            decode_requirements(json.dumps({**asdict(REQUIREMENTS), "memory_max": wrong}).encode())


def test_each_field_has_to_be_there() -> None:
    """A file without one is refused, not guessed."""
    for name in ("memory", "machine", "kernel", "uid", "user", "flags", "directories", "files", "stays"):
        with pytest.raises(MalformedFrame):
            decode_requirements(_with(lambda values, name=name: values.pop(name)))  # type: ignore[misc]


_junk = st.binary(max_size=60) | _values.map(lambda value: json.dumps(value).encode())
_changed = st.tuples(st.sampled_from(sorted(json.loads(encode_requirements(REQUIREMENTS)))), _values).map(
    lambda change: _with(lambda values: values.update([change]))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_junk | _changed | st.just(b"[" * 100_000) | st.just(b'{"files":' * 9000))
def test_any_bytes_are_requirements_or_one_error(data: bytes) -> None:
    """Nothing else is raised, and what comes out can be looked for on a disk."""
    try:
        found = decode_requirements(data)
    except MalformedFrame:
        return
    assert encode_requirements(found)
    assert not any("\0" in path for path in found.directories)


def test_requirements_are_not_read_beyond_their_bound() -> None:
    """Before anything is parsed."""
    with pytest.raises(MalformedFrame, match="at most"):
        decode_requirements(b" " * MAX_REQUIREMENTS_BYTES + encode_requirements(REQUIREMENTS))


def test_more_than_another_node_reads_is_not_sent() -> None:
    """The job stays, and its owner hears why."""
    files = tuple(FileRequirement("/" + "x" * 9000, 1) for _ in range(2000))
    with pytest.raises(CannotMove, match="too many files"):
        encode_requirements(replace(REQUIREMENTS, files=files))


def test_carried_paths_are_told_of_only_where_there_are_some() -> None:
    """An older node takes other jobs, and refuses one with files that it would not fetch."""
    assert b"carried" not in encode_requirements(REQUIREMENTS)
    carrying = replace(REQUIREMENTS, carried=("/home/ann/in", "/b\udcff"))
    assert decode_requirements(encode_requirements(carrying)) == carrying
    for wrong in ("x", ["x"], [7], [""], None, 7, ["/a\0"], ["/a"] * 65):
        with pytest.raises(MalformedFrame):
            decode_requirements(json.dumps({**asdict(REQUIREMENTS), "carried": wrong}).encode())


def test_what_is_carried_is_not_needed() -> None:
    """Files and directories below a carried path come along; others have to be there."""
    found = without_carried(REQUIREMENTS, ("/home/ann", "/log"))
    assert (found.directories, [file.path for file in found.files]) == (("/b\udcff",), ["/lib/libc.so.6"])
    assert without_carried(REQUIREMENTS, ("/home/an", "/lo")).files == REQUIREMENTS.files
    assert without_carried(REQUIREMENTS, ()) is REQUIREMENTS
