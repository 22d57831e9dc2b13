"""
A host in namespaces of its own that starts, freezes, brings up and ends one program: a supervisor for tests.

As a program it is process 1 of a PID and a mount namespace, in the network namespace it is started in. It
does what comes as a line of JSON on its standard input, and answers with one.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from gomd.jobs.checkpoint import criu, page_connection, page_receiver, process_tree
from gomd.jobs.checkpoint.images import Images
from gomd.jobs.checkpoint.move_tls import client_context
from gomd.jobs.checkpoint.page_tls import OutgoingStream
from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.kernel import mount_own_proc, unshare_pids_and_mounts
from libgomd.errors import CannotMove


class Host:
    """The other end: starts the program and talks to it."""

    def __init__(self, program: str, network: str | None = None) -> None:
        prefix = ["ip", "netns", "exec", network] if network else []
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.integration.criu_host", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def begin(self, verb: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the host ended"
        failure, value = json.loads(line)
        if failure:
            raise CannotMove(value)
        return value

    def do(self, verb: str, **arguments: Any) -> Any:
        self.begin(verb, **arguments)
        return self.answer()

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


class _Inside:
    """What the program does."""

    def __init__(self, program: str) -> None:
        self._criu = criu.Criu(program)
        self._pid = 0
        self._names: list[str] = []
        self._pipes: list[int] = []
        self._listening: Any = None
        self._work: ChildTask | None = None

    def start(self, argv: list[str], uid: int = 0) -> int:
        theirs = self._make_pipes()
        process_tree.set_next_pid(300)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setsid()
                for number, descriptor in enumerate(theirs):
                    os.dup2(descriptor, number)
                os.closerange(3, 4096)
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                os.chdir("/")
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        self._names = [criu.pipe_name(descriptor) for descriptor in theirs]
        for descriptor in theirs:
            os.close(descriptor)
        return self._pid

    def _make_pipes(self) -> list[int]:
        (stdin, feed), (out_read, out), (error_read, error) = os.pipe(), os.pipe(), os.pipe()
        self._pipes = [feed, out_read, error_read]
        for descriptor in (out_read, error_read):
            os.set_blocking(descriptor, False)
        return [stdin, out, error]

    def read(self) -> str:
        """What the program wrote since."""
        pieces = []
        while True:
            try:
                piece = os.read(self._pipes[1], 65536)
            except BlockingIOError:
                break
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces).decode()

    def errors(self) -> str:
        try:
            return os.read(self._pipes[2], 65536).decode()
        except BlockingIOError:
            return ""

    def listen(self, address: str) -> int:
        self._listening = page_connection.listen(address)
        port: int = self._listening.getsockname()[1]
        return port

    def take(self, source: str, directory: str, tls: list[str]) -> None:
        """Begin to take pages."""

        def work() -> None:
            accepted = page_connection.accept(self._listening, (source,), 10.0)
            page_receiver.receive(accepted, directory, criu.TlsFiles(*tls))

        self._work = ChildTask(work, 70.0)

    def taken(self) -> None:
        """Wait until all pages came."""
        assert self._work is not None
        self._listening.close()
        self._work.wait()

    def dump(
        self, directory: str, to: list[Any] | None, tls: list[str] | None, kill_after: float = 0
    ) -> dict[str, Any]:
        def work() -> list[Any]:
            self._criu.dump(
                self._pid,
                directory,
                self._names,
                stream=_connected(to, tls) if to and tls else None,
                limit=60.0,
            )
            pids = process_tree.descendants(self._pid)
            return [pids, process_tree.keep_stopped(pids)]

        before = time.monotonic()
        working = ChildTask(work, 70.0)
        if kill_after:
            time.sleep(kill_after)
            for pid in reversed(process_tree.descendants(working.pid)[1:]):
                os.kill(pid, signal.SIGKILL)
        pids, held = working.wait()
        return {"pid": self._pid, "pids": pids, "held": held, "names": self._names,
                "seconds": time.monotonic() - before}  # fmt: skip

    def restore(self, directory: str, pid: int, names: list[str]) -> dict[str, Any]:
        theirs = self._make_pipes()

        before = time.monotonic()
        found = self._criu.restore(directory, dict(zip(names, theirs, strict=True)), limit=60.0)
        pids = process_tree.descendants(found)
        held = process_tree.keep_stopped(pids)
        self._names = [criu.pipe_name(descriptor) for descriptor in theirs]
        for descriptor in theirs:
            os.close(descriptor)
        self._pid = pid
        return {"pids": pids, "held": held, "seconds": time.monotonic() - before}

    def begin_in_vain(self, directory: str, die: bool) -> list[int]:
        """
        Begin a dump that nobody lets go, and end it. Returns when all of that has ended.

        :param die: the process that has begun it is killed. :returns: the children that are left; and 0, if
            the job was looked at.
        """
        asked = os.path.join(directory, "asked")

        def work() -> None:
            begun = self._criu.begin_dump(self._pid, directory, self._names, allows=lambda _: os.mkdir(asked))
            while (
                len(process_tree.descendants(begun.running.process.pid)) < 2
            ):  # its script does not wait yet
                time.sleep(0.01)
            if die:
                os.kill(os.getpid(), signal.SIGKILL)
            begun.close()

        with suppress(CannotMove):  # it was killed
            ChildTask(work, 30.0).wait()
        end = time.monotonic() + 20
        while process_tree.strays(os.getpid()) != [self._pid] and time.monotonic() < end:
            time.sleep(0.01)
        return process_tree.strays(os.getpid()) + [0] * os.path.exists(asked)

    def use_run(self, directory: str, known: bool) -> None:
        """
        Give criu a /run of its own.

        :param known: a tmpfs, with what criu has found out about the kernel; else ``directory``, where criu
            keeps nothing of that.
        """
        words = ["-t", "tmpfs", "tmpfs", "/run"] if known else ["--bind", directory, "/run"]
        subprocess.run(["mount", *words], check=True)
        if known:
            subprocess.run([self._criu.program, "check"], capture_output=True, check=False)

    def bare_dump(self, directory: str, far: str, corked: bool) -> dict[str, Any]:
        """
        What a person would type: a page server and a dump, on loopback over plain TCP, timed.

        :param corked: as criu does it by itself; else over a pair of sockets that cannot be corked.
        """
        program = self._criu.program
        external = [word for name in self._names for word in ("--external", name)]
        ends = [] if corked else socket.socketpair()
        numbers = [end.fileno() for end in ends]
        words = [["--address", "127.0.0.1", "--port", "28471"]] * 2 if corked else [
            ["--ps-socket", str(number)] for number in numbers
        ]  # fmt: skip
        with process_tree.high_pids():
            server = subprocess.Popen([program, "page-server", "-D", far, *words[0]], pass_fds=numbers)
            time.sleep(0.5)
            before = time.monotonic()
            subprocess.run(
                [program, "dump", "-D", directory, "-t", str(self._pid), "--page-server", *words[1],
                 *external, "--leave-stopped"], check=True, pass_fds=numbers,
            )  # fmt: skip
            seconds = time.monotonic() - before
            server.wait()
        for end in ends:
            end.close()
        return {"pid": self._pid, "names": self._names, "seconds": seconds}

    def bare_restore(self, directory: str, pid: int, names: list[str]) -> dict[str, Any]:
        """The same for a restore."""
        theirs = self._make_pipes()
        inherit = [
            word for n, d in zip(names, theirs, strict=True) for word in ("--inherit-fd", f"fd[{d}]:{n}")
        ]
        with process_tree.high_pids():
            before = time.monotonic()
            subprocess.run(
                [self._criu.program, "restore", "-D", directory, "-d", "--restore-sibling", *inherit],
                check=True, pass_fds=theirs,
            )  # fmt: skip
            seconds = time.monotonic() - before
        for descriptor in theirs:
            os.close(descriptor)
        self._pid = pid
        return {"seconds": seconds}

    def send_images(self, directory: str) -> dict[str, str]:
        images = Images.read(directory)
        return {name: base64.b64encode(data).decode() for name, data in images.files.items()}

    def take_images(self, directory: str, images: dict[str, str]) -> None:
        Images({name: base64.b64decode(data) for name, data in images.items()}).write(directory)

    def states(self) -> str:
        return "".join(process_tree.state(pid) for pid in process_tree.descendants(self._pid))

    def thaw(self) -> None:
        process_tree.thaw(process_tree.descendants(self._pid))

    def end(self) -> int:
        process_tree.end(process_tree.descendants(self._pid))
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def wait(self) -> int:
        """The exit status of the program: of its parent, that is."""
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _connected(to: list[Any], tls: list[str]) -> OutgoingStream:
    stream = OutgoingStream(to[0], to[1], client_context(criu.TlsFiles(*tls)))
    stream.shake_hands()
    return stream


def _serve(program: str) -> None:
    inside = _Inside(program)
    for line in sys.stdin:
        verb, arguments = json.loads(line)
        try:
            answer = (False, getattr(inside, verb)(**arguments))
        except Exception as error:
            answer = (True, str(error))
        print(json.dumps(answer), flush=True)


def main() -> None:
    unshare_pids_and_mounts()
    pid = os.fork()
    if pid == 0:
        mount_own_proc()
        _serve(sys.argv[1])
        os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
