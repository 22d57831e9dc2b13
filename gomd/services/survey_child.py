"""
The child process that asks who the users of this node are, and looks at directories: JSON in, JSON out.

It is a process of its own because a directory server or a file system may never answer; it is then killed.
Each directory is looked at by a process of its own with the rights of the user who works in it, so that
nobody learns anything about directories that they could not reach. Run it as a script: it imports nothing of
gomd.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import signal
import stat
import sys
import time
from typing import Any

#: Accounts that are compared at most, those with the lowest numbers.
MAX_ACCOUNTS = 5000
#: The uids of people where /etc/login.defs does not say it.
UID_MIN, UID_MAX = 1000, 60000
THERE, MISSING, UNKNOWN = "there", "missing", "unknown"
_STATES = {0: THERE, 1: MISSING}
_MAX_FILE_BYTES = 1 << 20
_REMOVED = " (deleted)"


def login_range(text: str) -> tuple[int, int]:
    """Return the lowest and the highest uid of people by ``text``, what /etc/login.defs has."""
    found = {"UID_MIN": UID_MIN, "UID_MAX": UID_MAX}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in found and words[1].isascii() and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found["UID_MIN"], found["UID_MAX"]


def _own_range() -> tuple[int, int]:
    try:
        with open("/etc/login.defs", encoding="utf-8", errors="replace") as file:
            return login_range(file.read(_MAX_FILE_BYTES))
    except OSError:
        return UID_MIN, UID_MAX


def is_text(name: str) -> bool:
    """Whether a name can be a word of a request: nothing but printable characters, and some."""
    return bool(name) and name.isprintable()


def users(request: dict[str, Any]) -> list[Any]:
    """Return name, uid and whether there are jobs, home and working directories of each user."""
    least, most = _own_range()
    jobs: dict[int, list[str]] = {}
    for uid, pid in request["jobs"]:
        found = jobs.setdefault(uid, [])
        try:
            path = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue  # it has just ended, or moved
        if path not in found and is_text(path) and path.startswith("/") and not path.endswith(_REMOVED):
            found.append(path)
    rows: list[Any] = []
    for uid in dict.fromkeys((*jobs, *(uid for uid in request["uids"] if least <= uid <= most))):
        try:
            account = pwd.getpwuid(uid)
        except KeyError:
            continue
        if is_text(account.pw_name):
            home = [account.pw_dir] if account.pw_dir.startswith("/") and is_text(account.pw_dir) else []
            directories = list(dict.fromkeys((*home, *sorted(jobs[uid])))) if uid in jobs else []
            rows.append([account.pw_name, uid, uid in jobs, directories])
    return rows


def accounts(request: dict[str, Any]) -> list[Any]:
    """
    Return name, uid and main group of each account of people, if asked for, and of those that are named.

    Those that are named come with their groups, as pairs of number and name; the others with None.
    """
    found: dict[str, list[Any]] = {}
    if request["everybody"]:
        least, most = _own_range()
        known = sorted((each.pw_uid, each.pw_name, each.pw_gid) for each in pwd.getpwall())
        people = [each for each in known if least <= each[0] <= most and is_text(each[1])]
        found = {name: [name, uid, gid, None] for uid, name, gid in people[:MAX_ACCOUNTS]}
    for name in request["names"]:
        try:
            account = pwd.getpwnam(name)
            gids = sorted({account.pw_gid, *os.getgrouplist(name, account.pw_gid)})
        except (KeyError, ValueError):
            continue
        found[name] = [name, account.pw_uid, account.pw_gid, [[gid, _group(gid)] for gid in gids]]
    return sorted(found.values())


def _group(gid: int) -> str:
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
    return name if is_text(name) else ""


def directories(request: dict[str, Any]) -> list[Any]:
    """Return the state of each directory, None for one that has not answered at the end of the time."""
    answers: list[str | None] = [None] * len(request["directories"])
    end = time.monotonic() + request["seconds"]
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    looking: dict[int, int] = {}
    known = {user: _rights_of(user) for user, _path in request["directories"]}  # which may hang: first
    for place, (user, path) in enumerate(request["directories"]):
        rights = known[user]
        if rights is None:
            answers[place] = UNKNOWN
        elif child := os.fork():
            looking[child] = place
        else:
            _look(rights, path)
    while looking:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            place = looking.pop(child)
            answers[place] = _STATES.get(os.waitstatus_to_exitcode(status), UNKNOWN)
        elif (left := end - time.monotonic()) <= 0 or not signal.sigtimedwait((signal.SIGCHLD,), left):
            break
    for child in looking:
        os.kill(child, signal.SIGKILL)
    return answers


def _rights_of(user: str) -> tuple[int, int, list[int]] | None:
    try:
        account = pwd.getpwnam(user)
        return account.pw_uid, account.pw_gid, os.getgrouplist(user, account.pw_gid)
    except (KeyError, ValueError):
        return None


def _look(rights: tuple[int, int, list[int]], path: str) -> None:
    """Look at a directory with the rights of a user, in a process of its own, and end it."""
    code = 2
    try:
        if os.geteuid() == 0:
            uid, gid, groups = rights
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        code = 0 if stat.S_ISDIR(os.stat(path).st_mode) else 1
    except (FileNotFoundError, NotADirectoryError):
        code = 1
    except BaseException:  # noqa: BLE001, S110 - nobody else is told: this process must not go on
        pass
    os._exit(code)


def main() -> None:
    """Answer the request at standard input; then wait for what still looks at a directory."""
    request = json.load(sys.stdin)
    answer = {"users": users, "accounts": accounts, "directories": directories}[request["kind"]](request)
    json.dump(answer, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    while True:  # a process that hangs in the kernel holds this one, and gomd starts no other meanwhile
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
