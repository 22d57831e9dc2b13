"""Sees that what was built works at all: ``smoke.py VERSION``."""

import os
import subprocess
import sys

import gom.command  # noqa: F401
import gomd.tap
import libgomd.blocking
import libgomd.client  # noqa: F401
from libgomd.version import VERSION

[_program, version] = sys.argv
assert version.startswith(VERSION), f"debian/changelog is of {version}, and this is gomd {VERSION}"
gom_says = subprocess.run(
    [sys.executable, "-c", "from gom.command import run; run()", "--version"],
    check=True, capture_output=True, text=True,
).stdout  # fmt: skip
assert VERSION in gom_says, gom_says
plugins = subprocess.run(["twistd3", "--help"], check=True, capture_output=True, text=True).stdout
assert "gomd" in plugins, plugins
check = subprocess.run(
    ["twistd3", "--pidfile=", "gomd", "--check", "--state-dir", os.path.abspath("debian/smoke-state")],
    check=False, capture_output=True, text=True,
)  # fmt: skip
assert check.returncode == 0, check.stdout + check.stderr
assert gomd.tap.__file__.startswith(os.getcwd()), gomd.tap.__file__
