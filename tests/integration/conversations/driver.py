"""Makes calls of the blocking library in Python; see drivers.py."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import signal
import sys
from collections.abc import Generator
from typing import Any

from libgomd import blocking, calls
from libgomd.blocking_job import BlockingJob
from libgomd.errors import ConfigError, GomdError, TimedOut
from libgomd.wire import values

#: The methods whose name is not that of the verb.
NAMES = {"map": "node_map"}


@functools.cache
def byte_string(count: int) -> bytes:
    """Return what goes through a job and back."""
    return bytes((position * 2654435761 & 0xFFFFFFFF) >> 13 & 0xFF for position in range(count))


def plain(value: Any) -> Any:
    """Return what the library returned as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "JSON"):
        return values.encode(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value.value if isinstance(value, enum.Enum) else value


class Driver:
    """What was connected, watched and run last."""

    gomd: blocking.Client
    rounds: Generator[Any, None, None]
    job: BlockingJob

    def connect(self, endpoint: str, seconds: str, token: str | None = None) -> None:
        """Connect to a daemon."""
        self.gomd = blocking.connect(endpoint, token, float(seconds))

    def ask(self, verb: str, *words: str) -> Any:
        """Ask a verb that has no method."""
        return self.gomd.ask(verb, *words, block=verb in ("nodes", "ps", "jobs", "stats", "help"))

    def read(self, verb: str, *words: str) -> Any:
        """Ask a verb by its method."""
        arguments = [int(word) if word.isdecimal() else word for word in words]
        return plain(getattr(self.gomd, NAMES.get(verb, verb))(*arguments))

    def watch(self, node: str, seconds: str, verb: str) -> None:
        """Begin to watch."""
        call = getattr(calls, verb)()
        self.rounds = self.gomd.watch_nodes(call, nodes=node, seconds=float(seconds))

    def next(self) -> Any:
        """Return the next round."""
        return [
            {
                "from": each.node, "age": each.age, "left": each.left, "value": plain(each.value),
                "code": getattr(each.error, "code", None),
            }
            for each in next(self.rounds)
        ]  # fmt: skip

    def unwatch(self) -> None:
        """Watch no more."""
        self.rounds.close()

    def run(self, *argv: str) -> Any:
        """Run a command."""
        self.job = self.gomd.run(list(argv))
        return {"job": self.job.job}

    def attach(self, number: str) -> Any:
        """Take up a job."""
        self.job = self.gomd.attach(int(number))
        return {"job": self.job.job}

    def both(self, count: str) -> Any:
        """Send bytes through the job and back."""
        data = byte_string(int(count))
        output, errors = self.job.communicate(data)
        return {"same": (output, errors) == (data, b""), "bytes": len(output), "status": self.job.wait()}

    def output(self, count: str) -> Any:
        """Read what the job gives without input."""
        output = b"".join(data for _stream, data in self.job)
        return {"same": output == byte_string(int(count)), "bytes": len(output), "status": self.job.wait()}

    def wait(self, seconds: str) -> int:
        """Wait for the job's end."""
        return self.job.wait(float(seconds))

    def signal(self, number: str) -> None:
        """Send the job a signal."""
        self.job.signal(int(number))

    def leave(self) -> None:
        """Close the job's streams."""
        self.job.close()


def main() -> None:
    """Do what each line says."""
    signal.signal(signal.SIGUSR1, lambda *_: None)
    driver = Driver()
    for line in iter(sys.stdin.readline, ""):
        name, *words = line.rstrip("\n").split("\t")
        answer: dict[str, Any]
        try:
            answer = {"ok": getattr(driver, name)(*words)}
        except GomdError as error:
            # A timeout has the code of one that a daemon reports.
            code = 0 if isinstance(error, TimedOut) else getattr(error, "code", 0)
            kind = "MalformedRequest" if isinstance(error, ConfigError) else type(error).__name__
            answer = {"error": kind, "code": code, "text": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
