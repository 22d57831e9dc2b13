"""What criu knows of the kernel is kept for one boot and one criu, and criu runs without it, too."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gomd.jobs.checkpoint import kernel_cache


@pytest.fixture
def criu(tmp_path: Path) -> str:
    """A program that writes what it would know, as criu does, and counts how often it is asked."""
    program = tmp_path / "criu"
    program.write_text(f"""#!/bin/sh
echo once >> {tmp_path}/asked
case "$*" in *unprivileged*) to=$XDG_RUNTIME_DIR;; *) to=/run;; esac
echo known > $to/criu.kdat
""")
    program.chmod(0o755)
    return str(program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can move processes, and has mount namespaces")
def test_it_is_asked_once(criu: str, tmp_path: Path) -> None:
    """Both files are there, for nobody but root; another criu is asked anew."""
    images = tmp_path / "images"
    assert kernel_cache.prepare(criu, str(images), "4.2")
    asked = (tmp_path / "asked").read_text()
    assert asked == "once\n" * 2
    found = kernel_cache.environment(str(images / "1-1-1-00000000.source"))["XDG_RUNTIME_DIR"]
    for name in ("root", "user"):
        file = Path(found).parent / name / "criu.kdat"
        assert file.read_text() == "known\n"
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert kernel_cache.prepare(criu, str(images), "4.2")
    assert (tmp_path / "asked").read_text() == asked
    assert kernel_cache.prepare(criu, str(images), "4.3")
    assert (tmp_path / "asked").read_text() == asked * 2


def test_files_of_an_earlier_boot_do_not_hold(tmp_path: Path) -> None:
    """Nor does a directory without any."""
    images = tmp_path / "images" / "1-1-1-00000000.source"
    assert kernel_cache.environment(str(images)) == {}
    (tmp_path / "images" / ".kernel" / "user").mkdir(parents=True)
    (tmp_path / "images" / ".kernel" / "key").write_text("another-boot /usr/sbin/criu 4.2")
    assert kernel_cache.environment(str(images)) == {}
    kernel_cache.show(str(images))


def test_a_criu_that_does_not_start(tmp_path: Path) -> None:
    """Nothing is kept, and nothing fails."""
    assert not kernel_cache.prepare(str(tmp_path / "none"), str(tmp_path / "images"), "4.2")
    assert kernel_cache.environment(str(tmp_path / "images" / "a")) == {}
