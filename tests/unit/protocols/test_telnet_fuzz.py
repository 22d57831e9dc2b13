"""The telnet line under ten thousand lines of nonsense: a reply for each, and the conversation goes on."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gomd.protocols.telnet import TelnetLine
from gomd.verbs.all import all_verbs
from libgomd.testing import MemoryDaemon
from libgomd.wire.foreign import foreign_line
from tests.unit.protocols.talk import Talk, crowded

DAEMON: MemoryDaemon = crowded(3)
#: All but those that end a conversation or go on for ever.
VERBS = sorted({verb.name for verb in all_verbs()} - {"quit", "shutdown", "watch", "attach", "run"})


def keeps_talking(line: str) -> bool:
    """Whether a line asks neither for the end of the conversation nor for something that lasts."""
    if foreign_line(line.encode("utf-8", "surrogatepass")) is not None:
        return False
    words = line.lower().replace("'", " ").replace('"', " ").replace("\\", " ").split()
    return not any(
        word in ("quit", "shutdown", "watch", "attach", "run", "carry", "migration") for word in words
    )


WORDS = st.one_of(
    st.sampled_from([*VERBS, *map(str.upper, VERBS)]),
    st.sampled_from(
        ["1", "-1", "0", "99999999999999999999", "1e9", "nan", "@1", "@all", "@", "@memory", "-n", "-c"]
    ),
    st.sampled_from(
        ["/proc", "/proc/1/where", "/proc/hpc/admin/stay", "/proc/../etc", "json", "text", "KILL", "'", '"']
    ),
    st.text(max_size=12),
)
SENTENCES = st.lists(WORDS, max_size=5).map(" ".join)
NO_LINE_END = (
    st.binary(max_size=40)
    .map(lambda data: data.replace(b"\n", b"\r").replace(b"\xff", b"\xfe"))
    .filter(lambda line: foreign_line(line) is None and keeps_talking(line.decode("latin-1")))
)


def replies(text: str) -> list[str]:
    """Return the status lines in ``text``; every block in it must be complete."""
    found, lines = [], iter(text.splitlines(keepends=True))
    for line in lines:
        assert line.endswith("\r\n")
        assert line[:3].isdigit(), line
        assert line[3:4] in (" ", "\r"), line
        found.append(line)
        if line.startswith("201"):
            while next(lines) != ".\r\n":
                pass
    return found


def ask_nonsense(data: list[bytes]) -> None:
    """Say lines; see that each gets one reply that tells nothing of our inside."""
    talk = Talk(DAEMON)
    talk.send(b"".join(line + b"\n" for line in data) + b"format text\nload\n")
    heard = talk.heard()
    assert "Traceback" not in heard
    assert 'File "' not in heard
    found = replies(heard)
    assert len(found) == len(data) + 2, (data, found)
    assert found[-1] == "200 50\r\n"
    assert not talk.transport.disconnecting
    assert isinstance(talk.line, TelnetLine)
    talk.hang_up()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NO_LINE_END, min_size=40, max_size=60))
def test_any_bytes(data: list[bytes]) -> None:
    """Some seven thousand lines of them."""
    ask_nonsense(data)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        SENTENCES.filter(lambda line: "\n" not in line and keeps_talking(line)), min_size=30, max_size=50
    )
)
def test_words_in_any_order(data: list[str]) -> None:
    """Verbs with arguments that belong elsewhere, and words that belong nowhere: some six thousand lines."""
    ask_nonsense([line.encode("utf-8", "surrogatepass") for line in data])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=60), max_size=8).filter(
        lambda packets: not any(map(foreign_line, b"".join(packets).replace(b"\xff", b"").split(b"\n")))
    )
)
def test_a_stream_cut_anywhere(packets: list[bytes]) -> None:
    """Telnet commands, line ends and all: what comes back are whole replies, and then `load` is answered."""
    text = b"".join(packets).decode("latin-1")
    assume(all(map(keeps_talking, text.split("\n"))))  # bytes may spell the verb `run`, too
    talk = Talk(DAEMON)
    for packet in packets:
        talk.send(packet)
    talk.send(b"\xff\xf0\xff\xf0\nformat text\nload\n")  # whatever telnet command it stands in ends here
    assert talk.heard().endswith("\r\n200 50\r\n")
    talk.hang_up()
