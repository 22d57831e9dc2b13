"""The file of a migration message that says what a job needs on the target node: `Requirements` as JSON."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict
from typing import Any, Final

from gomd.jobs.checkpoint.inet_sockets import Port
from gomd.jobs.checkpoint.probes import MAX_PROBES, DirectoryProbe
from gomd.jobs.checkpoint.requirements import MAX_FILES, FileRequirement, Requirements
from gomd.jobs.migration.numbers import is_number
from libgomd.errors import CannotMove
from libgomd.jobspec import MAX_CARRIED
from libgomd.wire.frames import MalformedFrame

#: The name of the file.
REQUIREMENTS_FILE: Final = "needs.json"
#: Maximum size of the file in bytes; two thousand files with long names need less.
MAX_REQUIREMENTS_BYTES: Final = 16 << 20
_MAX_UID: Final = 1 << 32
_MAX_BYTES: Final = 1 << 62
_MAX_INODE: Final = 1 << 64


def encode_requirements(requirements: Requirements) -> bytes:
    """Return ``requirements`` as the bytes of the file. :raises CannotMove: they are too long for it."""
    values = asdict(requirements)
    del values["private_bytes"]  # it stands in the message: older nodes know no such name here
    del values["terminals"]
    if requirements.memory_max is None:
        del values[
            "memory_max"
        ]  # a node of an older version accepts a job without a limit, and refuses others
    if not requirements.carried:
        del values["carried"]  # the same
    data = json.dumps(values).encode("ascii")
    if len(data) > MAX_REQUIREMENTS_BYTES:
        raise CannotMove("it has too many files open for another node to check")
    return data


def decode_requirements(data: bytes) -> Requirements:
    """Return the requirements in a file. :raises MalformedFrame: for any other bytes, and nothing else."""
    if len(data) > MAX_REQUIREMENTS_BYTES:
        raise MalformedFrame(
            f"requirements of a job: {len(data)} bytes, at most {MAX_REQUIREMENTS_BYTES} are accepted"
        )
    try:
        values: dict[str, Any] = json.loads(data)
        values["files"] = tuple(FileRequirement(**each) for each in values["files"])
        values["probes"] = tuple(DirectoryProbe(**each) for each in values.get("probes", ()))
        values["limits"] = tuple((name, limit) for name, limit in values.get("limits", ()))
        values["carried"] = tuple(values.get("carried", ()))
        values["gids"] = tuple(values.get("gids", ()))
        values["ports"] = tuple(Port(*each) for each in values.get("ports", ()))
        requirements = Requirements(
            **values | {name: tuple(values[name]) for name in ("flags", "directories", "stays")}
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedFrame(f"invalid requirements of a job: {str(error)[:80]}") from error
    _check(requirements)
    return requirements


def _check(requirements: Requirements) -> None:
    """:raises MalformedFrame: a field has another type, or is out of its bounds."""
    texts = (
        requirements.machine, requirements.kernel, requirements.user, requirements.node, requirements.boot,
        requirements.criu,
        *(name for name, _limit in requirements.limits),
        *requirements.carried, *requirements.flags, *requirements.directories, *requirements.stays,
    )  # fmt: skip
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise MalformedFrame("requirements of a job: a text has another type, or a zero byte in it")
    if not (is_number(requirements.memory, _MAX_BYTES) and is_number(requirements.uid, _MAX_UID)):
        raise MalformedFrame("requirements of a job: a number has another type or size")
    if requirements.memory_max is not None and not is_number(requirements.memory_max, _MAX_BYTES):
        raise MalformedFrame("requirements of a job: its memory limit has another type or size")
    numbers = (requirements.huge, *(limit for _name, limit in requirements.limits))
    if not all(is_number(number, _MAX_BYTES) for number in numbers):
        raise MalformedFrame("requirements of a job: a limit has another type or size")
    if not all(is_number(gid, _MAX_UID) for gid in requirements.gids) or len(requirements.gids) > MAX_FILES:
        raise MalformedFrame("requirements of a job: invalid groups")
    if len(requirements.ports) > MAX_FILES or not all(map(_is_valid_port, requirements.ports)):
        raise MalformedFrame("requirements of a job: invalid description of a port")
    if len(requirements.probes) > MAX_PROBES or not all(map(_is_valid_probe, requirements.probes)):
        raise MalformedFrame("requirements of a job: invalid description of a probe")
    if len(requirements.carried) > MAX_CARRIED or not all(path[:1] == "/" for path in requirements.carried):
        raise MalformedFrame("requirements of a job: invalid carried paths")
    if len(requirements.files) > MAX_FILES or len(requirements.directories) > MAX_FILES:
        raise MalformedFrame(f"requirements of a job: more than {MAX_FILES} files or directories")
    if not all(map(_is_valid, requirements.files)):
        raise MalformedFrame("requirements of a job: invalid description of a file")


def _is_valid_port(port: Port) -> bool:
    try:
        ipaddress.ip_address(port.address)
    except ValueError:
        return False
    return (
        port.kind in ("tcp", "tcp6", "udp", "udp6")
        and isinstance(port.address, str)
        and type(port.port) is int
        and 0 <= port.port < 1 << 16
    )


def _is_valid(file: FileRequirement) -> bool:
    return (
        isinstance(file.path, str)
        and file.path.startswith("/")
        and "\0" not in file.path
        and is_number(file.size, _MAX_BYTES)
        and is_number(file.inode, _MAX_INODE)
        and all(isinstance(text, str) for text in (file.build_id, file.digest, file.volume))
        and all(
            isinstance(flag, bool)
            for flag in (file.written, file.whole, file.directory, file.there, file.denied, file.watched)
        )
        and is_number(file.near, _MAX_BYTES)
        and is_number(file.device, _MAX_INODE)
        and isinstance(file.mtime, int)
    )


def _is_valid_probe(probe: DirectoryProbe) -> bool:
    return (
        isinstance(probe.directory, str)
        and probe.directory.startswith("/")
        and isinstance(probe.name, str)
        and "\0" not in probe.directory + probe.name
        and is_number(probe.device, _MAX_INODE)
    )
