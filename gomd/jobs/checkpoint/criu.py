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
from gomd.jobs.checkpoint.criu_log import explain, missing_features
from gomd.jobs.checkpoint.criu_outcome import check_images, judge
from gomd.jobs.checkpoint.unprivileged import command_prefix
from libgomd.errors import NotPossible

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.begun_dump import BegunDump
    from gomd.jobs.checkpoint.page_relay import PageRelay
    from gomd.jobs.checkpoint.page_tls import OutgoingStream

#: Where contrib/get-criu unpacks one on systems whose own criu does not work.
UNPACKED: Final = "/opt/gomd-criu/criu"
#: Options on which both sides have to agree: each machine keeps its own cgroups, and files are compared by
#: their build ids.
_COMMON: Final = ("--manage-cgroups=ignore", "--file-validation=buildid")

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
        limit: float = 600.0,
        allows: Callable[[int], None] | None = None,
        terminal: int = -1,
        ghost_limit: int = 0,
        connected: bool = False,
        relay: PageRelay | None = None,
        stream: OutgoingStream | None = None,
        begun: BegunDump | None = None,
    ) -> None:
        """
        Dump ``pid`` and its descendants to ``directory`` and leave them stopped.

        When the dump fails they run on as before.

        :param pipes: `pipe_name` of what its descriptors share with the supervisor.
        :param allows: checks the processes when they are dumped and nobody can continue them; see
            `ActionScript`.
        :param terminal: the job's end of its terminal, of whose session this process is the leader; -1 for a
            job without one. ``pipes`` has the name of /dev/tty as well if the job has descriptors of that.
        :param ghost_limit: for a job with files of its own: bytes of a file without a name that may go to
            ``directory``; locks are carried over, and links are made in the file system for files that have
            other names only. 0: criu's default, no locks and no links.
        :param connected: dump TCP connections, too. ``allows`` has to see that both ends are the job's.
        :param relay: to the page server, closed here. :param stream: to the page server, when there is no
            ``relay``. With neither, the memory goes to ``directory``, too.
        :param begun: what `begin_dump` returned. It is closed here, and used if it is what is wanted now.
        :raises CannotMove: criu refused, or ``allows`` did; the text is a clause that says why.
        """
        argv = self._dump_argv(pid, directory, pipes, terminal, ghost_limit, connected)
        if begun is not None:
            if stream is not None and begun.argv == argv and begun.let_go():
                begun.relay.use(stream)
                self._finish_begun(begun, directory, limit)
                return
            begun.close()
        if stream is not None and relay is None:
            from gomd.jobs.checkpoint.page_relay import PageRelay  # ssl costs every supervisor memory

            relay = PageRelay(stream)
        if relay is not None:
            argv = (*argv, *relay.words())
        kept = () if relay is None else relay.descriptors()
        script = None if allows is None else ActionScript(directory, {DUMPED: allows}, kept)
        try:
            self._call(argv, directory, "dump", limit, script=script, relay=relay, terminal=terminal)
        finally:
            if relay is not None:
                relay.close()
        check_images(directory)

    def begin_dump(
        self,
        pid: int,
        directory: str,
        pipes: Sequence[str],
        *,
        allows: Callable[[int], None],
        terminal: int = -1,
        ghost_limit: int = 0,
        connected: bool = False,
    ) -> BegunDump:
        """
        Start criu for a `dump` with the same parameters that may follow.

        Give the result to `dump`, or close it. It does nothing with the job before.

        :raises CannotMove: it cannot be started. :raises NotPossible: likewise.
        """
        from gomd.jobs.checkpoint.begun_dump import BegunDump

        kernel_cache.show(directory)
        argv = self._dump_argv(pid, directory, pipes, terminal, ghost_limit, connected)
        stdin = criu_process.stdin_of(terminal)
        return BegunDump(argv, directory, allows, kernel_cache.environment(directory), stdin)

    def _dump_argv(
        self, pid: int, directory: str, pipes: Sequence[str], terminal: int, ghost_limit: int, connected: bool
    ) -> tuple[str, ...]:
        """Return the command of a dump but for what is new each time. The parameters are those of `dump`."""
        external = [word for name in pipes for word in ("--external", name)]
        arguments = [
            "dump", *_paths(directory, "dump"), *_COMMON, "--tree", str(pid), "--leave-stopped", *external,
        ]  # fmt: skip
        if connected:
            arguments += _CONNECTIONS
        if ghost_limit:
            arguments += ["--link-remap", "--file-locks", "--ghost-limit", str(ghost_limit)]
        prefix = command_prefix(pid)
        if prefix:
            arguments.append("--unprivileged")
        if terminal >= 0:
            arguments.append("--shell-job")
        return (*prefix, self.program, *arguments)

    def _finish_begun(self, begun: BegunDump, directory: str, limit: float) -> None:
        """Wait for a dump that was let go. :raises CannotMove: as `dump` does."""
        refused, code = "", -1
        try:
            code, text = criu_process.finish(begun.running, limit, -1, begun.relay)
        finally:
            refused = begun.script.close(done=code == 0)
            begun.relay.close()
        judge(code, text, refused, directory, "dump", begun.relay)
        check_images(directory)

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
        judge(code, text, refused, directory, name, relay)


def _paths(directory: str, name: str) -> tuple[str, ...]:
    return ("--images-dir", directory, "--log-file", f"{name}.log", "-v2")
