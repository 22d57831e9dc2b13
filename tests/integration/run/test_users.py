"""Who may run what, on root's daemon."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import NOBODY, gom

pytestmark = pytest.mark.usefixtures("run_program")


@pytest.mark.skipif(os.geteuid() != 0, reason="to be several users one has to be root")
class TestUsers:
    """Who may run what, on root's daemon."""

    @pytest.fixture
    def public(self) -> Iterator[Daemon]:
        """A daemon whose socket everybody reaches, as root's own has one."""
        place = Path(tempfile.mkdtemp(prefix="gomd-run-", dir="/tmp"))
        try:
            place.chmod(0o711)
            with Daemon(place) as daemon:
                daemon.state.chmod(0o711)
                daemon.socket.chmod(0o666)
                yield daemon
        finally:
            shutil.rmtree(place)

    def test_a_job_is_its_callers(self, public: Daemon) -> None:
        """uid, gid and groups are the caller's; root's files are not."""
        done = gom(public, "run", "sh", "-c", "id -u; id -g; id -G; cat /etc/shadow", program=NOBODY, cwd="/")
        assert done.stdout.split()[0] == b"65534"
        assert b"0" not in done.stdout.split()
        assert done.returncode == 1

    def test_a_directory_that_is_closed_to_the_caller(self, public: Daemon) -> None:
        """One sentence, and no job."""
        done = gom(public, "run", "true", program=NOBODY, cwd="/root")
        assert done.returncode == 1
        assert b"/root" in done.stderr

    @pytest.mark.one_program
    def test_another_users_job(self, public: Daemon) -> None:
        """Neither seen, nor killed, nor attached to."""
        number = gom(public, "run", "--detach", "sleep", "1000").stdout.decode().strip()
        for words in (("kill", number), ("attach", number)):
            done = gom(public, *words, program=NOBODY, cwd="/")
            assert (done.returncode, b"not yours" in done.stderr) == (1, True)
        assert number.encode() not in gom(public, "jobs", program=NOBODY, cwd="/").stdout
        assert gom(public, "kill", number).returncode == 0

    @pytest.mark.one_program
    def test_an_anonymous_caller(self, public: Daemon) -> None:
        """They may only read: 403."""
        with public.connect() as line:
            assert line.ask("run").code == 403
            assert line.ask("jobs").code == 403
