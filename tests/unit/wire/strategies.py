"""Hypothesis strategies for every message that a daemon may send."""

from __future__ import annotations

import hypothesis.strategies as st

from libgomd.wire.messages import (
    MAX_NOTES,
    MAX_NOTES_IPV6,
    MAX_NUMBER,
    MAX_PACKET,
    MIN_ROOM,
    Addresses,
    Answer,
    ClockWarning,
    Datagram,
    Heartbeat,
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Message,
    Notice,
    Probe,
    ProbeAck,
    Question,
    ReplayWarning,
    Roster,
    Summary,
    TrueSpeed,
)

number = st.integers(0, MAX_NUMBER)
small = st.integers(0, 2**32 - 1)
word = st.integers(0, 65535)
node = port = st.integers(1, 65535)
ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str).filter(lambda text: not text.startswith("::ffff:"))
address = ipv4 | ipv6
_letters = st.characters(exclude_categories=("C", "Z"), max_codepoint=0x2FFF)
name = st.text(_letters, min_size=1, max_size=21)
reason = st.text(st.one_of(_letters, st.just(" ")), max_size=66)
path = st.one_of(st.just(""), st.text(_letters, max_size=80).map(lambda text: "/" + text))
values = (
    st.none() | small,
    st.none() | small,
    st.none() | word,
    st.none() | small,
    *(st.none() | number,) * 3,
)
states = st.sampled_from(MemberState)
notes = st.lists(st.builds(MemberNote, node, states, number, small, port, ipv4), max_size=MAX_NOTES).map(
    tuple
)
notes_ipv6 = st.lists(
    st.builds(MemberNote, node, states, number, small, port, ipv6), max_size=MAX_NOTES_IPV6
).map(tuple)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Heartbeat, small, port, word, word, st.none() | number, *values, st.booleans(), name, address, notes
    ),
    st.builds(Leave, small, reason),
    st.builds(
        lambda number, path, node, target, room: Question(number, path, 0 if path else node, target, room),
        number, path, word, word, st.integers(MIN_ROOM, MAX_PACKET),
    ),
    st.builds(
        lambda number, code, data, more: Answer(number, code, len(data) + more, data),
        number, st.integers(200, 599), st.binary(max_size=1099), st.integers(0, 10**6),
    ),
    st.builds(Summary, number, node, word, st.none() | number, *values, name, address),
    st.builds(Probe, number, word),
    st.builds(ProbeAck, number, node, number, small, st.booleans()),
    st.builds(IndirectProbe, number, node, port, address),
    st.builds(Notice, states, node, number, small, node, reason),
    st.builds(Roster, small, notes | notes_ipv6),
    st.builds(ClockWarning, number, st.integers(1, MAX_NUMBER), number, name),
    st.builds(ReplayWarning, number, st.integers(1, MAX_NUMBER), number, name),
    st.builds(TrueSpeed, st.integers(1, 2**32 - 1)),
    st.builds(Addresses, port, st.lists(address, min_size=1, max_size=2).map(tuple)),
)  # fmt: skip
datagrams = st.builds(Datagram, node, number, number, st.integers(1, MAX_NUMBER), messages)
