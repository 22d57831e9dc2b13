"""A person at a terminal of a machine, who types what the tutorial shows and reads what comes."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time

from tests.doc_blocks import Numbers, Step, shape
from tests.integration.systemd.machine import Machine

#: Seconds that one command may take: apt unpacks and configures some fifty packages.
PATIENCE = 400.0
#: A question: what is typed follows what is asked.
_QUESTION = re.compile(r"(?P<asked>.*(?:\[[^\]]*\]:?|shows there:))(?: (?P<typed>\S+))?")
#: The output of a command that is left out.
_LEFT_OUT = "..."
#: What terminals are told besides text.
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|\r")


class Person:
    """
    A login shell of a user on a machine. A context manager that hangs up.

    :param numbers: what the printed numbers of the tutorial are in this run.
    """

    def __init__(self, machine: Machine, user: str, numbers: Numbers) -> None:
        self.name = f"{user}@{machine.name}"
        self._numbers = numbers
        self._unread = ""
        self._is_busy = False
        self._prompt = rf"{self.name}:[~/]\S*[#$] "
        command = machine.command("TERM=dumb", "script", "-qec", f"su - {user}", "/dev/null")
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self._read_until(self._prompt)

    def __repr__(self) -> str:
        return f"{self.name} {'busy' if self._is_busy else 'idle'}, unread {self._unread[-2000:]!r}"

    def close(self) -> None:
        """Hang up."""
        os.close(self._terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def type(self, command: str) -> None:
        """Type a command; the one before has to be done."""
        self.finish()
        os.write(self._terminal, f"{command}\n".encode())
        self._is_busy = True
        self._read_until(r"\n")  # the terminal shows what is typed

    def finish(self) -> None:
        """Wait until the command before is done, whatever it prints."""
        if self._is_busy:
            self._read_until(self._prompt)
            self._is_busy = False

    def go_on(self, step: Step, answers: dict[str, str]) -> None:
        """
        Type the command of a step, if there is one, and read what is shown of its output.

        :param answers: what is typed instead of an answer that is printed, such as the code of an invitation.
        """
        if step.prompt:
            self.type(self._numbers.put(step.command))
        skips = False
        for line in step.output:
            question = _QUESTION.fullmatch(line.rstrip())
            if line.strip() == _LEFT_OUT:
                skips = True
            elif question:
                self._read_until(_pattern(question["asked"]) + " ?")
                typed = question["typed"] or ""
                os.write(self._terminal, f"{answers.get(typed, typed)}\n".encode())
                self._read_until(r"\n")
                skips = False
            else:
                self._expect(line, skips, answers)
                skips = False
        if step.output and not skips and self._is_busy and not self._is_waiting():
            rest = re.sub(f"{self._prompt}$", "", self._read_until(self._prompt))
            self._is_busy = False
            assert not rest.strip(), f"{self.name}: {step.command!r} also printed {rest!r}"

    def says(self, line: str) -> bool:
        """Whether a command of this person runs, and what it prints next is this line."""
        question = _QUESTION.fullmatch(line.rstrip())
        pattern = _pattern(question["asked"] if question else line.rstrip())
        if self._is_busy:
            self._take(0.2)
        return self._is_busy and re.match(pattern, self._unread) is not None

    def _expect(self, line: str, skips: bool, answers: dict[str, str]) -> None:
        """Read lines up to the one that is shown, or the next one if none is left out."""
        while True:
            printed = self._read_until(r"\n").rstrip("\n")
            if shape(printed) == shape(line):
                self._numbers.learn(line, printed)
                for shown in answers:
                    if shown in line:
                        answers[shown] = re.findall(r"\d{4}-\d{4}", printed)[0]
                return
            assert skips, f"{self.name}: {printed!r} where the tutorial shows {line!r}"
            assert not re.match(self._prompt, printed), f"{self.name}: no {line!r} came"

    def _is_waiting(self) -> bool:
        """Whether the command is one that waits for somebody else, as `gom invite` does for the new node."""
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            if re.search(self._prompt, self._unread):
                return False
            self._take(0.1)
        return not re.search(self._prompt, self._unread)

    def _take(self, seconds: float) -> bool:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return False
        text = os.read(self._terminal, 65536).decode(errors="replace")
        self._unread = _CONTROLS.sub("", self._unread + text)
        return True

    def _read_until(self, pattern: str) -> str:
        """Return what comes up to a pattern, with it."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._unread)):
            assert time.monotonic() < end, f"{self.name}: {pattern!r} did not come: {self._unread[-3000:]!r}"
            self._take(1.0)
        text, self._unread = self._unread[: found.end()], self._unread[found.end() :]
        return text


def _pattern(text: str) -> str:
    """Return a pattern for a printed text with any numbers."""
    return r"\d+".join(re.escape(part) for part in re.split(r"\d+", text))
