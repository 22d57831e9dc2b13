"""Jobs with the library in C, and gomrun by its own names: with a real daemon, and with daemons that lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gom import run_options
from gom.openmosix import mosrun
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, NotAllowed, TimedOut
from libgomd.version import VERSION
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, gom
from tests.integration.lying import LyingDaemon
from tests.integration.test_client_jobs_lies import CASES, TIMEOUT, Case

ROOT = Path(__file__).parents[2]
#: What a call returns for the errors of the Python library.
CODES = {TimedOut: "-4", MalformedReply: "-5", NotAllowed: "-403", ConnectionLost: "-3", GomdError: r"-\d+"}


@pytest.fixture(scope="module")
def programs(compiled: Path) -> Path:
    """The test programs, built with the sanitizers, and gomrun by its names."""
    build = compiled / "build"
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "clients" / "c"), f"BUILD={build}", "CFLAGS=-O1 -g",
         f"{build}/runs", f"{build}/gomrun-checked"],
        check=True, timeout=120,
    )  # fmt: skip
    if (build / "names").exists():
        return build
    for name in ("gomrun", "gom", "mosrun"):
        (build / "names" / name).parent.mkdir(exist_ok=True)
        (build / "names" / name).symlink_to(build / "gomrun-checked")
    return build


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all of these."""
    with Daemon(tmp_path_factory.mktemp("gomd"), "--node-id", "1") as running:
        yield running


