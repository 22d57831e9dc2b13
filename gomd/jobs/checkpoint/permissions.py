"""
Checks that a move gives a user's job nothing that this user could not have on the target node anyway.

criu opens files by their names, and with root's rights. On another node a name may lead to somebody else's
file, or, over a link that the user has put there meanwhile, to any file at all. So before a copy runs, all
that was opened for it is checked with its user's rights. A named socket is worse: criu removes whatever
socket has that name and makes it anew; so those are refused on the source node.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from gomd.jobs.checkpoint import free_ports, inet_sockets, process_tree
from gomd.jobs.checkpoint.kernel_objects import NAMELESS
from gomd.jobs.checkpoint.namespaces import KINDS, read_namespaces
from gomd.jobs.checkpoint.process_status import parse_status
from gomd.jobs.checkpoint.sockets import NAMED_SOCKET, named_sockets
from libgomd.errors import CannotMove

_SENT_FILES: Final = "it has sent open files over a socket that nobody has received yet"
_FILES_IN_TRANSIT = re.compile(r"^scm_fds:\s*0*[1-9]", re.MULTILINE)
#: What the kernel adds to the name of a file that has been removed.
_REMOVED: Final = " (deleted)"


class OpenedFile(NamedTuple):
    """
    A file, directory or device that a process has open.

    :ivar path: as the kernel shows it. :ivar identity: device and inode. :ivar mode: what the process may do
        with it, as for `os.access`. :ivar owner: user id. :ivar removed: it has no name any more.
    """

    path: str
    identity: tuple[int, int]
    mode: int
    owner: int
    removed: bool


def sockets_that_stay(pids: Iterable[int], uid: int, proc: str = "/proc") -> str:
    """
    Return why sockets of the stopped processes ``pids`` keep them here, empty when none does. Blocks.

    :param uid: of their user: those of root's may have names, and have sent files.
    :raises CannotMove: one has ended.
    """
    named: set[str] | None = None
    own: dict[str, str] = {}
    net = ""
    with _seeing_all():
        for here, name, target in _descriptors(pids, proc):
            if target.startswith("socket:["):
                net = f"{here}/net"
                own[target[8:-1]] = inet_sockets.protocol(f"{here}/fd/{name}")
                named = named_sockets(net) if named is None else named
                if uid and target[8:-1] in named:
                    return NAMED_SOCKET
                if uid and _has_files_in_transit(f"{here}/fdinfo/{name}"):
                    return _SENT_FILES
        if not own:
            return ""
        # criu itself has refused what it cannot carry: here it is connections that count
        found = inet_sockets.reasons_to_stay(own, inet_sockets.read(net))
    return found[0] if found else ""


def is_connected(pids: Iterable[int], proc: str = "/proc") -> bool:
    """Whether the processes ``pids`` have TCP connections open; False when one has ended. Blocks."""
    own, net = set(), ""
    try:
        for here, _name, target in _descriptors(pids, proc):
            if target.startswith("socket:["):
                own.add(target[8:-1])
                net = f"{here}/net"
        return bool(own) and inet_sockets.is_connected(own, inet_sockets.read(net))
    except OSError:
        return False


def opened(pids: Iterable[int], proc: str = "/proc") -> set[OpenedFile]:
    """
    Return all that the stopped processes ``pids`` have open, mapped, or as their directory. Blocks.

    :raises CannotMove: one has ended, or has sent files that cannot be seen here.
    """
    pids, found = list(pids), set()
    with _seeing_all():
        for here, name, target in _descriptors(pids, proc):
            if target.startswith("socket:["):
                if _has_files_in_transit(f"{here}/fdinfo/{name}"):
                    raise CannotMove(_SENT_FILES)
            elif not target.startswith(("pipe:[", "anon_inode:")):
                each = _opened(f"{here}/fd/{name}")
                if not _is_criu_s_proc(each):
                    found.add(each)
        for pid in pids:
            here = f"{proc}/{pid}"
            if _is_zombie(here):
                continue
            program = _opened(f"{here}/exe", os.X_OK)
            found |= {program, _opened(f"{here}/cwd", os.X_OK)}
            for name in os.listdir(f"{here}/map_files"):
                each = _opened(f"{here}/map_files/{name}")
                if each.identity != program.identity or each.mode & os.W_OK:
                    found.add(each)  # to execute a program is enough for having it mapped
    return found


def forbidden(found: Collection[OpenedFile]) -> str:
    """Return the path of a file that this process, with its rights, may not open so; empty if none."""
    own = os.geteuid()
    for each in sorted(found):
        if each.removed:
            if each.owner != own and not each.path.startswith(NAMELESS):
                return each.path
            continue
        try:
            there = os.stat(each.path)
        except OSError:
            if each.owner == own and each.path.endswith(_REMOVED):
                continue  # it has only other names, in a directory of the job's own
            return each.path
        if (there.st_dev, there.st_ino) != each.identity or not os.access(each.path, each.mode):
            return each.path
    return ""


def check_opened(pids: Iterable[int], uid: int, where: str, images: str) -> None:
    """
    Check that the stopped processes ``pids`` have nothing open that user ``uid`` could not open here. Blocks.

    This process has that user's rights for good afterwards.

    :param where: this node, as errors name it.
    :param images: the directory of their images, with criu's log, which they have open until they run.
    :raises CannotMove: they have something else open.
    """
    own = os.path.realpath(images) + "/"
    found = [each for each in opened(pids) if not each.path.startswith(own)]
    user, groups = _user(uid, where)
    os.setgroups(sorted(groups))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(uid, uid, uid)
    if path := forbidden(found):
        raise CannotMove(f"{user.pw_name} may not have {path} on {where}")


def check_sockets(pids: Iterable[int], uid: int, where: str, proc: str = "/proc") -> None:
    """
    Check that the stopped processes ``pids`` have only sockets that user ``uid`` could open here. Blocks.

    The source says beforehand which there are, but criu makes those that are in the images.

    :raises CannotMove: they have some.
    """
    own: dict[str, str] = {}
    net = ""
    with _seeing_all():
        for here, name, target in _descriptors(pids, proc):
            if target.startswith("socket:["):
                net = f"{here}/net"
                own[target[8:-1]] = inet_sockets.protocol(f"{here}/fd/{name}")
        tables = inet_sockets.read(net) if own else inet_sockets.NONE
    first = free_ports.first_for_users()
    for port in inet_sockets.bound(own, tables):
        if 0 < port.port < first:
            raise CannotMove(f"{_user(uid, where)[0].pw_name} may not have {port} on {where}")
    for inode, name in own.items():
        if kind := tables.others.get(inode) or ("" if inet_sockets.is_everybodys(name) else name):
            raise CannotMove(f"{_user(uid, where)[0].pw_name} may not have a {kind} socket on {where}")


def check_no_new_privileges(pids: Iterable[int], where: str, proc: str = "/proc") -> None:
    """
    Check that set-id programs give the processes ``pids``, which do not run, no rights. Blocks.

    :raises CannotMove: they may give some to one of them.
    """
    for pid in pids:
        if _is_zombie(f"{proc}/{pid}"):
            continue
        for thread in os.listdir(f"{proc}/{pid}/task"):
            with open(f"{proc}/{pid}/task/{thread}/status", encoding="utf-8", errors="replace") as file:
                if not parse_status(file.read()).no_new_privileges:
                    raise CannotMove(
                        f"its carried files would be where set-id programs on {where} may look for theirs, "
                        "and it was started by an older gomd: start it again"
                    )


def check_ids(pids: Iterable[int], uid: int, where: str) -> None:
    """
    Check that the processes ``pids``, which do not run, have the rights of user ``uid`` here and no others.

    Of each thread all user ids are ``uid``, the groups are those of the user on this node, and there are no
    capabilities; and no process is in a namespace other than the caller's, but that all may be in one and the
    same IPC namespace. Blocks.

    :raises CannotMove: they have more.
    """
    user, _groups = _user(uid, where)
    pids = list(pids)
    with _seeing_all():
        inherited = _rights("/proc/self").inheritable
        own = read_namespaces("/proc/self")
        own.pop("ipc", None)  # that is the job's own
        _check_one_ipc(pids)
        found = []
        for pid in pids:
            if not _is_zombie(f"/proc/{pid}") and (other := _other_namespace(f"/proc/{pid}", own)):
                raise CannotMove(f"one of its processes is in another {other} namespace than its supervisor")
            found += [_rights(f"/proc/{pid}/task/{thread}") for thread in os.listdir(f"/proc/{pid}/task")]
    for each in found:
        if each.ended:
            continue  # it does nothing any more, and criu makes it anew with root's ids
        if each.uids != {uid}:
            raise CannotMove(f"one of its processes has rights of another user than {user.pw_name}")
        check_groups(set(each.gids), uid, where)
        if each.capabilities or each.inheritable & ~inherited:
            raise CannotMove(f"one of its processes has capabilities that {user.pw_name} has not on {where}")


def _check_one_ipc(pids: Collection[int]) -> None:
    """:raises CannotMove: the processes are in several IPC namespaces."""
    found = {read_namespaces(f"/proc/{pid}").get("ipc") for pid in pids if not _is_zombie(f"/proc/{pid}")}
    if len(found) > 1:
        raise CannotMove("its processes are in several IPC namespaces")


def check_groups(gids: set[int], uid: int, where: str) -> None:
    """Check that user ``uid`` is in the groups ``gids`` here. Blocks. :raises CannotMove: not in all."""
    user, groups = _user(uid, where)
    if others := gids - groups:
        raise CannotMove(f"{user.pw_name} is not in group {min(others)} on {where}")


def _user(uid: int, where: str) -> tuple[pwd.struct_passwd, set[int]]:
    """Return a user and the ids of its groups. :raises CannotMove: there is no such user."""
    try:
        user = pwd.getpwuid(uid)
        return user, {user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)}
    except (KeyError, OSError):
        raise CannotMove(f"user {uid} is nobody on {where}") from None


@contextmanager
def _seeing_all() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotMove(f"what it has open cannot be seen: {error.strerror}") from error


def _descriptors(pids: Iterable[int], proc: str) -> Iterator[tuple[str, str, str]]:
    """Yield the process's directory in /proc, the number of the descriptor, and its target."""
    for pid in pids:
        here = f"{proc}/{pid}"
        if _is_zombie(here):
            continue
        for name in os.listdir(f"{here}/fd"):
            yield here, name, os.readlink(f"{here}/fd/{name}")


