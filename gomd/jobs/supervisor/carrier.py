"""
The process that reads and writes the files a job carries along, for one step, with the rights of the
job's user.

The fork server forks it, as it does supervisors. As root it opens the directory of the carried files,
then it becomes the user for good and does what a `CarrySpec` asks for. Files travel over the connection
of the daemon as `PIECE` frames that hold a stream of `gomd.jobs.checkpoint.file_tree`; an empty one ends
it. The last frame is a `CarryOutcome`.

The directory, of root alone, has ``files``, the user's, with one numbered directory for each carried
path, and at home ``base`` (`gomd.jobs.supervisor.carried_base`) and ``paths``. Standard library only.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.file_tree import Unpacker, pack
from gomd.jobs.checkpoint.file_tree_codec import TreeRefused, TreeTooLarge
from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.checkpoint.remove_tree import remove_tree
from gomd.jobs.supervisor import carried_base
from gomd.jobs.supervisor.attributes import CannotReset, drop_capabilities
from gomd.jobs.supervisor.carried_merge import Merge
from gomd.jobs.supervisor.carried_names import BASE, FILES
from gomd.jobs.supervisor.carried_source import files_at_home, limits_of, open_parent
from gomd.jobs.supervisor.stubs import STUBS, Stub, read_stubs, remove_stub
from libgomd.errors import CannotMove
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import GIVE, MERGE, PUT, REMOVE, TAKE, CarryOutcome, CarrySpec

#: Seconds for which the other end may send or take nothing.
STALL_TIMEOUT: Final = 120.0
#: Bytes that are sent in one frame.
_PIECE_BYTES: Final = 1 << 18
#: Clauses about the merge that are told at most.
_MAX_NOTES: Final = 20
_AT_HOME: Final = "they have come home already"
#: The settings that bound what is carried, by the field of `TreeLimits`.
_SETTINGS: Final = {"entries": "[jobs] carry_files", "size": "[jobs] carry_bytes"}


def carry(
    spec: CarrySpec,
    connection: socket.socket,
    received: Sequence[frames.Frame],
    parser: frames.FrameParser,
) -> None:
    """
    Do one step and tell its outcome. Blocks, as disks and the other end do.

    :param connection: of the daemon. :param received: frames that were read from it already.
    :param parser: has the beginning of the next one.
    """
    connection.settimeout(STALL_TIMEOUT)
    try:
        outcome = _Carrier(spec, connection, received, parser).run()
    except TreeTooLarge as error:
        setting = _SETTINGS.get(error.limit)
        text = named_as_carried(str(error), spec.paths)
        outcome = CarryOutcome(f"{text}{f': see {setting}' if setting else ''}")
    except TreeRefused as error:
        outcome = CarryOutcome(named_as_carried(str(error), spec.paths))
    except (CannotMove, CannotReset) as error:
        outcome = CarryOutcome(str(error))
    except OSError as error:
        outcome = CarryOutcome(
            f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        )
    with suppress(OSError):
        connection.sendall(job_messages.encode(outcome))


def named_as_carried(text: str, paths: Sequence[str]) -> str:
    """Return a refusal with the path as the caller named it: in the stream it stands below a number."""
    number, slash, rest = text.partition("/")
    if not slash or not (number.isascii() and number.isdigit()) or int(number) >= len(paths):
        return text
    return os.path.join(os.path.dirname(paths[int(number)]), rest)


class _Carrier:
    """One step of one job."""

    def __init__(
        self,
        spec: CarrySpec,
        connection: socket.socket,
        received: Sequence[frames.Frame],
        parser: frames.FrameParser,
    ) -> None:
        self._spec = spec
        self._connection = connection
        self._received = list(received)
        self._parser = parser
        self._stubs: list[Stub] = []
        self._limits = limits_of(spec)

    def run(self) -> CarryOutcome:
        """Do the step. :raises CannotMove: :raises OSError: it cannot be done."""
        spec = self._spec
        if spec.uid < 0:  # the daemon does not say: it is who the files were put there for
            with suppress(FileNotFoundError):  # at the home of a job that ran elsewhere there are none
                found = os.stat(os.path.join(spec.directory, FILES), follow_symlinks=False)
                spec = self._spec = spec._replace(uid=found.st_uid, gid=found.st_gid)
        if spec.step in (REMOVE, PUT, MERGE):
            self._wait_for_turn()
        if spec.step == REMOVE:
            return self._remove()
        if spec.step == TAKE:
            base = self._new_file(BASE)
            self._become_user()
            self._send(files_at_home(spec, base))
            os.fsync(base)
            return CarryOutcome()
        if spec.step == PUT:
            return self._put()
        files = self._open_files()
        if spec.step == GIVE:
            self._become_user()
            self._send(pack(files, spec.uid, self._limits))
            return CarryOutcome()
        assert spec.step == MERGE
        with open(os.path.join(spec.directory, BASE), "rb") as lines:
            known = carried_base.parse(lines)
        self._stubs = read_stubs(os.path.join(spec.directory, STUBS))
        self._become_user()
        return self._merge(files, known)

    def _wait_for_turn(self) -> None:
        """
        Wait until no other process changes, merges or removes these files; none does while this one runs.

        A merge takes what is not there for what the job has removed. One may still be under way that an
        earlier daemon has begun. Where nothing is to be merged there is nothing to wait for.

        :raises CannotMove: they have been merged and removed meanwhile.
        """
        import fcntl  # most jobs carry nothing

        path = os.path.join(self._spec.directory, BASE)
        try:
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # open until this process ends
        except FileNotFoundError:
            if self._spec.step == MERGE:
                raise CannotMove(_AT_HOME) from None
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        if self._spec.step == MERGE and not os.fstat(lock).st_nlink:
            raise CannotMove(_AT_HOME)

    # -- at home, when the job begins

    def _new_file(self, name: str) -> int:
        os.makedirs(self._spec.directory, 0o700, exist_ok=True)
        path = os.path.join(self._spec.directory, name)
        with suppress(FileNotFoundError):
            os.unlink(path)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    # -- where the job runs

    def _put(self) -> CarryOutcome:
        spec = self._spec
        os.makedirs(spec.directory, 0o700, exist_ok=True)
        path = os.path.join(spec.directory, FILES)
        remove_tree(path)
        os.mkdir(path, 0o700)
        files = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if os.geteuid() == 0:
            os.fchown(files, spec.uid, spec.gid)
        self._become_user()
        unpacker = Unpacker(files, spec.uid, {spec.gid, *spec.groups}, self._limits)
        try:
            for data in self._pieces():
                unpacker.feed(data)
            unpacker.finish()
        finally:
            unpacker.close()
        return CarryOutcome()

    def _open_files(self) -> int:
        path = os.path.join(self._spec.directory, FILES)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _remove(self) -> CarryOutcome:
        """Remove the files, and what was made on this node for them to appear at."""
        spec = self._spec
        stubs = read_stubs(os.path.join(spec.directory, STUBS))
        with suppress(OSError):  # before FILES, which says with whose rights they are removed
            os.unlink(os.path.join(spec.directory, STUBS))
        if spec.paths == (FILES,):  # the job has left its home
            with suppress(OSError):
                remove_tree(os.path.join(spec.directory, FILES))
        else:
            with suppress(OSError):
                remove_tree(spec.directory)
        if stubs and spec.uid >= 0:
            self._become_user()
            for stub in reversed(stubs):
                remove_stub(stub)
        return CarryOutcome()

    # -- at home, when the job has ended

    def _merge(self, files: int, known: carried_base.Base) -> CarryOutcome:
        for stub in reversed(self._stubs):
            remove_stub(stub)
        merge = Merge(known, self._spec.suffix, self._spec.uid)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, path in enumerate(self._spec.paths):
            try:
                parent, _name = open_parent(root, path, os.O_RDONLY)
                staged = open_beneath(files, (str(number).encode(),), os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                merge.failures.append(f"{path}: {error.strerror}")
                continue
            merge.merge(number, path, staged, parent)
            os.close(staged)
            os.close(parent)
        return CarryOutcome(_several(merge.failures), tuple(merge.notes[:_MAX_NOTES]) + _more(merge.notes))

    # -- the process and its connection

    def _become_user(self) -> None:
        """Have the rights of the job's user and no others from here on."""
        spec = self._spec
        if os.geteuid() == 0:
            os.setgroups(spec.groups)
            os.setresgid(spec.gid, spec.gid, spec.gid)
            os.setresuid(spec.uid, spec.uid, spec.uid)
            drop_capabilities(spec.uid)  # whatever securebits the daemon has
        os.umask(0o77)

    def _send(self, stream: Iterator[bytes]) -> None:
        waiting = bytearray()
        for data in stream:
            waiting += data
            while len(waiting) >= _PIECE_BYTES:
                self._connection.sendall(frames.encode(frames.PIECE, bytes(waiting[:_PIECE_BYTES])))
                del waiting[:_PIECE_BYTES]
        if waiting:
            self._connection.sendall(frames.encode(frames.PIECE, bytes(waiting)))
        self._connection.sendall(frames.encode(frames.PIECE))

    def _pieces(self) -> Iterator[bytes]:
        """Yield what comes, up to the empty piece. :raises CannotMove: the other end gave up."""
        waiting = self._received
        while True:
            for frame in waiting:
                if frame.kind != frames.PIECE:
                    raise CannotMove("the other end gave up")
                if not frame.payload:
                    return
                yield frame.payload
            data = self._connection.recv(_PIECE_BYTES)
            if not data:
                raise CannotMove("the connection ended in the middle of the files")
            waiting = list(self._parser.feed(data))


def _several(clauses: Sequence[str]) -> str:
    more = f" and {len(clauses) - 5} more" if len(clauses) > 5 else ""
    return "; ".join(clauses[:5]) + more


def _more(notes: Sequence[str]) -> tuple[str, ...]:
    return (f"{len(notes) - _MAX_NOTES} more files were kept",) if len(notes) > _MAX_NOTES else ()