def runs(programs: Path, endpoint: str, *calls: str, timeout_ms: int = 20000) -> list[str]:
    """Return what comes of the calls, a line each; the first is that of connecting."""
    done = subprocess.run(
        [str(programs / "runs"), endpoint, str(timeout_ms), *calls],
        capture_output=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode(errors="surrogateescape").splitlines()


def test_jobs_of_the_library(programs: Path, daemon: Daemon) -> None:
    """Output, statuses, 5 MB each way, signals, input that nobody takes, and calls with a timeout."""
    said = runs(
        programs, daemon.unix, "run sh -c echo", "run nosuch", "run /etc/passwd", "both 5", "count 9", "deaf",
        "signal", "wait", "detach echo later", "attach 99999", "attach 0", "run", "surroundings",
    )  # fmt: skip
    assert said[1] == "run 1: 1 out 0 err = 0"
    assert said[2] == "run = -127 nosuch: command not found"
    assert said[3] == "run = -126 /etc/passwd: Permission denied"
    assert said.pop(4) == "both began"
    assert said[4:6] == [f" {5 << 20} bytes = 0", f"count 1:{9 << 20} 8 out 0 err = 0"]
    assert re.fullmatch(r"deaf = -8 job \d+ takes no more input", said[6])
    assert said[7] == "signal by 15 = 143"
    assert said[8].startswith("wait = -4 the end of the job did not come within 200 ms")
    detached = re.fullmatch(r"detach (\d+) -8 = 0", said[9])
    assert detached
    assert said[10].startswith("attach = -404 there is no job 99999")
    assert said[11].startswith("attach = -1 ")
    assert said[12].startswith("run = -1 a command is missing")
    pieces = re.split(r"\s*\n\s*| 1:|\n 1:", "\n".join(said[13:]))  # of a terminal, cut anywhere
    text = "".join(pieces)
    assert re.search("/usr.*0027.*first-b\udcffé.*3.*77.*7 9", text)
    shown = runs(programs, daemon.unix, f"attach {detached[1]}")
    assert shown[1] == "attach 1:later 6 out 0 err = 0"


def test_a_cut_connection_and_a_daemon_that_starts_anew(programs: Path, tmp_path: Path) -> None:
    """Not a byte is lost or doubled when the daemon is killed in the middle of 60 MB each way."""
    with Daemon(tmp_path / "daemon") as killed:
        command = [str(programs / "runs"), killed.unix, "20000", "both 60"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while process.stdout.readline() != b"both began\n":
                pass
            killed.kill()
            killed.start()
            assert process.stdout.read() == b" %d bytes = 0\n" % (60 << 20)
            assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_library_that_is_lied_to(case: Case, programs: Path, tmp_path: Path) -> None:
    """One sentence and no crash, in time, whatever the daemon says."""
    _name, kind, lies = case
    lying = LyingDaemon(tmp_path / "s", *lies)
    began = time.monotonic()
    process = subprocess.Popen(
        [str(programs / "runs"), lying.endpoint, str(int(TIMEOUT * 1000)), "run true"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    text = ""
    for line in process.stdout:
        text += line.decode()
        if line.endswith(b":bye\n"):
            lying.drop()
    with process:
        assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")
    lying.close()
    assert time.monotonic() - began < PATIENCE
    assert re.search(rf" = {CODES[kind]} [^\x00-\x1f\x7f]+$", text), text


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("four_gigabytes", 3),
        ("no_json", 3),
        ("lines", 3),
        ("failed", 1),
        ("hangs_up_before_the_job_began", 3),
    ],
)
def test_a_gomrun_that_is_lied_to(name: str, status: int, programs: Path, tmp_path: Path) -> None:
    """One sentence and the exit status of `gom run`; its environment has been sent, but nothing hangs."""
    [lies] = [case[2] for case in CASES if case[0] == name]
    lying = LyingDaemon(tmp_path / "s", *lies)
    done = said(programs, "gomrun", "-c", lying.endpoint, "true")
    lying.close()
    assert done.returncode == status
    assert re.fullmatch(r"gomrun: [^\x00-\x1f\x7f]+\n", done.stderr)


def said(programs: Path, name: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run gomrun under one of its names until it ends."""
    return subprocess.run(
        [str(programs / "names" / name), *words], capture_output=True, text=True, timeout=PATIENCE,
        stdin=subprocess.DEVNULL, env={**os.environ, **more}, check=False,
    )  # fmt: skip


def test_help_is_that_of_gom_run(programs: Path) -> None:
    """The same options are explained in the same words, under each name."""
    assert said(programs, "gom", "run", "--help").stdout == run_options.RUN_USAGE
    assert said(programs, "gom", "attach", "-h").stdout == run_options.ATTACH_USAGE
    assert said(programs, "gomrun", "--help").stdout.endswith(run_options.RUN_USAGE)
    assert said(programs, "mosrun", "--help").stdout == mosrun.USAGE + "\n"
    assert said(programs, "gomrun", "--version").stdout == f"gomrun {VERSION}\n"


@pytest.mark.parametrize(
    "words",
    [
        (), ("--nosuch", "true"), ("-n",), ("-n", "1", "-j", "2", "true"), ("--mem", "much", "true"),
        ("-e", "ab", "true"), ("--mem-max=5Q", "true"), ("--no-input", "-t", "true"), ("-n=1", "true"),
        ("",), ("--attach", "1", "true"), ("-c", "here", "true"), ("--", ""),
        ("--mem", "99999999999999999999", "true"),
    ],
)  # fmt: skip
def test_wrong_usage(programs: Path, words: tuple[str, ...]) -> None:
    """One sentence, exit status 2, and nothing is asked."""
    done = said(programs, "gomrun", *words, GOMD_ENDPOINT="unix:/nowhere")
    assert done.returncode == 2
    assert re.fullmatch(r"gomrun: .{15,}; see `gomrun --help`\n", done.stderr)


def test_options_that_both_programs_refuse_in_the_same_words(programs: Path, daemon: Daemon) -> None:
    """The compiled program says what the Python program says, and exits as it does."""
    for words in (
        ("run", "-n", "nosuch", "true"), ("run", "-n", "1", "-j", "2", "true"),
        ("run", "--mem-max", "0", "true"), ("run", "--mem", "5M", "--mem-max", "4M", "true"),
        ("run", "--carry", "/proc/x", "true"), ("run", "--frob", "true"), ("run", "-e", "xy", "true"),
        ("run", "-n", "", "true"), ("run", "-j", "", "true"), ("run", "--carry=", "true"),
        ("run", "--mem", "9999999T", "true"), ("run",), ("attach", "9999"),
        ("attach", "abc"), ("attach",), ("run", "/etc"), ("run", "x\x1bz"), ("run", "--memory=5", "true"),
        ("run", "--carries=5", "true"), ("run", "--mem", "5I", "true"), ("run", "--mem", "5MI", "true"),
        ("run", "--mem=5MiB", "true"), ("run", "--mem", "5iB", "true"), ("run", "-c", "x", "true"),
    ):  # fmt: skip
        python, compiled = gom(daemon, *words), said(programs, "gom", "-c", daemon.unix, *words)
        same = (compiled.returncode, compiled.stdout.encode(), compiled.stderr.replace("?", "\\x1b").encode())
        assert (python.returncode, python.stdout, python.stderr) == same, words


@pytest.mark.parametrize(
    "endpoint",
    [
        "x",
        "unix:",
        "unix:/nowhere",
        "unix:/" + "x" * 200,
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:0",
        "tcp:127.0.0.1:1",
        "unix:/",
    ],
)
def test_an_endpoint_without_a_daemon_has_the_status_of_gom_run(programs: Path, endpoint: str) -> None:
    """2 for what is no endpoint, 3 where no daemon can be; and for what is none the same sentence."""
    words = ("-c", endpoint, "run", "true")
    python = subprocess.run([*GOM, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    compiled = said(programs, "gom", *words)
    assert (python.returncode, python.stdout) == (compiled.returncode, compiled.stdout)
    assert python.returncode != 2 or python.stderr == compiled.stderr


def test_a_job_whose_number_cannot_be_printed(programs: Path, daemon: Daemon) -> None:
    """Both say why."""
    words = ("-c", daemon.unix, "run", "--detach", "true")
    for program in (GOM, (str(programs / "names" / "gom"),)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*program, *words],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        assert (done.returncode, done.stderr) == (
            1, "gom: the answer cannot be written: No space left on device\n"
        )  # fmt: skip


def test_mosrun(programs: Path, daemon: Daemon) -> None:
    """openMosix's options, its sentences, and the program's exit status."""
    there = {"GOMD_ENDPOINT": daemon.unix}
    for place in ("-l", "-h", "-j1", "-k"):
        assert said(programs, "mosrun", place, "sh", "-c", "exit 7", **there).returncode == 7
    done = said(programs, "mosrun", "-999", "true", **there)
    assert (done.returncode, done.stderr) == (1, "Migration Failed: No such device or address\n")
    for words in (("-jx", "true"), ("-q", "true"), ("-h", "-1", "true"), ("-l",), ()):
        done = said(programs, "mosrun", *words, **there)
        assert (done.returncode, done.stderr) == (1, mosrun.USAGE + "\n"), words
    done = said(programs, "mosrun", "true", GOMD_ENDPOINT="unix:/nowhere/s")
    assert (done.returncode, done.stderr[:8]) == (3, "mosrun: ")


def test_the_installed_one(compiled: Path, daemon: Daemon) -> None:
    """`make install` puts gomrun into libexec under its version's name, and a link to it into bin."""
    gomrun = compiled / "bin" / "gomrun"
    assert gomrun.resolve() == compiled / "libexec" / "gomd" / f"gomrun-{VERSION}"
    done = subprocess.run([gomrun, "-c", daemon.unix, "echo", "hi"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert (compiled / "share" / "man" / "man1" / "gomrun.1").exists()
    assert (compiled / "lib" / f"libgomd.so.{VERSION}").stat().st_size < 200_000


def test_the_parsers_hold_against_a_fuzzer(compiled: Path) -> None:
    """A sample of what `make faults` does for 5 minutes each: no parser crashes, leaks or reads on."""
    if not shutil.which("clang"):
        pytest.skip("the fuzzer is clang's")
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT / "clients" / "c"), f"BUILD={compiled}/build", "FUZZ_LIMIT=-runs=3000",
         "fuzz"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.findall(r"fuzz (\w+): held against inputs: \d+", done.stdout) == [
        "json", "lines", "frames", "sealed", "words"
    ]  # fmt: skip


def test_a_token_over_tcp(programs: Path, daemon: Daemon) -> None:
    """gomrun runs with the role of a token, of the command line or the environment, and not without."""
    added = gom(daemon, "token", "add", "root", "admin", "--file", str(daemon.state / "tokens"))
    token = added.stdout.decode().strip()
    assert said(programs, "gomrun", "-c", daemon.tcp, "--token", token, "echo", "hi").stdout == "hi\n"
    assert said(programs, "gom", "-c", daemon.tcp, "-t", token, "run", "echo", "hi").stdout == "hi\n"
    assert said(programs, "gomrun", "-c", daemon.tcp, "echo", "hi", GOMD_TOKEN=token).stdout == "hi\n"
    for words in ((), ("--token", "wrong")):
        done = said(programs, "gomrun", "-c", daemon.tcp, *words, "true")
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"gomrun: .{15,}\n", done.stderr)


def test_the_program_of_the_page_runs_a_job(compiled: Path, daemon: Daemon, tmp_path: Path) -> None:
    """The second program in docs/library-c.md, and demo/run.c and demo/monitor.c, with what is installed."""
    page = (ROOT / "docs" / "library-c.md").read_text()
    (tmp_path / "page.c").write_text(re.findall(r"```c\n(.*?)```", page, re.DOTALL)[1])
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{compiled}/include", f"-L{compiled}/lib"]
    demo = ROOT / "clients" / "c" / "demo"
    printed = []
    for source, words in (
        (tmp_path / "page.c", ()), (demo / "run.c", ("sh", "-c", "echo hi; exit 4")),
        (demo / "monitor.c", ("", "2")),
    ):  # fmt: skip
        program = str(tmp_path / source.stem)
        subprocess.run(
            ["gcc", *flags, str(source), "-o", program, "-lgomd", f"-Wl,-rpath,{compiled}/lib"], check=True
        )
        done = subprocess.run(
            [program, *words], env={**os.environ, "GOMD_ENDPOINT": daemon.unix}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        printed.append((done.returncode, done.stdout, done.stderr))
    assert printed[0] == (0, "Linux\n", "")
    assert printed[1] == (4, "hi\n", "")
    assert (printed[2][0], printed[2][2]) == (0, "")
    assert " up " in printed[2][1]
    assert "COMMAND" in printed[2][1]


def test_clang_has_nothing_to_say() -> None:
    """Every file is clean under its warnings, which are errors; so are gcc's in every build."""
    if not shutil.which("clang"):
        pytest.skip("it is about clang")
    source = ROOT / "clients" / "c"
    files = [
        str(path) for folder in (".", "gomrun", "demo", "tests") for path in (source / folder).glob("*.c")
    ]
    flags = [
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        f"-I{source}",
        '-DGOMD_VERSION_TEXT="1"',
    ]
    subprocess.run(["clang", *flags, *files], check=True, timeout=120)


def test_valgrind_has_nothing_to_say(compiled: Path, daemon: Daemon) -> None:
    """Nothing is lost, and nothing is read that was not written, in a job with input, output and a status."""
    if not shutil.which("valgrind"):
        pytest.skip("it is about valgrind")
    done = subprocess.run(
        ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", str(compiled / "bin" / "gomrun"),
         "-c", daemon.unix, "sh", "-c", "cat; echo err >&2; exit 3"],
        input=b"x" * 300_000, capture_output=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, b"x" * 300_000, b"err\n")
