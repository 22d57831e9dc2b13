"""Real daemons with the serf engine and real Serf agents, on loopback addresses of this machine."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.serf.room import HOST, SerfRoom, eventually, kill, needed, rows, serf_of, told, up

needed()

KEY = "bMOq0vwdMDFtSR6q656sVUhiWU90PQS55/HvNt81Zig="
OTHER_KEY = "UT5wcxSikgFZw3VweUWriJSwbyngRValzXYJCdPvMsE="


@pytest.fixture
def room(start_daemon: StartDaemon, tmp_path: Path) -> Iterator[SerfRoom]:
    """A cluster that is empty yet."""
    room = SerfRoom(start_daemon, tmp_path)
    yield room
    room.close()


def test_daemons_with_agents_of_their_own(room: SerfRoom) -> None:
    """They find each other; agents are killed and stopped, a daemon is killed, one leaves."""
    two, three, four = (room.add(number) for number in (2, 3, 4))
    for daemon in (two, three, four):
        eventually(lambda daemon=daemon: up(daemon) == {2, 3, 4})  # type: ignore[misc]
    eventually(lambda: all(row["load"] is not None for row in rows(two, "nodes")))
    with two.connect_unix() as line:
        assert line.ask("@n4 whoami").code == 200  # over a stream
        assert line.ask("speed 4").text == line.ask("@4 speed").text

    # Nothing secret can be seen of the agent, and its files are its owner's alone.
    agent = serf_of(two)
    shown = Path(f"/proc/{agent}/cmdline").read_bytes() + Path(f"/proc/{agent}/environ").read_bytes()
    assert shown.count(b"\0") == 3, shown
    folder = two.state / "serf"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("agent.json", "keyring", "name"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600

    # An agent that is killed, and one that is stopped, are replaced, and no node goes down.
    kill(agent)
    kill(serf_of(three), signal.SIGSTOP)
    stopped = serf_of(three)
    eventually(lambda: serf_of(two) not in (0, agent))
    eventually(lambda: serf_of(three) not in (0, stopped))
    for daemon in (two, three, four):
        eventually(lambda daemon=daemon: up(daemon) == {2, 3, 4})  # type: ignore[misc]
    assert "leave" not in [kind for kind, _reason in told(four, 2) + told(four, 3)]

    # A daemon that is killed takes its agent along.
    agent = serf_of(four)
    four.kill()
    eventually(lambda: not Path(f"/proc/{agent}/exe").exists())
    eventually(lambda: up(two) == up(three) == {2, 3})
    kind, reason = told(two, 4)[-1]
    assert kind == "down", told(two, 4)
    assert reason.startswith(("failed: ", "silent: ", "reaped: "))

    # A goodbye is one.
    assert three.stop() in (0, -signal.SIGTERM)
    eventually(lambda: up(two) == {2})
    kind, reason = told(two, 3)[-1]
    assert (kind, reason) == ("leave", "left: its Serf agent said goodbye")
    for daemon in (two, three):
        assert "Traceback" not in daemon.log


def test_agents_of_the_administrator(room: SerfRoom) -> None:
    """Clusters joined by accident, members that are no gomd, a wrong auth key, an agent that is back."""
    auth = room.path / "auth"
    auth.write_text("secret\n")
    auth.chmod(0o600)
    wrong = room.path / "wrong"
    wrong.write_text("guess\n")
    wrong.chmod(0o600)
    agents = [room.agent(number, auth="secret", encrypt=KEY) for number in (2, 3, 4, 5)]
    stranger = room.agent(6, encrypt=OTHER_KEY)
    assert stranger.ask("join", agents[0].gossip).returncode != 0  # with another encryption key
    for agent in agents[1:]:
        agent.join(agents[0])
    # Somebody else's gomd in the same Serf cluster, with the same id as ours and another key.
    tags = {"id": 3, "name": "twin", "addr": "127.0.78.9", "port": room.port, "stream": 0, "start": 5}
    words = [f"-set=gomd_{name}={value}" for name, value in tags.items()]
    assert agents[3].ask("tags", *words).returncode == 0

    def rpc(number: int, file: Path = auth) -> str:
        return f"serf_rpc = 127.0.0.1:{agents[number].rpc}\nserf_auth_file = {file}\n"

    four = room.add(4, more=rpc(2, wrong))
    two, three = room.add(2, more=rpc(0)), room.add(3, more=rpc(1))
    eventually(lambda: up(two) == up(three) == {2, 3})
    assert rows(two, "nodes")[0]["address"] == HOST.format(2)
    assert rows(two, "nodes")[1]["name"] == "n3"
    assert serf_of(two) == 0

    # The wrong auth key is said, and the right one in the same file works.
    eventually(lambda: any("Invalid authentication token" in reason for _kind, reason in told(four, 4)))
    wrong.write_text("secret\n")
    eventually(lambda: any("does not answer with our key" in reason for _kind, reason in told(two, 2)))
    eventually(lambda: up(four) == {2, 3, 4} == up(two))
    assert rows(two, "nodes")[1]["name"] == "n3"

    # An agent that is killed and back costs nobody anything.
    agents[0].close()
    eventually(lambda: any("its Serf agent cannot be asked" in reason for _kind, reason in told(two, 2)))
    assert up(two) == {2, 3, 4}
    agents[0].start()
    agents[0].join(agents[1])
    eventually(lambda: ("up", "its Serf agent answers again") in told(two, 2))
    assert [kind for kind, _reason in told(two, 3)] == ["join"]

    # The end of a daemon takes our tags away, and no others.
    assert three.stop() in (0, -signal.SIGTERM)
    eventually(lambda: up(two) == {2, 4})
    assert told(two, 3)[-1] == ("leave", "gomd stopped, its Serf agent goes on")
    listed = agents[1].ask("members").stdout
    [line] = [line for line in listed.splitlines() if line.startswith("agent1-of-3")]
    assert "role=web" in line
    assert "gomd_" not in line
    for daemon in (two, three, four):
        assert "Traceback" not in daemon.log
