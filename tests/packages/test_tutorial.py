"""
The tutorial, docs/install.md, on three machines of Debian 13 that have nothing but a network and a user.

The two commands by which a node joins in docs/keys.md are among its.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.doc_blocks import BLOCKS, Numbers, Step, steps
from tests.integration.systemd.machine import missing as machine_missing
from tests.integration.systemd.machine import wait_until
from tests.integration.systemd.tree import missing
from tests.packages.lan import NAMES, Lan
from tests.packages.packages import debian
from tests.packages.person import PATIENCE, Person

#: Seconds that the tutorial promises.
PROMISED = 600.0
#: The answer that the tutorial shows for a code, which is another one each time.
CODE = "1234-5678"


@pytest.fixture
def lan(tmp_path: Path, sources: Path) -> Iterator[Lan]:
    """alpha, beta and gamma: fresh, with the packages in root's home directory and an ordinary user ann."""
    why_not = missing() or machine_missing()
    assert not why_not, f"the tutorial cannot be tried here: {why_not}"
    with Lan(tmp_path, debian(), sources / "new") as found:
        for machine in found.machines.values():
            machine.run("useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "ann")
            machine.run("sh", "-c", "cp /src/*.deb /root")
        yield found


class Reader:
    """Somebody who does what the tutorial says, with a terminal for each user and machine."""

    def __init__(self, lan: Lan) -> None:
        self._lan = lan
        self._numbers = Numbers()
        self._answers = {CODE: CODE}
        self._terminals: dict[tuple[str, str], Person] = {}
        self.stack = ExitStack()
        self.seconds: list[tuple[float, str]] = []

    def at(self, user: str, host: str) -> Person:
        """Return the terminal of a user on a machine."""
        if (user, host) not in self._terminals:
            person = self._terminals[user, host] = Person(self._lan.machines[host], user, self._numbers)
            self.stack.callback(person.close)
        return self._terminals[user, host]

    def again(self) -> None:
        """Forget the code: the next invitation shows another one."""
        self._answers = {CODE: CODE}

    def do(self, step: Step, host: str = "") -> None:
        """Do one step. :param host: where, if not where it is shown."""
        begun = time.monotonic()
        if step.prompt:
            self.at(step.user, host or step.host).go_on(step, self._answers)
        else:  # what an earlier command goes on to print
            self._who_says(step.output[0]).go_on(step, self._answers)
        self.seconds.append(
            (time.monotonic() - begun, f"{host or step.host}: {step.command or step.output[0]}")
        )

    def _who_says(self, line: str) -> Person:
        """Return the terminal where a command goes on with a line, when another one has done its part."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for person in self._terminals.values():
                if person.says(line):
                    return person
        raise AssertionError(f"{line!r} comes nowhere: {[*self._terminals.values()]}")


def told() -> list[Step]:
    """Return the steps of the tutorial's blocks."""
    found = [block for block in BLOCKS if block.page == "install.md" and block.language == "console"]
    assert all(block.mark == "machines" for block in found)
    return [step for block in found for step in steps(block)]


def elsewhere(step: Step, host: str, number: int) -> Step:
    """Return what a step for beta is on another machine."""
    output = tuple(line.replace("beta", host).replace("10.0.0.2", f"10.0.0.{number}") for line in step.output)
    return step._replace(output=output)


def test_three_machines_become_a_cluster_and_a_process_moves(lan: Lan) -> None:
    """Every command as it is printed, what it prints as it is shown, and all of it in ten minutes."""
    begun = time.monotonic()
    reader = Reader(lan)
    with reader.stack:
        all_steps = told()
        [install] = [step for step in all_steps if step.command.startswith("apt ")]
        invited = [step.command for step in all_steps].index("gom invite")
        joined = next(at for at, step in enumerate(all_steps) if at > invited and step.host == "gamma")
        for step in all_steps[:invited]:
            reader.do(step)
            if step is install:  # "Do the same on beta and gamma."
                for host in NAMES[1:]:
                    reader.do(step, host)
        for step in all_steps[invited:joined]:
            reader.do(step)
        # "The same once more for gamma, with a new code."
        reader.again()
        for step in all_steps[invited:joined]:
            reader.do(elsewhere(step, "gamma", 3), "gamma" if step.host == "beta" else "")
        sees_all = lan.machines["gamma"]
        wait_until(lambda: sees_all.run("gom", "nodes", check=False).count(" up ") == len(NAMES))
        for step in all_steps[joined:]:
            reader.do(step)
    took = time.monotonic() - begun
    longest = sorted(reader.seconds, reverse=True)[:6]
    print(f"the tutorial took {took:.0f} s; longest: {longest}")
    assert took < PROMISED, longest
