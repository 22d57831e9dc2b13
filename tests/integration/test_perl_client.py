"""The library in Perl: its own tests, a conversation with a real daemon, a restart, and daemons that lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libgomd.wire import frames
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.lying import GREETING, Flood, LyingDaemon

ROOT = Path(__file__).parents[2]
PERL = ROOT / "clients" / "perl"
pytestmark = pytest.mark.skipif(not shutil.which("prove"), reason="perl is not installed")


def perl(program: str, endpoint: str, timeout: float = PATIENCE * 2) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the library, and the daemon at ``endpoint``."""
    text = f"use 5.036; use Gomd::Client; {program}"
    return subprocess.run(
        ["perl", "-Ilib", "-e", text], cwd=PERL, env={**os.environ, "GOMD_ENDPOINT": endpoint},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Node 1, alpha."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1", "--name", "alpha") as running:
        yield running


def test_its_own_tests_pass(daemon: Daemon) -> None:
    """The vectors, the seal, and a conversation with every verb, watches and jobs; none is skipped."""
    done = subprocess.run(
        ["prove", "-l", "t"], cwd=PERL, env={**os.environ, "GOMD_ENDPOINT": daemon.unix},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_it_builds_and_installs(tmp_path: Path) -> None:
    """perl Makefile.PL, make, make install, as ever; the manifest is complete and the pages are good POD."""
    copy = tmp_path / "perl"
    shutil.copytree(PERL, copy)
    for command in (
        ["perl", "Makefile.PL", f"PREFIX={tmp_path}/there"],
        ["make"],
        ["make", "install"],
        ["perl", "-MExtUtils::Manifest=manicheck", "-e", "exit !!manicheck()"],
        ["make", "dist"],
        [
            "sh",
            "-c",
            "tar xzf Gomd-Client-*.tar.gz -C .. && cd ../Gomd-Client-*/ && perl Makefile.PL && make test",
        ],
        ["podchecker", *map(str, sorted((copy / "lib/Gomd").glob("*.pm")))],
    ):
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)
        # podchecker says 2 for a file without a page.
        assert done.returncode in ((0, 2) if command[0] == "podchecker" else (0,)), done.stdout + done.stderr
        assert "ERROR" not in done.stderr
    assert list((tmp_path / "there").rglob("Gomd/Client.pm"))


