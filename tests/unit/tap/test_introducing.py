"""What `gom invite` can tell a new node of the settings that all nodes have alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from gom.init_file import NewNode, text_of
from gom.join.agreed import checked, unknown
from gomd.config import Config, Environment, load
from gomd.tap.introducing import introduction
from libgomd.keys import new_key_file

OTHERS = {
    "port": "6000", "multicast": "239.192.0.7:5430, [ff15::7]:5430", "heartbeat": "0.25",
    "engine": "heartbeat, serf", "max_nodes": "9000", "serf_rpc": "127.0.0.1:7373", "seeds": "10.0.0.9:5428",
}  # fmt: skip


def loaded(tmp_path: Path, text: str) -> Config:
    (tmp_path / "gomd.ini").write_text(text)
    if not (tmp_path / "key").exists():
        new_key_file(str(tmp_path / "key"))
    around = Environment(cwd=str(tmp_path), uid=0, environ={}, hostname="alpha")
    return load(str(tmp_path / "gomd.ini"), (), around)


@pytest.mark.parametrize("names", [(), ("heartbeat",), ("port", "max_nodes"), tuple(OTHERS)])
def test_a_new_node_gets_what_differs_from_the_defaults(tmp_path: Path, names: tuple[str, ...]) -> None:
    """And its daemon then has the same, through the gomd.ini that `gom init --join` writes."""
    lines = [f"{name} = {OTHERS[name]}" for name in names]
    there = loaded(tmp_path, "\n".join(["[peers]", f"key_file = {tmp_path}/key", *lines]))
    agreed = introduction(there)["agreed"]
    assert unknown(agreed) == []
    assert {name.removeprefix("peers.") for name, _ in checked(agreed)} == {*names} - {"seeds"}
    node = NewNode("b", "127.0.0.1", f"{tmp_path}/key", ("10.0.0.9:5428",), agreed=checked(agreed))
    here = loaded(tmp_path, text_of(node)).peers
    for name in ("port", "groups", "heartbeat", "engine", "max_nodes", "serf_rpc"):
        assert getattr(here, name) == getattr(there.peers, name), name


def test_how_many_keys_there_are(tmp_path: Path) -> None:
    """While there are two, nobody is to be invited."""
    for names in (("key",), ("key", "key2")):
        for name in names:
            if not (tmp_path / name).exists():
                new_key_file(str(tmp_path / name))
        files = ", ".join(str(tmp_path / name) for name in names)
        assert introduction(loaded(tmp_path, f"[peers]\nkey_file = {files}"))["keys"] == len(names)
