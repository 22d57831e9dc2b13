"""
The description of a job that is to run: one checked value, made in one place for `gom run` and both
clients.

It travels as the JSON of the first frame (`SPEC`, docs/jobs.md). The daemon checks it again; a mistake that
is found here is said before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypedDict

from libgomd.errors import MalformedRequest
from libgomd.surroundings import LIMITS, own_directory, own_limits, own_nice, own_umask
from libgomd.wire import frames

#: Maximum bytes of arguments and environment together, as the kernel counts them: each with the NUL that ends
#: it and a pointer. No kernel takes more; it takes a quarter of the stack's limit, if that is less.
MAX_STRING_BYTES: Final = 6 << 20
_POINTER_BYTES: Final = 8
#: Maximum number of characters of the working directory.
MAX_CWD: Final = 4096
#: Smallest limit of memory, in bytes: a program needs that to begin.
MIN_MEMORY_MAX: Final = 4 << 20
#: Maximum number of paths that a job takes along.
MAX_CARRIED: Final = 64
#: Directories of the kernel and the system, in which nothing, or not everything at once, can be carried.
_NEVER_CARRIED: Final = ("/proc/", "/sys/", "/dev/")
_NEVER_CARRIED_WHOLE: Final = frozenset({"/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run"})  # noqa: S108
#: Rows and columns of a terminal whose size nobody knows.
DEFAULT_SIZE: Final = (24, 80)


class JobSpec(NamedTuple):
    """
    A command and its surroundings, checked; `job_spec` makes it.

    :ivar argv: the command and its arguments. :ivar env: its whole environment.
    :ivar cwd: its working directory, an absolute path. :ivar umask: its file mode creation mask.
    :ivar tty: it gets a terminal, of ``size`` rows and columns.
    :ivar merge: standard output and error are one stream, standard output.
    :ivar detach: nobody waits for it, its output is kept at home.
    :ivar node: id or name of the node it is to run on; empty for the best one.
    :ivar nodes: ids such as ``1-4,7``: the best one of these; empty for all.
    :ivar lock: whether balancing leaves it where it is; None for the daemon's choice.
    :ivar memory: bytes it will need, None when not known.
    :ivar memory_max: bytes it may have, None for no limit.
    :ivar nice: its nice value, None for 0; only root's may be below 0.
    :ivar limits: soft and hard resource limits by the names in `LIMITS`, -1 for none; None for those that the
        node gives. No job gets more than its node allows.
    :ivar shared_tmp: it gets no temporary directories of its own, and sees those of its node.
    :ivar carry: absolute paths of files and directories that travel with it, and come home at its end.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    umask: int
    tty: bool = False
    size: tuple[int, int] = DEFAULT_SIZE
    merge: bool = False
    detach: bool = False
    node: str = ""
    nodes: str = ""
    lock: bool | None = None
    memory: int | None = None
    memory_max: int | None = None
    nice: int | None = None
    limits: Mapping[str, tuple[int, int]] | None = None
    shared_tmp: bool = False
    carry: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return the JSON object that the daemon reads."""
        limits = None if self.limits is None else {name: list(pair) for name, pair in self.limits.items()}
        return {
            **self._asdict(), "argv": list(self.argv), "env": dict(self.env), "size": list(self.size),
            "limits": limits, "carry": list(self.carry),
        }  # fmt: skip

    def frame(self) -> bytes:
        """Return the `SPEC` frame. :raises MalformedRequest: it is longer than a daemon takes."""
        frame = frames.encode_json(frames.SPEC, self.values())
        if len(frame) > frames.MAX_SPEC_PAYLOAD:
            raise MalformedRequest(
                f"arguments and environment have {len(frame)} bytes as they are sent, at most "
                f"{frames.MAX_SPEC_PAYLOAD} can be: put them into a file"
            )
        return frame


class JobOptions(TypedDict, total=False):
    """
    The options of `job_spec`, and with it of ``run`` in both clients. Those that are left out have a default.

    - ``cwd``, ``env``, ``umask``: its surroundings; those of this process unless said.
    - ``node``: the node it is to run on. ``nodes``: ids such as ``1-4,7``: the best one of these.
    - ``memory``: bytes it will need. ``memory_max``: bytes it may have, the kernel sees to it.
    - ``shared_tmp``: it sees the /tmp of its node and has none of its own.
    - ``lock``: whether balancing leaves it where it is. ``merge``: its errors go into its output.
    - ``detach``: it goes on alone; the streams of what ``run`` returns are closed, ``attach`` has them.
    - ``tty``: it gets a terminal, of ``size`` rows and columns.
    - ``carry``: files and directories that travel with it wherever it runs, and come home at its end.
    - ``nice``: its nice value, only root's below 0; that of this process unless said.
    - ``limits``: soft and hard resource limits, -1 for none, by names such as ``NOFILE``, within those of its
      node; those of this process unless said, ``{}`` for those that its node gives.
    """

    cwd: str | None
    env: Mapping[str, str] | None
    umask: int | None
    tty: bool
    size: tuple[int, int]
    merge: bool
    detach: bool
    node: int | str
    nodes: str
    lock: bool | None
    memory: int | None
    memory_max: int | None
    nice: int | None
    limits: Mapping[str, tuple[int, int]] | None
    shared_tmp: bool
    carry: Sequence[str]


def job_to_run(argv: JobSpec | Sequence[str], stdin: bytes | None, options: JobOptions) -> JobSpec:
    """
    Return the description of a job that ``run`` of a client starts.

    :param argv: the command and its arguments, or the whole description, to which ``options`` add nothing.
    :param stdin: all of its standard input, None when that is open.
    :raises MalformedRequest: for what no daemon would take.
    """
    if not isinstance(argv, JobSpec):
        spec = job_spec(argv, **options)
    elif options:
        raise MalformedRequest(
            f"the description of the job is complete: give {', '.join(options)} to job_spec"
        )
    else:
        spec = argv
    if spec.detach and stdin is not None:
        raise MalformedRequest("a detached job has no standard input: leave stdin out")
    return spec


def job_spec(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    umask: int | None = None,
    tty: bool = False,
    size: tuple[int, int] = DEFAULT_SIZE,
    merge: bool = False,
    detach: bool = False,
    node: int | str = "",
    nodes: str = "",
    lock: bool | None = None,
    memory: int | None = None,
    memory_max: int | None = None,
    nice: int | None = None,
    limits: Mapping[str, tuple[int, int]] | None = None,
    shared_tmp: bool = False,
    carry: Sequence[str] = (),
) -> JobSpec:
    """
    Return the description of a job. Looks at this process, and does not block.

    :param cwd, env, umask, nice, limits: those of this process unless said. For all of them see `JobOptions`.
    :raises MalformedRequest: for what no daemon would take; the sentence says what is wrong.
    """
    if isinstance(argv, (str, bytes)):
        raise MalformedRequest("a command is a list of words, not one text: no shell takes it apart")
    words = tuple(argv)
    check_strings(words, {})
    if not words or not words[0]:
        raise MalformedRequest("a command is missing: name a program, and its arguments behind it")
    surroundings = dict(os.environ if env is None else env)
    check_strings(words, surroundings)
    if memory_max is not None and _number(memory_max, "memory_max", 1 << 62) < MIN_MEMORY_MAX:
        raise MalformedRequest(
            f"memory_max (--mem-max) is at least {MIN_MEMORY_MAX >> 20}M: a program needs that to begin"
        )
    if memory is not None and memory_max is not None and memory > memory_max:
        raise MalformedRequest("memory (--mem) is more than memory_max (--mem-max) allows")
    if str(node) and nodes:
        raise MalformedRequest("node and nodes do not go together: name one node, or several to choose from")
    rows, columns = size
    return JobSpec(
        words, MappingProxyType(surroundings), _directory(cwd),
        own_umask() if umask is None else _number(umask, "umask", 0o777),
        bool(tty), (_number(rows, "size", 65535), _number(columns, "size", 65535)), bool(merge),
        bool(detach), checked_text(str(node), "node"), checked_text(nodes, "nodes"), lock,
        None if memory is None else _number(memory, "memory", 1 << 63), memory_max,
        checked_nice(own_nice() if nice is None else nice),
        MappingProxyType(checked_limits(own_limits() if limits is None else limits)),
        bool(shared_tmp),
        _carried_here(carry),
    )  # fmt: skip


def check_strings(argv: Sequence[Any], env: Mapping[Any, Any]) -> None:
    """
    Check arguments and environment: text that can be passed to a program, and not more than kernels take.

    :raises MalformedRequest: the sentence says what is wrong.
    """
    size = _size_of(argv, "argv") + _size_of(tuple(env), "the names of env")
    size += _size_of(tuple(env.values()), "the values of env") - _POINTER_BYTES * len(env)
    if any(not name or "=" in name for name in env):
        raise MalformedRequest("a name in env is not empty and has no = in it")
    if size > MAX_STRING_BYTES:
        raise MalformedRequest(
            f"arguments and environment have {size} bytes, at most {MAX_STRING_BYTES} can be passed: "
            "unset what the command does not need, or put it into a file"
        )


def _size_of(texts: Sequence[Any], what: str) -> int:
    """Return the bytes of ``texts`` as the kernel counts them. There may be many, so they are joined once."""
    if not texts:
        return 0
    try:
        encoded = os.fsencode("\0".join(texts))
    except (TypeError, UnicodeEncodeError):
        encoded = b""
    if encoded.count(b"\0") != len(texts) - 1 or not encoded:
        for text in texts:
            checked_text(text, what)
    return len(encoded) + 1 + _POINTER_BYTES * len(texts)


def checked_nice(found: Any) -> int:
    """Return a nice value. :raises MalformedRequest: it is none."""
    if isinstance(found, bool) or not isinstance(found, int) or not -20 <= found <= 19:
        raise MalformedRequest(f"nice is a whole number from -20 to 19, not {found!r:.40}")
    return found


def checked_limits(found: Any, known: bool = True) -> dict[str, tuple[int, int]]:
    """
    Return resource limits; see `JobSpec.limits`.

    :param known: whether a limit that is not known is an error; else it is left out.
    :raises MalformedRequest: they are none.
    """
    if not isinstance(found, Mapping):
        raise MalformedRequest("limits is an object of names and pairs of numbers")
    checked = {}
    for name, pair in found.items():
        if name not in LIMITS:
            if known:
                raise MalformedRequest(
                    f"there is no resource limit {name!r:.40}: they are {', '.join(LIMITS)}"
                )
            continue
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(map(_is_limit, pair)):
            raise MalformedRequest(f"limit {name} is a pair of numbers, -1 for none, not {pair!r:.60}")
        soft, hard = pair
        checked[name] = (hard if hard != -1 and not 0 <= soft <= hard else soft, hard)
    return checked


def _is_limit(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and -1 <= found < 1 << 63


def checked_text(found: Any, what: str) -> str:
    """
    Return ``found``, a string that can be passed to a program.

    :param what: names it in the error. :raises MalformedRequest: it is no such string.
    """
    if not isinstance(found, str) or "\0" in found:
        raise MalformedRequest(f"{what}: text without NUL is needed, not {found!r:.60}")
    try:
        os.fsencode(found)
    except UnicodeEncodeError:
        raise MalformedRequest(f"{what}: text that can be encoded is needed, not {found!r:.60}") from None
    return found


def carried_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """
    Return the paths of ``carry``, without those that lie in another one of them.

    :raises MalformedRequest: one is not absolute, not plain, or nothing that can be carried; or they are
        too many.
    """
    if len(paths) > MAX_CARRIED:
        raise MalformedRequest(f"--carry takes at most {MAX_CARRIED} paths: name the directory they are in")
    for path in paths:
        checked_text(path, "carry")
        if not path.startswith("/") or os.path.normpath(path) != path or path.startswith("//"):
            raise MalformedRequest(f"carry takes absolute paths without . and .., not {path[:60]!r}")
        if len(os.fsencode(path)) > MAX_CWD:
            raise MalformedRequest(f"a path of carry has more than {MAX_CWD} bytes")
        if path == "/" or path.startswith(_NEVER_CARRIED) or path in _NEVER_CARRIED_WHOLE:
            raise MalformedRequest(f"{path} cannot be carried: name the files in it that the job needs")
    chosen: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{other}/") for other in chosen):
            chosen.append(path)
    return tuple(chosen)


def _carried_here(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the paths as the daemon is to see them: absolute, and without symbolic links on their way."""
    named = [os.path.realpath(os.path.join(own_directory(), checked_text(path, "carry"))) for path in paths]
    return carried_paths(named)


def _number(found: Any, what: str, most: int) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
        raise MalformedRequest(f"{what} is a whole number from 0 to {most}, not {found!r:.40}")
    return found


def _directory(cwd: str | None) -> str:
    path = checked_text(own_directory() if cwd is None else os.fspath(cwd), "cwd")
    if not path.startswith("/") or len(path) > MAX_CWD:
        raise MalformedRequest(f"cwd is an absolute path of at most {MAX_CWD} characters, not {path[:60]!r}")
    return path
