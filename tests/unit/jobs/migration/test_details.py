"""What goes with each word of a migration message: its JSON, what may be missing, and what is refused."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from gomd.jobs.migration.details import (
    ABILITIES,
    MAX_REASON_LENGTH,
    MAX_REASONS,
    MAX_SIGNALS,
    SEEN,
    Details,
    ImagesDetails,
    OfferDetails,
    ReadyDetails,
    RunningDetails,
    SeenDetails,
    SettledDetails,
    WaitingSignal,
    decode_details,
    encode_details,
)
from libgomd.wire.frames import MalformedFrame

_SIGNALS = (WaitingSignal(10, True), WaitingSignal(64, False))
#: Word, value and JSON, as other daemons have them.
VECTORS: list[tuple[str, Details, dict[str, Any]]] = [
    ("offer", OfferDetails(True, 4711), {"lock": True, "pid": 4711}),
    ("offer", OfferDetails(), {"lock": False, "pid": None}),
    ("ready", ReadyDetails(40001), {"port": 40001}),
    ("offer", OfferDetails(private_bytes=7), {"lock": False, "pid": None, "private": 7}),
    ("look", OfferDetails(private_bytes=0), {"lock": False, "pid": None, "private": 0}),
    ("ready", ReadyDetails(40001, 40002), {"port": 40001, "tree": 40002}),
    ("offer", OfferDetails(precopy=True), {"lock": False, "pid": None, "precopy": True}),
    ("images", ImagesDetails(True), {"memory": True}),
    (SEEN, SeenDetails((), takes_files=True), {"reasons": [], "files": True}),
    (
        "ready",
        ReadyDetails(40001, abilities=ABILITIES),
        {"port": 40001, "abilities": ["precopy", "terminals"]},
    ),
    ("running", RunningDetails(88), {"pid": 88}),
    ("settled", SettledDetails(_SIGNALS), {"signals": [[10, True], [64, False]]}),
    ("settled", SettledDetails(), {"signals": []}),
    (SEEN, SeenDetails(("it uses io_uring",)), {"reasons": ["it uses io_uring"]}),
    (SEEN, SeenDetails((), abilities=ABILITIES), {"reasons": [], "abilities": ["precopy", "terminals"]}),
    ("go", None, {}),
    ("images", None, {}),
    ("look", None, {}),
]


@pytest.mark.parametrize(("word", "details", "values"), VECTORS)
def test_each_value_has_its_json(word: str, details: Details, values: dict[str, Any]) -> None:
    """Both ways; a key that nobody knows, of a newer version, changes nothing."""
    assert encode_details(details) == values
    assert decode_details(word, values) == details
    assert decode_details(word, {**values, "added later": [1]}) == details


@pytest.mark.parametrize(
    ("word", "values", "details"),
    [
        ("offer", {}, OfferDetails()),
        ("offer", {"lock": 1, "pid": "5"}, OfferDetails()),
        ("offer", {"lock": True, "pid": True}, OfferDetails(True)),
        ("offer", {"pid": 0}, OfferDetails()),
        ("offer", {"pid": 2**31}, OfferDetails()),
        ("running", {}, None),
        ("running", {"pid": 0}, None),
        ("running", {"pid": True}, None),
        ("running", {"pid": 2**31}, None),
        ("running", {"pid": "88"}, None),
        ("settled", {}, SettledDetails()),
        ("settled", {"signals": "10"}, SettledDetails()),
        ("ready", {"port": 5}, ReadyDetails(5)),
        ("ready", {"port": 5, "abilities": "terminals"}, ReadyDetails(5)),
        ("ready", {"port": 5, "abilities": [5, "flies"]}, ReadyDetails(5, abilities=frozenset({"flies"}))),
        (SEEN, {}, SeenDetails()),
        (SEEN, {"reasons": 5}, SeenDetails()),
        (SEEN, {"reasons": [5, "a\nb"]}, SeenDetails(("5", "a?b"))),
    ],
)
def test_what_may_be_missing_or_of_no_use(word: str, values: dict[str, Any], details: Details) -> None:
    """An older or newer version may not send it: the default holds."""
    assert decode_details(word, values) == details


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("offer", {"private": "7"}), ("offer", {"private": -1}), ("look", {"private": True}),
        ("ready", {}), ("ready", {"port": 0}), ("ready", {"port": 65536}), ("ready", {"port": True}),
        ("ready", {"port": "80"}), ("ready", {"port": 80.0}), ("ready", {"port": None}),
        ("settled", {"signals": [5]}), ("settled", {"signals": [[5]]}), ("settled", {"signals": [[0, True]]}),
        ("settled", {"signals": [[65, False]]}), ("settled", {"signals": [[-1, False]]}),
        ("settled", {"signals": [["x", False]]}), ("settled", {"signals": [[300, False]]}),
        ("settled", {"signals": [[1, True, 2]]}), ("settled", {"signals": [None]}),
    ],
)  # fmt: skip
def test_what_is_refused(word: str, values: dict[str, Any]) -> None:
    """Without it the migration cannot go on, or a wrong signal would be sent."""
    with pytest.raises(MalformedFrame):
        decode_details(word, values)


def test_all_of_it_is_bounded() -> None:
    """Whatever the other node sends, and whatever this one has to say."""
    signals = decode_details("settled", {"signals": [[1, False]] * (MAX_SIGNALS + 5)})
    assert isinstance(signals, SettledDetails)
    assert len(signals.signals) == MAX_SIGNALS
    seen = decode_details(SEEN, {"reasons": ["x" * 5000] * (MAX_REASONS + 5)})
    assert isinstance(seen, SeenDetails)
    assert (len(seen.reasons), len(seen.reasons[0])) == (MAX_REASONS, MAX_REASON_LENGTH)
    told = encode_details(SeenDetails(("y\n" * 5000,) * (MAX_REASONS + 5)))["reasons"]
    assert (len(told), len(told[0])) == (MAX_REASONS, MAX_REASON_LENGTH)
    assert "\n" not in told[0]


_flat = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
_values = _flat | st.lists(_flat, max_size=3) | st.lists(st.lists(_flat, max_size=3), max_size=2)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["offer", "ready", "settled", SEEN, "go"]),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("lock", "pid", "port", "signals", "reasons", "private", "tree", "memory", "files"), _values
        ),
    ),
)
def test_any_values_are_details_or_one_error(word: str, values: dict[str, Any]) -> None:
    """Nothing else is raised, and what comes out can be sent again."""
    try:
        details = decode_details(word, values)
    except MalformedFrame:
        return
    assert decode_details(word, encode_details(details)) == details
