"""
The calls of the program criu: check, dump and restore, each with a timeout. Every call blocks.

When criu refuses, the error says why in words.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from gomd.jobs.checkpoint import criu_process, kernel_cache
from gomd.jobs.checkpoint.action_script import DUMPED, ActionScript
from gomd.jobs.checkpoint.criu_log import explain, known_reason, missing_features
from gomd.jobs.checkpoint.failure_logs import describe, keep
from gomd.jobs.checkpoint.unprivileged import command_prefix
from libgomd.errors import CannotMove, NotPossible

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.page_relay import PageRelay

#: Where contrib/get-criu unpacks one on systems whose own criu does not work.
UNPACKED: Final = "/opt/gomd-criu/criu"
#: Options on which both sides have to agree: each machine keeps its own cgroups, and files are compared by
#: their build ids.
_COMMON: Final = ("--manage-cgroups=ignore", "--file-validation=buildid")

#: What a dump may have done when criu is killed, which nothing can undo: docs/migration-decision.md.
ENDED_IN_MIDDLE: Final = ", in the middle of its work: a job in which it just made a system call ends with it"

#: Carry TCP connections over. Both ends of each are frozen, so nothing has to be kept from them meanwhile.
_CONNECTIONS: Final = ("--tcp-established", "--network-lock", "skip")


def find(program: str) -> str:
    """
    Return the program to start for ``program``, which is a path or a name.

    The bare name ``criu`` means the one that contrib/get-criu has unpacked, where the system's own did not
    work. Blocks briefly.
    """
    return UNPACKED if program == "criu" and os.access(UNPACKED, os.X_OK) else program


def pipe_name(descriptor: int) -> str:
    """Return the name criu has for the pipe behind ``descriptor``."""
    return f"pipe:[{os.fstat(descriptor).st_ino}]"


class TlsFiles(NamedTuple):
    """Paths of PEM files: the trusted authorities, a certificate and its key."""

    authorities: str
    certificate: str
    key: str


class Criu:
    """:ivar program: path of criu, or a name to be found in PATH."""

    def __init__(self, program: str) -> None:
        self.program = program

    def check(self, limit: float = 20.0) -> str:
        """
        Ask criu whether this kernel has what criu needs.

        :returns: empty when it has, else one line that says what is missing and what to do.
        """
        if os.geteuid() != 0:
            return "processes can only be moved when the daemon runs as root"
        try:
            code, text = criu_process.run((self.program, "check"), limit)
        except NotPossible as error:
            return str(error)
        if code == 0:
            return ""
        return f"{self.program} check: {missing_features(text) or explain(text)} (see [jobs] criu)"

    def version(self, limit: float = 20.0) -> str:
        """Return its version, as ``4.1.1``. :raises NotPossible: it does not start."""
        code, text = criu_process.run((self.program, "--version"), limit)
        found = re.search(r"Version: (\S+)", text)
        if code or not found:
            raise NotPossible(f"{self.program} --version: {explain(text)}")
        return found[1]

    def dump(
        self,
        pid: int,
        directory: str,
        pipes: Sequence[str],
        *,
        pages: tuple[str, int] | None = None,
        tls: TlsFiles | None = None,
        limit: float = 600.0,
        allows: Callable[[int], None] | None = None,
        terminal: int = -1,
        ghost_limit: int = 0,
        connected: bool = False,
        relay: PageRelay | None = None,
    ) -> None:
        """
        Dump ``pid`` and its descendants to ``directory`` and leave them stopped.

        When the dump fails they run on as before.

        :param pipes: `pipe_name` of what its descriptors share with the supervisor.
        :param pages: address and port of the page server for its memory; None: it goes to ``directory``, too.
        :param tls: certificates of the cluster, for the page server, which speaks nothing but TLS.
        :param allows: checks the processes when they are dumped and nobody can continue them; see
            `ActionScript`.
        :param terminal: the job's end of its terminal, of whose session this process is the leader; -1 for a
            job without one. ``pipes`` has the name of /dev/tty as well if the job has descriptors of that.
        :param ghost_limit: for a job with files of its own: bytes of a file without a name that may go to
            ``directory``; locks are carried over, and links are made in the file system for files that have
            other names only. 0: criu's default, no locks and no links.
        :param connected: dump TCP connections, too. ``allows`` has to see that both ends are the job's.
        :param relay: to the page server, made beforehand; it is closed here. Without one it is made here.
        :raises CannotMove: criu refused, or ``allows`` did; the text is a clause that says why.
        """
        external = [word for name in pipes for word in ("--external", name)]
        arguments = [
            "dump", *_paths(directory, "dump"), *_COMMON, "--tree", str(pid), "--leave-stopped", *external,
        ]  # fmt: skip
        if connected:
            arguments += _CONNECTIONS
        if pages is not None and relay is None:
            if tls is None:
                raise ValueError("a page server is spoken to under TLS only")
            from gomd.jobs.checkpoint.page_relay import PageRelay  # ssl costs every supervisor memory
            from gomd.jobs.checkpoint.page_tls import OutgoingStream

            relay = PageRelay(OutgoingStream(*pages, tls))
        if relay is not None:
            arguments += ["--page-server", "--ps-socket", str(relay.theirs.fileno())]
        if ghost_limit:
            arguments += ["--link-remap", "--file-locks", "--ghost-limit", str(ghost_limit)]
        prefix = command_prefix(pid)
        if prefix:
            arguments.append("--unprivileged")
        kept = () if relay is None else relay.descriptors()
        script = None if allows is None else ActionScript(directory, {DUMPED: allows}, kept)
        if terminal >= 0:
            arguments.append("--shell-job")
        try:
            self._call(
                (*prefix, self.program, *arguments),
                directory,
                "dump",
                limit,
                script=script,
                relay=relay,
                terminal=terminal,
            )
        finally:
            if relay is not None:
                relay.close()
        if not os.path.exists(os.path.join(directory, "inventory.img")):
            raise CannotMove("criu said it was done, but left no images")

    def restore(
        self,
        directory: str,
        pipes: Mapping[str, int],
        *,
        limit: float = 600.0,
        allows: Mapping[str, Callable[[int], None]] | None = None,
        file_locks: bool = False,
        before: Callable[[], None] | None = None,
        caller: int = -1,
        terminal: int = -1,
    ) -> int:
        """
        Restore a stopped copy, as a child of the caller; return its pid.

        Call it in the process that is to be the copy's parent, never in a child of that one: when such a
        child ends, the kernel sends the copy its parent-death signal (PR_SET_PDEATHSIG). It may be seen
        running for a moment: call `process_tree.keep_stopped` behind it.

        :param pipes: `pipe_name` at the dump, to the descriptor of this process that takes its place.
        :param allows: checks of the copy at `RESTORED` and `RESUMING`, when none of it can run; see
            `ActionScript`.
        :param file_locks: locks may have been carried over.
        :param before: called in the process that becomes criu, for what the copy inherits from it. It may
            raise `CannotMove`, and may block: that counts towards ``limit``.
        :param caller: the connection of whoever wants the copy, -1 for none.
        :param terminal: as for `dump`, of the new terminal.
        :raises CannotMove: criu refused, or ``allows`` or ``before`` did; nothing of the copy is left. A
            clause says why.
        :raises CallerGone: ``caller`` was closed. What there is of the copy has to be ended.
        """
        inherit = [
            word for name, number in pipes.items() for word in ("--inherit-fd", f"fd[{number}]:{name}")
        ]
        pid_file = os.path.join(directory, "restored.pid")
        arguments = (
            "restore", *_paths(directory, "restore"), *_COMMON, "--restore-detached", "--restore-sibling",
            "--leave-stopped", "--pidfile", pid_file, *_CONNECTIONS, *inherit,
            *(("--file-locks",) if file_locks else ()),
        )  # fmt: skip
        if terminal >= 0:
            arguments = (*arguments, "--shell-job")
        script = None if allows is None else ActionScript(directory, allows)
        self._call(
            (self.program, *arguments), directory, "restore", limit, list(pipes.values()), script,
            before, caller, terminal,
        )  # fmt: skip
        with open(pid_file, encoding="ascii") as file:
            return int(file.read(20))

    def _call(
        self,
        argv: Sequence[str],
        directory: str,
        name: str,
        limit: float,
        descriptors: Sequence[int] = (),
        script: ActionScript | None = None,
        before: Callable[[], None] | None = None,
        caller: int = -1,
        terminal: int = -1,
        relay: PageRelay | None = None,
    ) -> None:
        words, more = ((), {}) if script is None else (script.words(), script.environment())
        kernel_cache.show(directory)
        more = {**more, **kernel_cache.environment(directory)}
        refused, code = "", -1
        try:
            code, text = criu_process.run(
                (*argv, *words), limit, descriptors, more, before, caller, terminal, relay
            )
        finally:
            if script is not None:
                refused = script.close(done=code == 0)
        if refused:
            raise CannotMove(refused)
        if code < 0 and name == "dump":
            raise CannotMove(f"criu was ended by signal {-code}{ENDED_IN_MIDDLE}")
        if code and relay is not None and relay.failure:
            raise CannotMove(relay.failure)
        if code:
            unknown = f"criu was ended by signal {-code}" if code < 0 else ""
            log = _read_log(os.path.join(directory, f"{name}.log")) + text
            if not log and _is_full(directory):  # not even for the log
                unknown = "no space is left where the images are written"
            raise CannotMove(explain(log, unknown) if unknown else explain_failure(log, directory, name))


def _paths(directory: str, name: str) -> tuple[str, ...]:
    return ("--images-dir", directory, "--log-file", f"{name}.log", "-v2")


def explain_failure(log: str, directory: str, name: str) -> str:
    """
    Return why criu failed, a clause; where there are no words for it, keep its log and name that. Blocks.

    :param directory: of the images. :param name: of the log: ``dump`` or ``restore``.
    """
    return known_reason(log) or describe(log, name, keep(directory, name, log))


def _read_log(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(criu_process.MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _is_full(directory: str) -> bool:
    try:
        return os.statvfs(directory).f_bavail == 0
    except OSError:
        return False
