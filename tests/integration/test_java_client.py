"""The library in Java: its own tests, a conversation with a real daemon, its page, its monitor, a restart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon

ROOT = Path(__file__).parents[2]
JAVA = ROOT / "clients" / "java"
pytestmark = pytest.mark.skipif(not shutil.which("javac"), reason="no JDK is installed")


def environment(daemon: Daemon) -> dict[str, str]:
    """Return the environment in which the library finds the daemon."""
    return {**os.environ, "GOMD_ENDPOINT": daemon.unix}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Node 1, alpha."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1", "--name", "alpha") as running:
        yield running


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory, daemon: Daemon) -> Path:
    """The jar, after its own tests: vectors, lies, and a conversation with the daemon."""
    build = tmp_path_factory.mktemp("java")
    done = subprocess.run(
        ["make", "-s", "-C", str(JAVA), "check", f"BUILD={build}"],
        env=environment(daemon), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b0 tests skipped", done.stdout), done.stdout
    assert re.search(r"\b0 tests failed", done.stdout)
    return build / "gomd.jar"


def java(jar: Path, source: Path, *words: str, daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """Run a program of one file."""
    return subprocess.run(
        ["java", "-cp", str(jar), str(source), *words],
        env=environment(daemon), capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip


def test_the_jar_is_small_and_needs_java_base_alone(jar: Path) -> None:
    """Less than 100 kB, and a module without other modules."""
    assert jar.stat().st_size < 100_000
    done = subprocess.run(
        ["jar", "--describe-module", "--file", str(jar)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.findall(r"^requires (\S+)", done.stdout, re.MULTILINE) == ["java.base"]


def test_the_page_and_the_monitor_work(jar: Path, daemon: Daemon, tmp_path: Path) -> None:
    """The program of docs/library-java.md and the demonstration."""
    page = (ROOT / "docs" / "library-java.md").read_text("utf-8")
    [program] = re.findall(r"^```java\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    source = tmp_path / "Example.java"
    source.write_text(program)
    done = java(jar, source, daemon=daemon)
    assert done.returncode == 0, done.stderr
    assert re.match(r"alpha has load \d+\n", done.stdout)
    assert done.stdout.endswith("1\n2\n3\nexit status 0\n")
    done = java(jar, JAVA / "demo" / "Monitor.java", "0.1", "2", daemon=daemon)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("alpha") == 2


SEALED = """
import gomd.*;
import java.nio.file.Path;
import java.time.Duration;
public class Ask {
    public static void main(String[] words) throws Exception {
        for (String host : new String[] {"::1", "localhost"}) {
            try (Sealed peer = Sealed.open(Path.of(words[0]), host, Integer.parseInt(words[1]),
            Duration.ofSeconds(5))) {
                System.out.println(peer.getCurNode(Long.parseLong(words[2])));
            }
        }
    }
}
"""


def test_sealed_questions_over_ipv6(jar: Path, tmp_path: Path) -> None:
    """At an address of IPv6, and at a name whose addresses are asked in turn."""
    source = tmp_path / "Ask.java"
    source.write_text(SEALED)
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--set", "peers.address=127.0.0.1,::1") as running:
        port = running.wait_for(r"PeerProtocol starting on (\d+)")[1]
        done = java(jar, source, str(running.state / "key"), port, str(running.process.pid), daemon=running)
    assert done.stdout == "1\n1\n", done.stderr


RESTART = """
import gomd.*;
public class Restart {
    public static void main(String[] words) throws Exception {
        RunningJob job = Gomd.connect().run("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done");
        for (RunningJob.Chunk c = job.read(); c != null; c = job.read()) {
            System.out.write(c.bytes());
            System.out.flush();
        }
        System.out.println("ended " + job.status());
    }
}
"""


def test_a_job_goes_on_through_a_restart(jar: Path, tmp_path: Path) -> None:
    """The daemon is killed in mid-run and started again: the output is whole."""
    source = tmp_path / "Restart.java"
    source.write_text(RESTART)
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--name", "alpha") as daemon:
        running = subprocess.Popen(
            ["java", "-cp", str(jar), str(source)], env=environment(daemon),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "1\n"
        daemon.kill()
        daemon.start()
        rest, errors = running.communicate(timeout=PATIENCE * 2)
        assert rest == "".join(f"{n}\n" for n in range(2, 7)) + "ended 0\n", errors


def test_the_pages_are_complete(tmp_path: Path) -> None:
    """javadoc warns of nothing."""
    done = subprocess.run(
        ["make", "-s", "-C", str(JAVA), "doc", f"BUILD={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