def test_the_page_and_the_monitor_work(daemon: Daemon) -> None:
    """The program of docs/library-perl.md and the demonstration."""
    page = (ROOT / "docs" / "library-perl.md").read_text("utf-8")
    [program] = re.findall(r"^```perl\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    done = perl(program, daemon.unix)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^alpha has load \d+$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("1\n2\n3\n")
    assert done.stderr.startswith("refused: ")
    done = subprocess.run(
        ["perl", "-Ilib", "demo/monitor.pl", "0.1", "2"], cwd=PERL,
        env={**os.environ, "GOMD_ENDPOINT": daemon.unix},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("alpha") == 2


def test_sealed_questions_are_answered(daemon: Daemon) -> None:
    """getCurNode over UDP with the daemon's own key; a wrong key gets no answer, in a sentence."""
    port = daemon.wait_for(r"PeerProtocol starting on (\d+)")[1]
    ask = (
        f"use Gomd::Sealed; my $d = Gomd::Sealed->new(%s, port => {port}, timeout => 2);"
        "say eval { $d->get_cur_node($$) } // ref $@; print $d->get('/proc/loadavg') if !$@"
    )
    done = perl(ask % f"key_file => '{daemon.state}/key'", daemon.unix)
    assert re.match(r"1\n[0-9.]+ ", done.stdout), done.stderr
    done = perl(ask % "secret => 'x' x 32", daemon.unix)
    assert done.stdout == "Gomd::Error::TimedOut\n"


def test_sealed_questions_over_ipv6(tmp_path: Path) -> None:
    """An address of IPv6, with brackets or without, and a name that may have both."""
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--set", "peers.address=127.0.0.1,::1") as running:
        port = running.wait_for(r"PeerProtocol starting on (\d+)")[1]
        ask = (
            "use Gomd::Sealed; for my $host ('::1', '[::1]', 'localhost') {"
            f"my $d = Gomd::Sealed->new(key_file => '{running.state}/key', address => $host, port => {port});"
            "say $d->get_cur_node($$) }"
        )
        done = perl(ask, running.unix)
        assert done.stdout == "1\n1\n1\n", done.stderr


def test_a_job_goes_on_through_a_restart(tmp_path: Path) -> None:
    """The daemon is killed in mid-run and started again: the output is whole."""
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--name", "alpha") as daemon:
        program = (
            "use 5.036; use Gomd::Client; $| = 1;"
            "my $loop = 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done';"
            "my $j = Gomd::Client->connect->run(['sh', '-c', $loop]);"
            'while (my ($s, $b) = $j->read) { print $b } say "ended ", $j->status'
        )
        running = subprocess.Popen(
            ["perl", "-Ilib", "-e", program], cwd=PERL, env={**os.environ, "GOMD_ENDPOINT": daemon.unix},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "1\n"
        daemon.kill()
        daemon.start()
        rest, errors = running.communicate(timeout=PATIENCE * 2)
        assert rest == "".join(f"{n}\n" for n in range(2, 7)) + "ended 0\n", errors


STARTED = frames.encode(frames.STARTED, b'{"job": 7, "home": 1, "node": 1, "pid": 42}')


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (b"200 fine\r\n", "MalformedReply"),
        (b"\x14\xff\xff\xff\xff", "MalformedReply"),
        (b"\x63\x00\x00\x00\x00", "MalformedReply"),
        (frames.encode(frames.STARTED, b"[1]"), "MalformedReply"),
        (frames.encode(frames.STARTED, b'{"job": "x"}'), "MalformedReply"),
        (
            frames.encode(frames.STARTED, b'{"job": 7, "home": null, "node": 1, "pid": null}'),
            "MalformedReply",
        ),
        (STARTED[:9], "TimedOut"),
        (frames.encode(frames.ACK, b"short"), "MalformedReply"),
        (frames.encode(frames.FAILED, b'{"code": 404, "text": "no"}'), "NotFound"),
        (b"", "ConnectionLost"),
    ],
)
def test_a_daemon_that_lies_about_a_job(lie: bytes, kind: str, tmp_path: Path) -> None:
    """Each lie is that error, in time; the program neither crashes nor hangs."""
    liar = LyingDaemon(tmp_path / "socket", lambda _number: lie)
    done = perl(
        "eval { Gomd::Client->connect(timeout => 1.5)->run(['true']); 1 } or print ref $@",
        liar.endpoint,
        timeout=20,
    )
    assert (done.stdout, done.stderr) == (f"Gomd::Error::{kind}", "")


def test_a_reason_is_one_line_that_no_terminal_obeys(tmp_path: Path) -> None:
    """Control characters in what a daemon gives as its reason are shown as question marks."""
    text = {"code": 404, "text": "no\n\x1b[31m\x9b2J"}
    liar = LyingDaemon(tmp_path / "socket", lambda _number: frames.encode_json(frames.FAILED, text))
    done = perl("eval { Gomd::Client->connect(timeout => 2)->run(['true']) }; print $@", liar.endpoint)
    assert (done.stdout, done.stderr) == ("no??[31m?2J", "")


def test_a_pid_that_is_not_known_is_no_warning(tmp_path: Path) -> None:
    """The daemon says null while it does not know the process id of a job elsewhere."""
    started = frames.encode(frames.STARTED, b'{"job": 7, "home": 1, "node": 2, "pid": null}')
    liar = LyingDaemon(tmp_path / "socket", lambda _number: started)
    program = (
        "my $j = Gomd::Client->connect(timeout => 2)->run(['true']);"
        "print join ' ', $j->number, $j->home, $j->node, $j->pid // 'unknown'"
    )
    done = perl(program, liar.endpoint)
    assert (done.stdout, done.stderr) == ("7 1 2 unknown", "")


@pytest.mark.parametrize("timeout", ["1e18", "9**9**9"])
def test_a_timeout_without_end_is_none(timeout: str, daemon: Daemon) -> None:
    """More seconds than select(2) counts are waited for, not taken for none."""
    done = perl(f"say Gomd::Client->connect(timeout => {timeout})->version->{{protocol}}", daemon.unix)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_script_that_checks_for_taint_runs_a_job(daemon: Daemon) -> None:
    """With -T, whose environment is tainted; and a variable without a value is an empty one."""
    program = (
        "use 5.036; use lib 'lib'; use Gomd::Client; my $g = Gomd::Client->connect;"
        "print $g->run(['echo', 'one'])->communicate;"
        "print $g->run(['/bin/sh', '-c', 'echo ${A+set}'], { env => { A => undef } })->communicate"
    )
    done = subprocess.run(
        ["perl", "-T", "-e", program], cwd=PERL, env={**os.environ, "GOMD_ENDPOINT": daemon.unix},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("one\nset\n", "")


def test_input_that_is_no_bytes_is_refused(daemon: Daemon) -> None:
    """In each of the ways to give it, before the job begins or while it runs."""
    program = (
        "my ($g, $wide) = (Gomd::Client->connect, chr 0x263a);"
        "for my $give (sub { $g->run(['cat'], { stdin => $wide }) }, sub { $g->run(['cat'])->write($wide) },"
        "sub { $g->run(['cat'])->communicate($wide) }) { eval { $give->(); 1 } or say ref $@ }"
    )
    done = perl(program, daemon.unix)
    assert (done.stdout, done.stderr) == ("Gomd::Error::MalformedRequest\n" * 3, "")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (b"hello\r\n", "MalformedReply"),
        (b'201 1 rows\r\n{"pid": 1', "TimedOut"),
        (b"201 1 rows\r\n{]\r\n.\r\n", "MalformedReply"),
        (b"2000 4\r\n", "MalformedReply"),
        (b"200 \x00\r\n", "MalformedReply"),
        (b"200 \xff\r\n", "MalformedReply"),
        (b"201 1 rows\r\n{}\r\n! 504 no answer in time\r\n.\r\n", "NodeTimedOut"),
        (b"299 what is this\r\n", "MalformedReply"),
        (b"202 frames\r\n200 4\r\n", "MalformedReply"),
        (b"221 bye\r\n200 4\r\n", "MalformedReply"),
        (b"100 wait\r\n", "MalformedReply"),
        (b"777 what is this\r\n", "MalformedReply"),
        (b"", "TimedOut"),
    ],
)
def test_a_daemon_that_lies_about_rows(answers: bytes, kind: str, tmp_path: Path) -> None:
    """Each lie is that error; a late answer is never taken for the next question's."""
    import socket

    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as connected:
                connected.sendall(GREETING)
                connected.recv(100)
                connected.sendall(b"200 json\r\n")
                connected.recv(100)
                connected.sendall(answers)
                time.sleep(2.5)

        threading.Thread(target=serve, daemon=True).start()
        done = perl(
            "my $g = Gomd::Client->connect(timeout => 1);"
            "eval { $g->ps; 1 } and print 'none' or print ref $@; exit if !$@;"
            "eval { $g->load; 1 } and print ' and answers' or print ' ', ref $@",
            f"unix:{path}", timeout=20,
        )  # fmt: skip
    closed = kind in ("MalformedReply", "TimedOut")
    expected = "none" if kind == "none" else f"Gomd::Error::{kind}"
    if closed:
        expected += " Gomd::Error::ConnectionLost"
    assert done.stdout.startswith(expected), (done.stdout, done.stderr)
    assert "answers" not in done.stdout


