"""NVIDIA's own Python binding, loaded by the child process with a driver's library that the test compiles."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gomd.sources.linux import nvml_child
from gomd.sources.linux.gpus import Gpus
from libgomd.errors import SourceUnavailable

SOURCE = Path(__file__).with_name("nvml_library.c")
GIB = 1 << 30


@contextmanager
def cards(home: Path, *flags: str) -> Iterator[Gpus]:
    """Yield the cards of a machine with the driver; ``flags`` of the compiler say which driver it is."""
    library = home / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", *flags, "-o", library, SOURCE], check=True, timeout=60)
    device = home / "nvidiactl"
    device.touch()
    command = (sys.executable, "-I", nvml_child.__file__)
    read = Gpus(str(device), command, {"LD_LIBRARY_PATH": str(home)}, deadline=30)
    try:
        yield read
    finally:
        read.close()


@pytest.mark.parametrize("version", ["_v3", "_v2", ""], ids=["R510 and newer", "R450 to R495", "older"])
def test_what_the_cards_of_each_driver_tell(tmp_path: Path, version: str) -> None:
    """Each value, and the memory of each process whatever the driver calls that function."""
    flag = f"-DPROCESSES(kind)=nvmlDeviceGet##kind##RunningProcesses{version}"
    if not version:
        flag = "-DNO_PROCESSES"
    with cards(tmp_path, flag) as read:
        values = {(each.name, each.labels["gpu"]): each.value for each in read.read()}
        names = [each.labels["name"] for each in read.read() if each.name == "gpu_info"]
        memory = read.memory_by_pid()
    same = {
        "gpu_info": 1.0, "gpu_memory_used_bytes": 3 * GIB, "gpu_memory_total_bytes": 16 * GIB,
        "gpu_power_watts": 70.5,
    }  # fmt: skip
    assert {name: value for (name, gpu), value in values.items() if gpu == "0"} == {
        **same, "gpu_utilization_ratio": 0.37, "gpu_temperature_celsius": 60
    }  # fmt: skip
    assert {name: value for (name, gpu), value in values.items() if gpu == "1"} == {
        **same, "gpu_temperature_celsius": 61
    }  # fmt: skip
    assert names == ["NVIDIA T0", "NVIDIA T1"]
    assert memory == ({42: 0, 43: 3 * GIB} if version else {})


def test_a_driver_that_is_not_loaded_says_so(tmp_path: Path) -> None:
    """In NVIDIA's own words."""
    with (
        cards(tmp_path, "-DNO_PROCESSES", "-DNO_DRIVER") as read,
        pytest.raises(SourceUnavailable, match="the GPUs cannot be read: Driver Not Loaded"),
    ):
        list(read.read())
