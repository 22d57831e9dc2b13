"""The description of a job: what is taken, what is refused before it is sent, and that the daemon agrees."""

from __future__ import annotations

import inspect
import json
import os
import resource
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.jobs.lifecycle.request import parse
from libgomd.errors import MalformedRequest
from libgomd.jobspec import MIN_MEMORY_MAX, JobOptions, JobSpec, job_spec, job_to_run
from libgomd.surroundings import own_directory, own_umask
from libgomd.wire import frames

TEXT = st.text(st.characters(exclude_characters="\0"), max_size=8)
NUMBERS = st.none() | st.integers(-1, 1 << 64)


def test_the_surroundings_are_those_of_this_process_unless_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a program that this one would start itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHIP", "Beagle")
    spec = job_spec(["ls", "-l"])
    assert (spec.argv, spec.cwd, spec.env["SHIP"]) == (("ls", "-l"), str(tmp_path), "Beagle")
    before = os.umask(0o027)
    try:
        assert job_spec(["ls"]).umask == own_umask() == 0o027
    finally:
        os.umask(before)
    assert spec.nice == os.getpriority(os.PRIO_PROCESS, 0)
    assert spec.limits is not None
    assert spec.limits["NOFILE"] == resource.getrlimit(resource.RLIMIT_NOFILE)
    bare = job_spec(["ls"], env={}, cwd="/", umask=0, nice=3, limits={})
    assert bare == JobSpec(("ls",), {}, "/", 0, nice=3, limits={})


def test_it_does_not_change_afterwards() -> None:
    """Neither through the dictionary it was made of nor through its own."""
    env = {"A": "1"}
    spec = job_spec(["ls"], env=env)
    env["A"] = "2"
    assert spec.env == {"A": "1"}
    with pytest.raises(TypeError):
        spec.env["A"] = "3"  # type: ignore[index]


def test_the_name_that_led_here_is_kept_where_it_still_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbolic link that the user came through stays in the path, a stale $PWD does not."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert own_directory() == str(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path / "gone"))
    assert own_directory() == str(tmp_path / "real")
    (tmp_path / "real").rmdir()
    with pytest.raises(MalformedRequest, match="has been removed"):
        own_directory()


@pytest.mark.parametrize(
    ("argv", "options", "says"),
    [
        ([], {}, "a command is missing"),
        ([""], {}, "a command is missing"),
        ("ls -l", {}, "a list of words"),
        (["ls", "a\0b"], {}, "without NUL"),
        (["ls", 7], {}, "text without NUL"),
        (["ls", "\ud800"], {}, "can be encoded"),
        (["ls"] * 600000, {}, "at most 6291456"),
        (["ls", "x" * (6 << 20)], {}, "at most 6291456"),
        (["ls"], {"nice": 20}, "nice is a whole number from -20 to 19"),
        (["ls"], {"nice": True}, "nice is"),
        (["ls"], {"limits": {"FILES": (1, 1)}}, "there is no resource limit 'FILES'"),
        (["ls"], {"limits": {"NOFILE": (1,)}}, "limit NOFILE is a pair"),
        (["ls"], {"limits": {"NOFILE": (1, -2)}}, "limit NOFILE is a pair"),
        (["ls"], {"env": {"A=B": ""}}, "no = in it"),
        (["ls"], {"env": {"": ""}}, "not empty"),
        (["ls"], {"env": {"A": 1}}, "the values of env"),
        (["ls"], {"cwd": "here"}, "absolute path"),
        (["ls"], {"cwd": "/" + "x" * 5000}, "at most 4096"),
        (["ls"], {"umask": 0o1000}, "umask"),
        (["ls"], {"memory": -1}, "memory"),
        (["ls"], {"memory": True}, "memory"),
        (["ls"], {"memory_max": MIN_MEMORY_MAX - 1}, "at least 4M"),
        (["ls"], {"memory": MIN_MEMORY_MAX + 1, "memory_max": MIN_MEMORY_MAX}, "more than"),
        (["ls"], {"node": 2, "nodes": "1-4"}, "do not go together"),
        (["ls"], {"size": (70000, 80)}, "size"),
    ],
)
def test_what_is_refused(argv: Any, options: dict[str, Any], says: str) -> None:
    """Each in one sentence that names what is wrong."""
    with pytest.raises(MalformedRequest, match=says):
        job_spec(argv, **options)


def test_a_soft_limit_is_never_beyond_the_hard_one() -> None:
    """It is lowered to that, as a kernel would refuse the pair."""
    limits = {"NOFILE": (20, 10), "CORE": (-1, 5), "AS": (7, -1), "CPU": (3, 4)}
    found = job_spec(["ls"], limits=limits).limits
    assert found == {"NOFILE": (10, 10), "CORE": (5, 5), "AS": (7, -1), "CPU": (3, 4)}


def test_a_megabyte_of_arguments() -> None:
    """As many as a kernel takes go into one frame; what is beyond a frame is said."""
    words = ["echo", *("x" * 90 for _ in range(20000))]
    spec = job_spec(words, env={})
    [frame] = frames.FrameParser(admits_long_spec=lambda size: size > 1 << 20).feed(spec.frame())
    assert parse(json.loads(frame.payload)).argv == tuple(words)
    with pytest.raises(MalformedRequest, match="as they are sent"):
        job_spec(["echo", *("\x01" * 100000 for _ in range(45))], env={}).frame()


@given(
    st.lists(TEXT, max_size=3), st.dictionaries(TEXT, TEXT, max_size=3), st.integers(-1, 0o1000),
    NUMBERS, NUMBERS, st.sampled_from([None, True, False]), st.booleans(),
)  # fmt: skip
def test_the_daemon_takes_what_is_taken_here(
    argv: list[str],
    env: dict[str, str],
    umask: int,
    memory: int | None,
    memory_max: int | None,
    lock: bool | None,
    flag: bool,
) -> None:
    """And understands each value as it was meant; what is refused here it would refuse, too."""
    told = {"argv": argv, "env": env, "cwd": "/", "umask": umask, "memory": memory, "memory_max": memory_max}
    try:
        spec = job_spec(
            argv, env=env, cwd="/", umask=umask, memory=memory, memory_max=memory_max, lock=lock, merge=flag,
            detach=not flag, node="beta",
        )  # fmt: skip
    except MalformedRequest:
        with pytest.raises(MalformedRequest):
            parse(told)
    else:
        assert parse(json.loads(json.dumps(spec.values()))).values() == spec.values()


def test_a_job_is_run_by_its_words_and_options_or_as_one_value() -> None:
    """Both are the same job, and options beside the whole value would contradict it."""
    spec = job_spec(["sort"], env={}, cwd="/", umask=0, nice=3, limits={}, memory=1 << 20, detach=True)
    assert job_to_run(spec, None, {}) is spec
    options: JobOptions = {
        "env": {}, "cwd": "/", "umask": 0, "nice": 3, "limits": {}, "memory": 1 << 20, "detach": True,
    }  # fmt: skip
    assert job_to_run(["sort"], None, options) == spec
    with pytest.raises(MalformedRequest, match="give memory to job_spec"):
        job_to_run(spec, None, {"memory": 1})
    for job in (spec, ["sort"]):
        with pytest.raises(MalformedRequest, match="no standard input"):
            job_to_run(job, b"", options if job is not spec else {})


def test_every_option_is_one_of_the_description() -> None:
    """What `run` takes, `job_spec` takes, and the daemon is told of."""
    assert set(JobOptions.__annotations__) == set(JobSpec._fields) - {"argv"}
    assert set(JobOptions.__annotations__) == set(inspect.signature(job_spec).parameters) - {"argv"}
