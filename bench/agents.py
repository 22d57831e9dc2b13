"""Eight daemons of one kind, gomd or serf, each at its own loopback address, and the events they report."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from libgomd.keys import new_key_file

#: Seconds for anything that has to happen.
STEP_TIMEOUT: Final = 60.0
#: Seconds until all know of several that die at once. An agent of serf that gets no processor for a while
#: blames itself (Lifeguard), and then takes up to eight times as long to call others dead.
DEATHS_TIMEOUT: Final = 120.0
COUNT: Final = 8
JOIN, LEAVE, DOWN = "join", "leave", "down"


class Agent:
    """
    One daemon. :ivar number: 1 and up. :ivar started: when it was executed; ``announced`` when it began
    to join. :ivar heard: what it said of the others: when, what, and the number of the other one.
    """

    #: What its log says when it begins to join.
    begins: re.Pattern[str]
    goodbye = signal.SIGTERM

    def __init__(self, number: int, news: threading.Condition) -> None:
        self.number = number
        self.heard: list[tuple[float, str, int]] = []
        self.started = self.announced = 0.0
        self._news = news

    def command(self, seed: int) -> list[str]:
        """Return its command line; ``seed`` is the number of one that runs already, 0 for none."""
        raise NotImplementedError

    def start(self, seed: int = 0) -> None:
        """Start it, and follow its log."""
        self.announced = 0.0
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            self.command(seed), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not self.announced and self.begins.search(line):
                self.announced = time.monotonic()
            self.take(line)
        process.stdout.close()

    def take(self, line: str) -> None:
        """Parse a line of its log."""

    def note(self, kind: str, number: int) -> None:
        """Note that it reported this now."""
        with self._news:
            self.heard.append((time.monotonic(), kind, number))
            self._news.notify_all()

    def said(self, kind: str, number: int, since: float) -> float | None:
        """Return when it first reported this after a moment."""
        return next((when for when, *what in self.heard if when > since and what == [kind, number]), None)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> float:
        """Kill it; return when."""
        now = time.monotonic()
        self._process.kill()
        self._process.wait()
        return now

    def leave(self) -> float:
        """Ask it to stop; return when."""
        now = time.monotonic()
        self._process.send_signal(self.goodbye)
        return now

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait(STEP_TIMEOUT)

    def end(self) -> None:
        """Stop everything that still runs."""
        self._process.kill()
        self._process.wait()


class Gomd(Agent):
    """gomd with default settings, a key and a multicast port of its own."""

    begins = re.compile("PeerProtocol starting on")
    _TELNET = re.compile(r"telnet line is at tcp:127\.0\.0\.1:(\d+)")
    _KINDS: Final = {"join": JOIN, "up": JOIN, "leave": LEAVE, "down": DOWN}

    def __init__(self, number: int, news: threading.Condition, directory: Path, port: int) -> None:
        super().__init__(number, news)
        self._directory = directory
        self._port = port
        self._key = directory / "key"
        if not self._key.exists():
            new_key_file(str(self._key))

    def command(self, seed: int) -> list[str]:
        config = self._directory / "gomd.ini"
        config.write_text("")
        address, multicast = f"127.0.0.{20 + self.number}:{self._port}", f"239.192.0.1:{self._port + 1}"
        return [
            str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "gomd",
            "--config", str(config), "--state-dir", f"{self._directory}/{self.number}",
            "--node-id", str(self.number), "--name", f"g{self.number}",
            "--peers", address, "--telnet", "tcp:127.0.0.1:0", "--key-file", str(self._key),
            "--set", f"peers.multicast={multicast}", "--set", "history.kind=none",
        ]  # fmt: skip

    def take(self, line: str) -> None:
        if match := self._TELNET.search(line):
            threading.Thread(target=self._watch, args=(int(match[1]),), daemon=True).start()

    def _watch(self, port: int) -> None:
        """Follow its events, and note those that came before."""
        with socket.create_connection(("127.0.0.1", port)) as line, line.makefile("rb") as lines:
            line.sendall(b"format json\r\nwatch events\r\n")
            threading.Timer(0.1, self._look_back, (port,)).start()
            for text in lines:
                self._note_event(text)

    def _look_back(self, port: int) -> None:
        """Note events from before it was followed."""
        with socket.create_connection(("127.0.0.1", port)) as line, line.makefile("rb") as lines:
            line.sendall(b"format json\r\nevents\r\nquit\r\n")
            for text in lines:
                self._note_event(text, again=True)

    def _note_event(self, text: bytes, again: bool = False) -> None:
        """Note an event, unless it is known already."""
        if text.startswith(b"{"):
            event = json.loads(text)
            kind = self._KINDS.get(event["kind"])
            if kind and not (again and self.said(kind, event["node"], self.started)):
                self.note(kind, event["node"])


class Serf(Agent):
    """A serf agent with its settings for a local network."""

    begins = re.compile("Joining cluster")
    goodbye = signal.SIGINT
    _EVENT = re.compile(r"serf: EventMember(Join|Leave|Failed): s(\d+) ")
    _KINDS: Final = {"Join": JOIN, "Leave": LEAVE, "Failed": DOWN}

    def command(self, seed: int) -> list[str]:
        own = f"127.0.0.{40 + self.number}"
        joins = [f"-join=127.0.0.{40 + seed}"] if seed else []
        return [
            "serf", "agent", f"-node=s{self.number}", f"-bind={own}:7946", f"-rpc-addr={own}:7373",
            "-profile=lan", *joins,
        ]  # fmt: skip

    def take(self, line: str) -> None:
        if match := self._EVENT.search(line):
            self.note(self._KINDS[match[1]], int(match[2]))


class Cluster:
    """
    Agents of one kind, all up. A context manager.

    :ivar news: notified whenever one of them hears something.
    """

    def __init__(self, agents: list[Agent], news: threading.Condition) -> None:
        self._agents = agents
        self._news = news

    def __enter__(self) -> Cluster:
        try:
            for agent in self._agents:
                agent.start(seed=0 if agent is self._agents[0] else self._agents[0].number)
                if agent is self._agents[0]:
                    time.sleep(1.0)  # it listens before the others call
            for agent in self._agents:
                self._all_say(JOIN, agent, 0.0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for agent in self._agents:
            agent.end()

    def _all_say(self, kind: str, about: Agent, since: float, limit: float = STEP_TIMEOUT) -> float:
        """
        Return when the last of the others reported it. :raises RuntimeError: not all have within ``limit``.
        """
        others = [each for each in self._agents if each is not about]

        def missing() -> list[int]:
            return [each.number for each in others if each.said(kind, about.number, since) is None]

        with self._news:
            if not self._news.wait_for(lambda: not missing(), limit):
                raise RuntimeError(
                    f"{kind} of {about.number}: {missing()} of {len(others)} did not see it in {limit:g} s"
                )
            return max(each.said(kind, about.number, since) or 0.0 for each in others)

    @property
    def pids(self) -> list[int]:
        """The process ids of the agents."""
        return [agent.pid for agent in self._agents]

    def mass_death(self, count: int) -> tuple[float, float]:
        """Kill the last ``count``; return the seconds until one other reports all down, and until all do."""
        victims, self._agents[:] = self._agents[-count:], self._agents[:-count]
        since = time.monotonic()
        for victim in victims:
            victim.kill()
        moments = [self._all_say(DOWN, victim, since, DEATHS_TIMEOUT) - since for victim in victims]
        own = [self._agents[0].said(DOWN, victim.number, since) or since for victim in victims]
        return max(own) - since, max(moments)

    def killed(self, turn: int) -> float:
        """Kill one; return the seconds until all others report it down."""
        victim = self._agents[turn % len(self._agents)]
        since = victim.kill()
        return self._all_say(DOWN, victim, since) - since

    def left(self, turn: int) -> float:
        """Stop one cleanly; return the seconds until all others report that it left."""
        leaver = self._agents[turn % len(self._agents)]
        since = leaver.leave()
        taken = self._all_say(LEAVE, leaver, since) - since
        leaver.wait()
        return taken

    def joined(self, turn: int) -> tuple[float, float]:
        """Start it again; return the seconds until all report it: from its announcement, and its start."""
        comer = self._agents[turn % len(self._agents)]
        comer.start(seed=self._agents[(turn + 1) % len(self._agents)].number)
        seen = self._all_say(JOIN, comer, comer.started)
        return seen - comer.announced, seen - comer.started


def gomds(directory: Path, port: int) -> Cluster:
    """Return eight gomds."""
    news = threading.Condition()
    return Cluster([Gomd(number, news, directory, port) for number in range(1, COUNT + 1)], news)


def serfs(count: int = COUNT) -> Cluster:
    """Return eight serf agents, or some more: 200 at most."""
    news = threading.Condition()
    return Cluster([Serf(number, news) for number in range(1, count + 1)], news)


def has_serf() -> bool:
    """Return whether serf is installed; for root on Debian, install it."""
    if shutil.which("serf") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "serf"]):
            subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    return shutil.which("serf") is not None