def _opened(link: str, mode: int | None = None) -> OpenedFile:
    if mode is None:
        bits = os.lstat(link).st_mode  # of the descriptor, or of the mapped file
        mode = (os.R_OK if bits & stat.S_IRUSR else 0) | (os.W_OK if bits & stat.S_IWUSR else 0)
    there, path = os.stat(link), os.readlink(link)
    # criu has removed the name of a deleted file, and keeps another one until the copy runs
    removed = there.st_nlink == 0 or (path.endswith(" (deleted)") and not os.path.lexists(path))
    return OpenedFile(path, (there.st_dev, there.st_ino), mode, there.st_uid, removed)


def _is_criu_s_proc(each: OpenedFile) -> bool:
    """
    Whether this is the /proc, mounted nowhere, that criu keeps open in a process until it runs.

    It is opened as a path only, and shown as ``/`` though it is not that: no other file looks so.
    """
    root = os.stat("/")
    return each.path == "/" and not each.mode and each.identity[1] == 1 and (
        each.identity != (root.st_dev, root.st_ino)
    )  # fmt: skip


def _has_files_in_transit(fdinfo: str) -> bool:
    with open(fdinfo, encoding="ascii", errors="replace") as file:
        return bool(_FILES_IN_TRANSIT.search(file.read(65536)))


