"""
Starts the drivers, one process a language, and says calls to them.

A call is a word and its arguments:

connect ENDPOINT SECONDS [TOKEN]
    Connect; the next calls are of this connection.
ask VERB WORD...
    Ask as any verb is asked that the library does not know: the values as they came.
read VERB WORD...
    Ask by the method or the structs that the library has for the verb: the values as it has them.
watch NODE SECONDS VERB, next, unwatch
    Begin a watch; its next round, ``from``, ``age``, ``left``, ``code`` and ``value`` of each node; end it.
run WORD..., attach JOB
    Begin a job, or take one up: its number.
both BYTES
    Send so many bytes to the job, which gives them back: whether it did, and its exit status.
output BYTES
    The same of a job that gives them without being sent them.
wait SECONDS, signal NUMBER, leave
    Wait for the job's exit status; send it a signal; close its streams.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.daemon import PATIENCE

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
LANGUAGES = ("python", "c", "perl", "java")
#: A test with the `driver` of one language after the other.
every_language = pytest.mark.parametrize("driver", LANGUAGES, indirect=True)
#: What a language cannot do without.
NEEDS = {"c": "gcc make", "perl": "perl", "java": "javac make"}


class Said(NamedTuple):
    """
    What came of a call.

    :ivar value: what the library returned. :ivar error: the kind of its error, or the code of a refusal;
        empty when it was none. :ivar text: the error's sentence.
    """

    value: Any = None
    error: str | int = ""
    text: str = ""


class Driver:
    """A program that makes the calls of one language's library, from `start` to `end`."""

    def __init__(self, language: str, command: list[str]) -> None:
        self.language = language
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def begin(self, *words: object) -> None:
        """Let it make a call; `said` waits for what comes of that."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def said(self) -> Said:
        """Return what came of the call that was begun. Fails when nothing comes."""
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE * 2, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        assert line, f"the driver in {self.language} crashed or hung"
        found = json.loads(line)
        if "ok" in found:
            return Said(found["ok"])
        return Said(None, found["code"] or found["error"], found["text"])

    def call(self, *words: object) -> Said:
        """Make a call and return what came of it."""
        self.begin(*words)
        return self.said()

    def ok(self, *words: object) -> Any:
        """Make a call that has to succeed; return what the library returned."""
        said = self.call(*words)
        assert not said.error, (self.language, words, said)
        return said.value

    def interrupt(self) -> None:
        """Send it a signal that its handler ignores; what it waits in returns EINTR."""
        self._process.send_signal(signal.SIGUSR1)

    def end(self) -> None:
        """End it; it has to end well."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(PATIENCE) == 0, self.language
        finally:
            self._process.kill()


def is_installed(language: str) -> bool:
    """Whether this machine can build and run programs in the language."""
    return all(shutil.which(program) for program in NEEDS.get(language, "").split())


def start(language: str, build: Path, compiled: Path | None) -> Driver:
    """
    Build and start the driver of a language.

    :param build: a directory for what is built. :param compiled: where the library in C was installed.
    """
    if language == "python":
        return Driver(language, [sys.executable, "-m", "tests.integration.conversations.driver"])
    if language == "perl":
        return Driver(language, ["perl", f"-I{ROOT}/clients/perl/lib", str(HERE / "driver.pl")])
    if language == "c":
        program = str(build / "driver")
        _build(
            "gcc", "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{compiled}/include",
            str(HERE / "driver.c"), "-o", program, f"-L{compiled}/lib", "-lgomd",
            f"-Wl,-rpath,{compiled}/lib",
        )  # fmt: skip
        return Driver(language, [program])
    _build("make", "-s", "-C", str(ROOT / "clients" / "java"), f"BUILD={build}/java")
    jar = f"{build}/java/gomd.jar"
    _build("javac", "-XDignore.symbol.file", "-cp", jar, "-d", str(build), str(HERE / "Driver.java"))
    return Driver(
        language, ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{jar}:{build}", "Driver"]
    )


def _build(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
