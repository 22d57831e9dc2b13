"""Fixtures for tests with real sockets."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import daemon as real
from tests.integration.conversations import drivers
from tests.integration.jobs import PLACE
from tests.integration.scripted import Daemon, Script, Start

StartDaemon = Callable[..., real.Daemon]

# A shell that starts something in the background lets it ignore Ctrl-C, nohup lets it ignore hangups, and
# whatever that starts: then the programs that are to be ended by these here would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Tests start programs from many threads; where pages are reclaimed early, exec after vfork saw "Bad address".
subprocess._USE_VFORK = False  # type: ignore[attr-defined,misc,unused-ignore]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start daemons that follow a script."""
    started: list[Daemon] = []

    def start(script: Script, **options: str) -> Daemon:
        started.append(Daemon(tmp_path / f"{len(started)}.sock", script, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start real daemons: ``start_daemon(*options, ini=...)``; they are ended whatever happens."""
    started: list[real.Daemon] = []

    def start(*options: str, ini: str = "", home: Path | None = None) -> real.Daemon:
        started.append(real.Daemon(home or tmp_path / f"daemon{len(started)}", *options, ini=ini))
        return started[-1].start()

    yield start
    for daemon in started:
        daemon.end()


@pytest.fixture(scope="session")
def compiled() -> Iterator[Path]:
    """What `make -C clients/c install` installs: the prefix, which every user may enter."""
    if not (shutil.which("make") and shutil.which("gcc")):
        pytest.skip("gomrun needs make and gcc")
    prefix = Path(tempfile.mkdtemp(prefix="gomrun-", dir="/tmp"))
    try:
        prefix.chmod(0o755)
        source = Path(__file__).parents[2] / "clients" / "c"
        subprocess.run(
            ["make", "-s", "-C", str(source), f"BUILD={prefix}/build", f"PREFIX={prefix}", "install"],
            check=True, timeout=120, umask=0o022,
        )  # fmt: skip
        yield prefix
    finally:
        shutil.rmtree(prefix)


@pytest.fixture(scope="session")
def every_driver(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, drivers.Driver]]:
    """What makes the calls of the library of each language that this machine has."""
    build = tmp_path_factory.mktemp("drivers")
    prefix = request.getfixturevalue("compiled") if drivers.is_installed("c") else None
    languages = filter(drivers.is_installed, drivers.LANGUAGES)
    started = {each: drivers.start(each, build, prefix) for each in languages}
    yield started
    for each in started.values():
        each.end()


@pytest.fixture
def driver(request: pytest.FixtureRequest, every_driver: dict[str, drivers.Driver]) -> drivers.Driver:
    """The one of one language after the other: `every_language`."""
    if request.param not in every_driver:
        pytest.skip(f"{drivers.NEEDS[request.param]} is not installed")
    return every_driver[request.param]


@pytest.fixture
def run_program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether `gom run` and `gom attach` of the test are the Python program (gom) or the compiled one."""
    if request.param == "gomrun":
        monkeypatch.setenv(PLACE, str(request.getfixturevalue("compiled") / "libexec" / "gomd"))
    return str(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `run_program` with both, and one that is about the daemon with one of them."""
    if "run_program" not in metafunc.fixturenames:
        return
    both = metafunc.definition.get_closest_marker("one_program") is None
    programs = ["gom", "gomrun"] if both else ["gom"]
    if "prompt" in metafunc.fixturenames:
        shells = {"gom": ("bash --norc --noediting -i", "dash -i"), "gomrun": ("bash --norc --noediting -i",)}
        pairs = [(each, shell) for each in programs for shell in shells[each]]
        metafunc.parametrize(
            ("run_program", "prompt"), pairs, indirect=True, ids=[f"{a}-{b[:4]}" for a, b in pairs]
        )
    else:
        metafunc.parametrize("run_program", programs, indirect=True)