def _is_zombie(here: str) -> bool:
    return process_tree.read_state(here) in process_tree.ENDED


class _Rights(NamedTuple):
    """
    The rights of a thread.

    :ivar ended: it has ended and was not waited for; it never runs again.
    :ivar uids: all four user ids; ``gids`` all group ids.
    :ivar capabilities: those it has, may take or passes on by itself; ``inheritable`` those that a program
        with the same mark would get from it. Bits, by their numbers.
    """

    ended: bool
    uids: frozenset[int]
    gids: frozenset[int]
    capabilities: int
    inheritable: int


def _rights(here: str) -> _Rights:
    """Read the rights of the thread or process whose directory in /proc is ``here``."""
    with open(f"{here}/status", encoding="ascii", errors="replace", newline="\n") as file:
        values = dict(line.split(":", 1) for line in file.read(65536).split("\n") if ":" in line)
    groups = frozenset(int(word) for name in ("Gid", "Groups") for word in values[name].split())
    capabilities = 0
    for name in ("CapPrm", "CapEff", "CapAmb"):
        capabilities |= int(values.get(name, "0"), 16)
    uids = frozenset(int(word) for word in values["Uid"].split())
    ended = values["State"].strip()[:1] in process_tree.ENDED
    return _Rights(ended, uids, groups, capabilities, int(values["CapInh"], 16))


def _other_namespace(here: str, own: dict[str, str]) -> str:
    theirs = read_namespaces(here)
    return next((KINDS[kind] for kind, known in own.items() if theirs.get(kind) != known), "")
