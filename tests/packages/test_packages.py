"""What an administrator sees who installs, upgrades, removes and purges gomd while users have jobs."""

from __future__ import annotations

import json
import re
import subprocess

from tests.integration.systemd.machine import Machine, wait_until
from tests.packages.conftest import NEWER, OLDER, apt, install
from tests.packages.packages import names

INIT = ("gom", "init", "--yes", "--name", "alpha", "--address", "10.9.8.7", "--multicast")


def active(machine: Machine) -> bool:
    """Whether the service runs."""
    return machine.show("ActiveState")["ActiveState"] == "active"


def version(machine: Machine) -> str:
    """The version of the daemon that answers."""
    return machine.run("gom", "version").strip()


def detached(machine: Machine, *words: str) -> str:
    """Start a detached job of ann's; return its number."""
    return machine.run("gom", "run", "--detach", *words, user="ann").split()[-1]


def job(machine: Machine, number: str) -> dict[str, object]:
    """The row of a job."""
    rows = [json.loads(line) for line in machine.run("gom", "--json", "jobs").splitlines()]
    [row] = [row for row in rows if str(row["job"]) == number]
    return dict(row)


def args_of(machine: Machine, pid: object) -> str:
    """The command line of a process, empty when it is gone."""
    return machine.run("ps", "-o", "args=", "-p", str(pid), check=False).strip()


def exists(machine: Machine, path: str) -> bool:
    return machine.try_("test", "-e", path).returncode == 0


