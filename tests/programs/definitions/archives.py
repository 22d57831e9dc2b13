"""Programs that compress and pack."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program
from tests.programs.inputs import words
from tests.programs.steps import EndInput, Move, Type

_TREE = {f"tree/{name % 7}/{name}": words(name, 40_000) for name in range(40)}

PROGRAMS: Final = (
    Program(
        "xz",
        "a file to a file",
        ("xz", "-6", "-k", "-T1", "text"),
        {"xz": "xz-utils"},
        {"text": words(30, 500_000)},
    ),
    Program(
        "zstd",
        "with two threads",
        ("zstd", "-q", "-16", "-T2", "text", "-o", "text.zst"),
        {"zstd": "zstd"},
        {"text": words(31, 2_000_000)},
    ),
    Program(
        "bzip2",
        "from its input to its output, which are the streams of `gom run`",
        ("bzip2", "-c"),
        {"bzip2": "bzip2"},
        steps=(
            Type(words(32, 600_000)()),
            Move(),
            Type(words(33, 600_000)()),
            Move(),
            Type(words(34, 600_000)()),
            EndInput(),
        ),
    ),
    Program(
        "pigz",
        "with two threads",
        ("pigz", "-11", "-n", "-p", "2", "-k", "text"),
        {"pigz": "pigz"},
        {"text": words(35, 250_000)},
    ),
    Program(
        "brotli",
        "the best it can",
        ("brotli", "-q", "11", "-k", "text"),
        {"brotli": "brotli"},
        {"text": words(36, 300_000)},
    ),
    Program(
        "7z",
        "its own format, with two threads",
        ("7z", "a", "-mmt=2", "-mtm=off", "-bso0", "-bsp0", "out.7z", "text"),
        {"7z": "p7zip-full"},
        {"text": words(37, 1_300_000)},
    ),
    Program(
        "tar and gzip",
        "a tree, packed, compressed and unpacked again",
        (
            "sh",
            "-c",
            "for n in 1 2 3 4 5 6; do tar -c --sort=name --mtime=@0 tree | gzip -9 -n | tee out.tgz | tar -xz -C copy && "
            "diff -r tree copy/tree && sha256sum out.tgz || exit; done",
        ),
        {"tar": "tar", "gzip": "gzip"},
        {**_TREE, "copy/empty": b""},
    ),
)