ALL_ROWS = "my $g = Gomd::Client->connect(timeout => 0.5); eval { $g->ps; 1 } or print ref $@"


@pytest.mark.parametrize("lines", [b'{"pid": 1}\r\n' * 500, b"\r\n" * 5000])
def test_a_daemon_that_never_stops_sending_is_late(lines: bytes, tmp_path: Path) -> None:
    """Rows without end keep nobody past the timeout."""
    with Flood(tmp_path / "socket", GREETING, b"200 json\r\n", b"201 rows\r\n", lines) as flood:
        began = time.monotonic()
        done = perl(ALL_ROWS, flood.endpoint, timeout=60)
        assert (done.stdout, done.stderr) == ("Gomd::Error::TimedOut", "")
        assert time.monotonic() - began < flood.SECONDS / 2


@pytest.mark.parametrize("greeting", [b"220 smtp.example.org ESMTP\r\n", b"220 gomd 0.1.0 node x a\r\n"])
def test_no_token_is_shown_to_another_program(greeting: bytes, tmp_path: Path) -> None:
    """A mail server says 220, too."""
    with Flood(tmp_path / "socket", greeting) as other:
        done = perl(
            "eval { Gomd::Client->connect(token => 's', timeout => 2) } or print ref $@", other.endpoint
        )
        assert (done.stdout, done.stderr, other.heard) == ("Gomd::Error::MalformedReply", "", b"")


def test_one_value_of_all_nodes(daemon: Daemon) -> None:
    """Each with the node that it is from."""
    done = perl(
        "my $g = Gomd::Client->connect;"
        "my @all = $g->load({ node => 'all' });"
        "print join ',', map { $_->{from} . (defined $_->{value} ? ' has one' : '') } @all",
        daemon.unix,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1 has one", "")
