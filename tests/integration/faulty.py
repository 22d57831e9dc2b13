"""
`twistd gomd` with one fault armed: at a step of a migration, once, it is killed, cut off, robbed of its criu.

`python faulty.py FILE OPTION...` runs the daemon in this process. Whenever a test writes FILE, a line of JSON
as `Fault` has it, the next step of that name does what it says; FILE is then called FILE.fired. A step is
``before write STATE``, ``after write STATE``, ``before send WORD``, ``before heard WORD``,
``before act ACT``, ``after act ACT``, ``before forget``, ``before begin freeze``: the source is about to get
ready for it; or on the target ``before precopy`` and ``before precopied``: memory is about to come ahead, or
all of it has. Nothing of this is in gomd: its methods are wrapped here.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is to happen, once.

    :ivar step: see the module. :ivar do: ``kill`` the process ``pid``, 0 being this one; ``end`` it, with
        SIGTERM; ``cut`` the messages' streams; ``criu``: kill -9 of criu ``seconds`` after it began, ``arg``
        being the program that `fragile_criu` made, and dump, page-server or restore; or, behind them, a
        system call, which one of criu's it is at, and perhaps what else strace does there;
        ``fill`` the file system of directory ``arg``; ``poor``: no memory is free here; ``break``: an error
        of the disk.
    """

    step: str
    do: str
    pid: int = 0
    arg: str = ""
    seconds: float = 0.0

    def arm(self, path: Path) -> None:
        """Arm this fault for the daemon that runs with FILE ``path``."""
        fired(path).unlink(missing_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.rename(path)


def fired(path: Path) -> Path:
    """Return the name that FILE ``path`` has after its fault has happened."""
    return path.with_name(f"{path.name}.fired")


class _Faults:
    """Looks at each step for a fault that is armed for it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, step: str) -> Fault | None:
        """Return the fault that is armed for this step and disarm it, None when there is none."""
        try:
            fault = Fault(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        if fault.step != step:
            return None
        os.rename(self._path, fired(self._path))
        return fault

    def step(self, step: str, context: Any) -> None:
        """Let the fault happen that is armed for this step."""
        fault = self.take(step)
        if fault is None:
            return
        if fault.do in ("kill", "end"):
            number = signal.SIGKILL if fault.do == "kill" else signal.SIGTERM
            os.kill(fault.pid or os.getpid(), number)
            if context is None:  # on a thread: what happens first is not left to chance
                time.sleep(fault.seconds)
        elif fault.do == "cut":
            for streams in tuple(context.channels._streams.values()):
                for stream in tuple(streams):
                    stream.abort()
        elif fault.do == "criu":
            program, kind, *call = fault.arg.split()
            Path(f"{program}.armed").write_text(f"{kind} {fault.seconds} {' '.join(call)}\n")
        elif fault.do == "fill":
            fill(fault.arg)
        elif fault.do == "break":
            raise OSError("broken on purpose")
        elif fault.do == "poor":
            _be_poor(context)
        else:
            raise AssertionError(fault)

    def wrap(self, owner: type, name: str, step: Callable[..., str], context: Callable[[Any], Any]) -> None:
        """Make a step of the method ``name``: before it and, if it is a coroutine, after it."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def plain(part: Any, *arguments: Any) -> Any:
            self.step(f"before {step(*arguments)}", context(part))
            return method(part, *arguments)

        @functools.wraps(method)
        async def slow(part: Any, *arguments: Any) -> Any:
            self.step(f"before {step(*arguments)}", context(part))
            result = await method(part, *arguments)
            self.step(f"after {step(*arguments)}", context(part))
            return result

        setattr(owner, name, slow if inspect.iscoroutinefunction(method) else plain)


def fragile_criu(path: Path, criu: str) -> str:
    """Write a program that is ``criu`` until a fault kills it while it works; return its name."""
    path.write_text(f"""#!/bin/sh
# It is run by names that lead around the job's own /tmp, too.
if [ -f "$0.armed" ]; then
    read -r kind seconds call count what < "$0.armed"
    case " $* " in *" $kind "*)
        rm "$0.armed"
        [ -z "$call" ] || exec strace -qq -o /dev/null -e "trace=$call" \\
            -e "inject=$call:${{what:-signal=SIGKILL}}:when=$count" {criu} "$@"
        {criu} "$@" &
        sleep "$seconds"
        kill -9 $! $$ ;;
    esac
fi
exec {criu} "$@"
""")
    path.chmod(0o755)
    return str(path)


def fill(directory: str) -> None:
    """Fill the file system of a directory."""
    with open(os.path.join(directory, "filler"), "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def _be_poor(context: Any) -> None:
    """Let this machine have no free memory for what comes next."""
    from dataclasses import replace

    checks = context.checks
    read = checks._read_capabilities

    def read_once(*arguments: Any) -> Any:
        checks._read_capabilities = read
        return replace(read(*arguments), memory=1 << 20)

    checks._read_capabilities = read_once


def _prepare(path: Path) -> None:
    from gomd.jobs.checkpoint.precopy_images import PrecopyImages
    from gomd.jobs.migration.context import MigrationContext
    from gomd.jobs.migration.freeze_preparation import FreezePreparation
    from gomd.jobs.migration.journal import MigrationJournal
    from gomd.jobs.migration.service import Migrations
    from gomd.jobs.migration.source import MigrationSource
    from gomd.jobs.migration.target import MigrationTarget

    faults = _Faults(path)
    faults.wrap(
        MigrationContext, "write", lambda _id, state, *_more: f"write {state.word}", lambda part: part
    )
    for owner in (MigrationSource, MigrationTarget):
        faults.wrap(owner, "act", lambda act: f"act {act.word}", lambda part: part._context)
        faults.wrap(
            owner, "send", lambda message, _reason: f"send {message.word}", lambda part: part._context
        )
    heard: Callable[..., str] = lambda message, _answer: f"heard {message.word}"  # noqa: E731
    faults.wrap(Migrations, "heard", heard, lambda part: part._context)
    faults.wrap(FreezePreparation, "begin", lambda: "begin freeze", lambda part: part._context)
    faults.wrap(MigrationJournal, "forget", lambda _record: "forget", lambda _part: None)
    faults.wrap(PrecopyImages, "finish", lambda: "precopied", lambda _part: None)
    faults.wrap(PrecopyImages, "begin", lambda: "precopy", lambda _part: None)


def main() -> None:
    """Run the daemon with the armed faults."""
    from twisted.scripts.twistd import run

    del sys.path[0]  # the directory of the tests: their names are not for the daemon
    _prepare(Path(sys.argv[1]))
    sys.argv = ["twistd", "-n", "--pidfile=", "gomd", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()
