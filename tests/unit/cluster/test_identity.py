"""The number of a node: of its IPv4 address, else of its machine id."""

from __future__ import annotations

from pathlib import Path

import pytest

from gomd.cluster.identity import id_of, id_of_machine, read_machine_id
from libgomd.errors import ConfigError

MACHINE = "0123456789abcdef0123456789abcdef"


def test_the_low_bits_of_an_ipv4_address() -> None:
    """As in openMosix; zero is no number."""
    assert (id_of("10.0.0.1"), id_of("192.168.10.220")) == (1, 2780)
    with pytest.raises(ConfigError):
        id_of("10.1.0.0")


def test_a_machine_id_gives_one_number_for_ever() -> None:
    """The number of the page docs/membership.md: other programs can compute it, and it must not change."""
    assert id_of_machine(MACHINE) == 10883
    found = {id_of_machine(f"{number:032x}") for number in range(3000)}
    assert min(found) >= 1
    assert max(found) <= 65535
    assert len(found) > 2850  # as many as chance lets differ


def test_where_the_machine_id_is_read(tmp_path: Path) -> None:
    """The first file with one; an empty one, as an image has it, is none, and then a sentence says what to
    do."""
    empty, good, zeros = tmp_path / "empty", tmp_path / "good", tmp_path / "zeros"
    empty.write_text("uninitialized\n")
    zeros.write_text("0" * 32)
    good.write_text(MACHINE + "\n")
    assert read_machine_id((str(tmp_path / "none"), str(empty), str(zeros), str(good))) == MACHINE
    with pytest.raises(ConfigError, match="systemd-machine-id-setup"):
        read_machine_id((str(tmp_path / "none"), str(empty), str(zeros)))
