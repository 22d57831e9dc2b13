"""What is typed before, during and behind a move comes once."""

from __future__ import annotations

import hashlib
import time

from tests.integration.hosts import Host
from tests.integration.migration.prompt import PromptJob
from tests.integration.migration.terminals.shells import HOLD, SOON, go_on


def test_what_was_typed_ahead(hosts: list[Host], user: str) -> None:
    """Whole lines, an end of file, and half a line that is edited behind the move: all of it comes once."""
    program = HOLD + "read a; echo [$a]; cat; echo end; read b; echo [$b]"
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    time.sleep(SOON)
    job.type("one\ntwo\n\x04ab")
    time.sleep(SOON)
    job.move("2")
    job.type("\x7fX\n")
    time.sleep(SOON)
    go_on(job)
    job.see(r"\[one\].*two.*end.*\[aX\]")
    assert job.wait() == 0
    assert job.drawn.count(b"two") == 2  # its echo, and that of cat


def test_what_was_typed_ahead_in_raw_mode(hosts: list[Host], user: str) -> None:
    """No key has a meaning of its own there, and none gets one on the way."""
    program = (
        f"stty raw -echo; echo go; {HOLD} stty -raw; dd bs=1 count=6 2>/dev/null | od -An -tx1; stty sane"
    )
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("go")
    job.type(b"a\x03\x04\r\x00\x7f")
    time.sleep(SOON)
    job.move("2")
    go_on(job)
    job.see("61 03 04 0d 00 7f")
    assert job.wait() == 0


def test_a_password_is_not_shown(hosts: list[Host], user: str) -> None:
    """The terminal does not echo while a password is typed, and echoes again behind it."""
    program = "read -s -p pass: x; echo; echo =$x=; read y; echo =$y="
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("pass:")
    job.move("2")
    job.type("sec")
    job.move("home")
    job.type("ret\n")
    job.see("=secret=")
    assert job.drawn.count(b"sec") == 1
    job.type("shown\n")
    job.see("shown.*=shown=")
    assert job.wait() == 0


def test_a_large_paste(hosts: list[Host], user: str) -> None:
    """More than a terminal holds for a program that does not read yet: every byte comes, once."""
    data = b"".join(b"line %d\n" % number for number in range(8000))[:60000]
    program = f"stty -echo -icanon; echo go; {HOLD} head -c 60000 | md5sum; stty sane"
    job = PromptJob(hosts[0], "bash", "-c", program, user=user)
    job.see("go")
    job.type(data)
    job.move("2")
    job.move("home")
    go_on(job)
    job.see(hashlib.md5(data, usedforsecurity=False).hexdigest())
    assert job.wait() == 0


def test_an_end_of_file_behind_a_move(hosts: list[Host], user: str) -> None:
    """A program that reads lines gets them, and ends at Ctrl-D."""
    job = PromptJob(hosts[0], "cat", user=user)
    job.type("a\n")
    job.see(r"a\r\na")
    job.move("2")
    job.type("b\n")
    job.see(r"b\r\nb")
    job.type("\x04")
    assert job.wait() == 0