def test_installed_it_is_up_for_everybody(machine: Machine) -> None:
    """The service runs and starts at boot; users run jobs; pages and completions have their places."""
    install(machine)
    assert machine.show("ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }
    assert machine.run("gom", "run", "id", "-un", user="ann").strip() == "ann"
    assert machine.run("dpkg", "--verify", *names()) == ""
    assert machine.run("systemd-analyze", "verify", "gomd.service", check=False).strip() == ""
    assert machine.run("stat", "-c", "%a", "/etc/gomd/gomd.ini", "/var/lib/gomd").split() == ["644", "700"]
    findings = [json.loads(line) for line in machine.run("gom", "--json", "doctor", check=False).splitlines()]
    assert not [each for each in findings if each["state"] == "bad"]
    assert not exists(machine, "/etc/gomd/key"), "a package must bring no key"
    for page in ("gom", "gom-run", "gom-top", "gomd", "gomd.ini"):
        assert exists(machine, machine.run("man", "-w", page).strip())
    for place in (
        "zsh/vendor-completions/_gom",
        "fish/vendor_completions.d/gom.fish",
        "doc/gomd/docs/install.md",
    ):
        assert exists(machine, f"/usr/share/{place}")
    completed = "source /usr/share/bash-completion/bash_completion; _comp_load gom; complete -p gom"
    assert "_gom" in machine.run("bash", "-c", completed)
    machine.run("logrotate", "--debug", "/etc/logrotate.d/gomd")
    found = machine.run(
        "python3", "-c", "import ctypes; print(ctypes.CDLL('libgomd.so.0').gomd_connect is not None)"
    )
    assert found.strip() == "True"
    if "gomrun" in names():
        assert machine.run("gomrun", "id", "-un", user="ann").strip() == "ann"
    # an engine whose library Debian does not have
    checked = machine.try_("twistd3", "--pidfile=", "gomd", "--check", "--set", "peers.engine=swim",
                           "--set", "peers.seeds=10.9.8.1:5428")  # fmt: skip
    assert checked.returncode != 0
    assert "kinship" in checked.stdout + checked.stderr


def mends(machine: Machine) -> str:
    """What `gom doctor` says is to be done: nothing of it is for a checkout, or for pip."""
    findings = [json.loads(line) for line in machine.run("gom", "--json", "doctor", check=False).splitlines()]
    found = [f"{each['check']}: {each['mend']}" for each in findings if each["mend"]]
    assert not re.search(r"\b(make|pip|venv|checkout)\b|contrib/|/opt/", "\n".join(found)), found
    return "\n".join(found)


def test_what_doctor_names_can_be_done(machine: Machine) -> None:
    """With a criu that does not work, STATE open to others, no daemon, and no gomd at all."""
    install(machine)
    machine.write("/etc/gomd/gomd.ini", "[jobs]\ncriu = /usr/bin/false\n")
    machine.run("systemctl", "restart", "gomd")
    machine.run("chmod", "755", "/var/lib/gomd")
    found = mends(machine)
    assert "criu: as root: apt install criu, or for a newer one: sh /usr/share/gomd/get-criu" in found
    assert "chmod 700 /var/lib/gomd" in found
    machine.run("sh", "-n", "/usr/share/gomd/get-criu")
    machine.run("systemctl", "stop", "gomd")
    machine.write("/etc/gomd/gomd.ini", "[peers]\nengine = swim\nseeds = 10.9.8.1:5428\n")
    found = mends(machine)
    assert "daemon: systemctl start gomd" in found
    checked = machine.run("gom", "--json", "doctor", check=False)
    assert "kinship (Debian has no package of it)" in checked
    machine.run("rm", "/etc/gomd/gomd.ini")
    apt(machine, "purge", "gomd")
    found = mends(machine)
    assert "daemon: apt install gomd; or name" in found
    assert "installation: apt install gomd" in found


def test_init_makes_it_a_node_and_later_upgrades_ask_nothing(machine: Machine) -> None:
    """gom init replaces the file of the package; an upgrade keeps what it wrote, byte by byte."""
    install(machine, "old")
    machine.run(*INIT)
    machine.run("systemctl", "restart", "gomd")
    assert "alpha" in machine.run("gom", "nodes")
    before = machine.run("cat", "/etc/gomd/gomd.ini", "/etc/gomd/key")
    install(machine)
    assert machine.run("cat", "/etc/gomd/gomd.ini", "/etc/gomd/key") == before
    assert active(machine)
    assert "alpha" in machine.run("gom", "nodes")


def test_jobs_go_on_through_an_upgrade(machine: Machine) -> None:
    """One that is detached, and one that somebody looks at: no byte of its output is lost."""
    install(machine, "old")
    machine.run(*INIT)
    machine.run("systemctl", "restart", "gomd")
    assert OLDER in version(machine)
    number = detached(machine, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done")
    pid = job(machine, number)["pid"]
    count = "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo $i; [ -e /tmp/enough ] || sleep 0.1; done"
    looked_at = subprocess.Popen(
        machine.command("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--", "gom", "run",
                        "sh", "-c", count),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        install(machine)
        assert active(machine)
        assert OLDER not in version(machine)
        row = job(machine, number)
        assert (row["pid"], row["state"]) == (pid, "running")
        machine.run("touch", "/tmp/enough")
        output, _nothing = looked_at.communicate(timeout=120)
        assert looked_at.returncode == 0
        assert output.split() == [str(each) for each in range(1, 601)]
    finally:
        looked_at.kill()
        looked_at.wait()
        machine.run("rm", "-f", "/tmp/enough")
    machine.run("gom", "kill", number, user="ann")


def test_a_downgrade_is_refused_in_a_sentence(machine: Machine) -> None:
    """And the newer daemon goes on. Whoever has a copy of STATE may insist."""
    install(machine, "next")
    said = install(machine, "new", "--allow-downgrades", check=False)
    assert not said.startswith("0\n")
    assert f"replace gomd {NEWER} by the older" in said
    assert active(machine)
    assert NEWER in version(machine)


def test_removed_it_keeps_what_was_made_and_jobs_run_on(machine: Machine) -> None:
    """Installed again it knows the job that still runs, and how the one has ended that has."""
    install(machine)
    machine.run(*INIT)
    machine.run("systemctl", "restart", "gomd")
    runs, ends = detached(machine, "sleep", "600"), detached(machine, "sh", "-c", "sleep 15; exit 7")
    pids = {number: job(machine, number)["pid"] for number in (runs, ends)}
    before = machine.run("cat", "/etc/gomd/gomd.ini", "/etc/gomd/key")
    apt(machine, "remove", "gomd", "gom", "python3-libgomd")
    assert not active(machine)
    assert machine.run("cat", "/etc/gomd/gomd.ini", "/etc/gomd/key") == before
    assert exists(machine, "/var/lib/gomd/jobs")
    assert args_of(machine, pids[runs]) == "sleep 600"
    wait_until(lambda: not args_of(machine, pids[ends]))
    install(machine)
    assert (job(machine, runs)["pid"], job(machine, runs)["state"]) == (pids[runs], "running")
    assert job(machine, ends)["exit"] == 7
    machine.run("gom", "kill", runs, user="ann")


def test_purged_it_leaves_nothing(machine: Machine) -> None:
    """The jobs end, even one that ignores TERM; settings, key and STATE are deleted."""
    install(machine)
    machine.run(*INIT)
    machine.run("systemctl", "restart", "gomd")
    stubborn = "trap '' TERM; setsid sleep 601 & while :; do sleep 600; done"
    numbers = [detached(machine, "sleep", "600"), detached(machine, "sh", "-c", stubborn)]
    pids = [job(machine, number)["pid"] for number in numbers]
    other = subprocess.Popen(machine.command("sleep", "602"), stdin=subprocess.DEVNULL)
    try:
        apt(machine, "purge", "gomd")
        assert [args_of(machine, pid) for pid in pids] == ["", ""]
        left = machine.run("ps", "-e", "-o", "args=").splitlines()
        assert not [line for line in left if ("sleep 60" in line and "602" not in line) or "gomd" in line]
        assert "sleep 602" in left, "a process that gomd has not started was ended"
    finally:
        other.kill()
        other.wait()
    for path in ("/etc/gomd", "/var/lib/gomd", "/run/gomd", "/etc/logrotate.d/gomd", "/var/log/gomd.log"):
        assert not exists(machine, path), path
    assert "gomd.service" not in machine.run("systemctl", "list-unit-files", "gomd.service", check=False)


def test_purged_where_state_is_a_link(machine: Machine) -> None:
    """STATE on another disk: its jobs end and it is deleted there; the link is gone as well."""
    install(machine)
    machine.run("systemctl", "stop", "gomd")
    machine.run("mv", "/var/lib/gomd", "/srv/gomd-state")
    machine.run("ln", "-s", "/srv/gomd-state", "/var/lib/gomd")
    # systemd itself follows no such link: docs/service.md
    machine.write("/etc/systemd/system/gomd.service.d/state.conf", "[Service]\nStateDirectory=\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "gomd")
    assert active(machine)
    pid = job(machine, detached(machine, "sleep", "603"))["pid"]
    apt(machine, "purge", "gomd")
    assert args_of(machine, pid) == ""
    machine.run("rm", "-r", "/etc/systemd/system/gomd.service.d")
    machine.run("systemctl", "daemon-reload")
    assert not exists(machine, "/srv/gomd-state")
    assert machine.try_("test", "-L", "/var/lib/gomd").returncode != 0


def test_a_purge_follows_no_link_to_what_is_not_gomds(machine: Machine) -> None:
    """A link to a directory without a lock of the daemon's is removed, and the directory is not."""
    install(machine)
    machine.run("systemctl", "stop", "gomd")
    machine.run("rm", "-r", "/var/lib/gomd")
    machine.write("/srv/precious/data", "kept")
    machine.run("ln", "-s", "/srv/precious", "/var/lib/gomd")
    apt(machine, "purge", "gomd")
    assert machine.run("cat", "/srv/precious/data") == "kept"
    assert machine.try_("test", "-L", "/var/lib/gomd").returncode != 0
    machine.run("rm", "-r", "/srv/precious")


def test_the_library_and_gom_without_the_daemon(machine: Machine) -> None:
    """A machine that only asks others needs neither Twisted nor the daemon."""
    apt(machine, "autoremove", "--purge")
    packages = machine.run("sh", "-c", "echo /src/new/gom_*.deb /src/new/python3-libgomd_*.deb").split()
    apt(machine, "install", "--no-install-recommends", *packages)
    assert machine.run("gom", "--version").strip()
    assert machine.try_("python3", "-c", "import twisted").returncode != 0
    machine.run("python3", "-c", "import libgomd.blocking")
    said = machine.try_("gom", "load")
    assert said.returncode == 3
    assert "gomd" in said.stderr
