"""Writes what the fuzzers begin with, from the vectors: seeds.py LINES-VECTORS WIRE-DIRECTORY DIRECTORY."""

import json
import sys
from pathlib import Path


def main(lines: Path, wire: Path, directory: Path) -> None:
    """Make a directory of seeds for each fuzzer."""
    seeds: dict[str, list[bytes]] = {name: [] for name in ("json", "lines", "frames", "sealed", "words")}
    for number, vector in enumerate(json.loads(lines.read_text())):
        seeds["lines"].append(bytes([number % 13, 7]) + bytes.fromhex(vector["bytes"]))
        seeds["json"] += [line.encode() for reply in vector["replies"] for line in reply["lines"]]
    for number, vector in enumerate(json.loads((wire / "streams.json").read_text())):
        steps = [step for step in vector["steps"] if step["do"] == "frame"]
        seeds["frames"].append(
            bytes([number * 5 % 32]) + b"".join(bytes.fromhex(step["with"]) for step in steps)
        )
    for vector in json.loads((wire / "packets.json").read_text()):
        seeds["sealed"] += [bytes.fromhex(vector["body"]), bytes.fromhex(vector["packet"])]
    words = [
        b"-n\0002\0--mem=5M\0sh\0-c\0exit 3",
        b"--attach\0007",
        b"run\0-e\0^]\0--carry\0x\0--\0cat",
        b"-c\0tcp:[::1]:5\0-t\0vi",
    ]
    seeds["words"] += [bytes([number]) + each for number, each in enumerate(words)]
    for name, found in seeds.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(found):
            (directory / name / f"seed{number}").write_bytes(data)


main(*map(Path, sys.argv[1:4]))
