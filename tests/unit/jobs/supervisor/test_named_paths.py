"""What a job names in the machine's temporary directories, and what is said about those it has of its own."""

from __future__ import annotations

import pytest

from gomd.jobs.supervisor.named_paths import named_paths, outermost, paths_in, with_own_tmpdir
from gomd.jobs.supervisor.private_hint import private_hint


def _paths(*argv: str, cwd: str = "/home/ann", **env: str) -> list[str]:
    return [each.path for each in named_paths(argv, cwd, env)]


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (("cat", "/tmp/a b"), ["/tmp/a b", "/tmp/a"]),
        (("cc", "-I/tmp/include", "-o/tmp/x/out"), ["/tmp/include", "/tmp/x/out"]),
        (("dd", "if=/var/tmp/image", "of=/dev/shm/copy"), ["/var/tmp/image", "/dev/shm/copy"]),
        (("sh", "-c", "sort </tmp/in|uniq>'/tmp/out'; ls /tmp/dir/*.c"), ["/tmp/in", "/tmp/out", "/tmp/dir"]),
        (("/tmp/program", "--x=/tmp/../tmp/y"), ["/tmp/program", "/tmp/y"]),
        (("cat", "/tmp/../etc/passwd", "/tmp", "/tmp/", "/tmpfile", "/var/tmp/.."), []),
    ],
)
def test_arguments(argv: tuple[str, ...], found: list[str]) -> None:
    """Whole words, options with a path behind them, and lines of shell, up to what ends a path there."""
    assert _paths(*argv) == found


def test_the_current_directory() -> None:
    """It is named itself; in /tmp itself, words are names of files there."""
    assert _paths("make", "-C", "sub", cwd="/tmp/build") == ["/tmp/build"]
    assert _paths("./run", "--in=data", cwd="/tmp") == ["/tmp/run", "/tmp/--in=data", "/tmp/data"]


def test_the_environment() -> None:
    """Sockets and files of a session, and where PATH leads; not the places for temporary files."""
    found = named_paths(
        ("prog",), "/", {"SSH_AUTH_SOCK": "/tmp/ssh-1/agent", "TMPDIR": "/tmp/mine", "TEMP": "/tmp/t",
                         "OLDPWD": "/tmp/old", "PATH": "/bin:/tmp/bin", "CC": "FILE:/tmp/krb5cc"},
    )  # fmt: skip
    assert [(each.path, each.only_file) for each in found] == [
        ("/tmp/bin/prog", False), ("/tmp/ssh-1/agent", True), ("/tmp/krb5cc", True),
    ]  # fmt: skip


def test_what_is_below_another_one_is_shown_with_it() -> None:
    """Names that only begin alike are apart."""
    assert outermost(["/tmp/a/b", "/tmp/a", "/tmp/ab", "/tmp/a/b/c"]) == ["/tmp/a", "/tmp/ab"]


def test_where_temporary_files_go() -> None:
    """TMPDIR always; its other names only if the caller uses them."""
    env = with_own_tmpdir({"TMP": "/scratch", "HOME": "/home/ann"})
    assert env == {"TMP": "/tmp", "HOME": "/home/ann", "TMPDIR": "/tmp"}


def test_paths_in_what_a_program_says() -> None:
    """As programs quote them, whatever bytes stand around them."""
    said = b"\xff No such file or directory: '/tmp/x y'\ncat: /var/tmp/z: No such file\nlost /tmp/end.\n"
    assert paths_in(said) == ["/tmp/x", "/var/tmp/z", "/tmp/end"]


class _Directories:
    def __init__(self, there: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> None:
        self._there, self._left = there, left

    def is_there(self, path: str) -> bool:
        return path in self._there

    def is_left_behind(self, path: str) -> bool:
        return path in self._left


def test_hints() -> None:
    """One sentence that names the option: a file that was not there, or a result that is gone."""
    missing = private_hint(_Directories(), ("run.sh",), b"cannot open /tmp/data: No such file", 2)
    assert "no /tmp/data" in missing
    assert "--shared-tmp" in missing
    gone = private_hint(_Directories(left=("/tmp/out",)), ("sh", "-c", "date >/tmp/out"), b"", 0)
    assert gone.startswith("/tmp/out was in the job's own /tmp and was removed with it")
    assert private_hint(_Directories(there=("/tmp/data",)), ("cat", "/tmp/data"), b"", 1) == ""
    left = _Directories(left=("/tmp/base",), there=("/tmp/base",))
    assert "/tmp/base was" in private_hint(left, ("cc", "-o/tmp/base"), b"", 0)
    assert private_hint(left, ("python3", "-c", "connect('/tmp/base')"), b"", 0) == ""
    assert private_hint(_Directories(), ("sh", "-c", "rm /tmp/gone"), b"/tmp/x", 0) == ""
