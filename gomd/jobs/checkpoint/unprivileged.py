"""Runs criu under the ids of the job's user, where root lacks a capability that criu needs."""

from __future__ import annotations

from typing import Final

from libgomd.errors import CannotMove

_SYS_RESOURCE: Final = 24
#: The kernel's capabilities in the order of their numbers, as setpriv names them.
_CAPABILITIES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control",
    "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
    "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip


def command_prefix(pid: int) -> list[str]:
    """
    Return the command that runs criu under the ids of ``pid`` with root's capabilities.

    Empty where root has CAP_SYS_RESOURCE, or where the process is root's (docs/migration.md).

    :raises CannotMove: it has ended.
    """
    mask = _capabilities()
    if mask >> _SYS_RESOURCE & 1:
        return []
    status = _status(str(pid))
    uid, gid = status["Uid"].split()[0], status["Gid"].split()[0]
    if uid == gid == "0":
        return []
    words = ",".join(f"+{name}" for number, name in enumerate(_CAPABILITIES) if mask >> number & 1)
    caps = ("--inh-caps", words, "--ambient-caps", words)
    return ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", *caps]


def has_capability(number: int) -> bool:
    """Return whether this process has a capability of the kernel's. Blocks briefly."""
    return bool(_capabilities() >> number & 1)


def _capabilities() -> int:
    return int(_status("self")["CapEff"], 16)


def _status(pid: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace", newline="\n") as file:
            return dict(line.split(":", 1) for line in file.read(65536).split("\n") if ":" in line)
    except OSError:
        raise CannotMove("it has ended") from None
