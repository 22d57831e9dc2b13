"""
The child process that asks NVIDIA's library: one line of JSON for each line on its standard input.

It is a process of its own because the library calls the driver, which may hang, and keeps the device open. It
ends when its standard input does. Run it as a script: it imports nothing of gomd.
"""

from __future__ import annotations

import json
import sys
from typing import Any

#: Cards, and processes of one card, that are told at most.
MAX_CARDS = 64
MAX_PROCESSES = 4096


def _value(call: Any, *arguments: Any) -> Any:
    """Return what a function of the library gives; None when this card, or its driver, does not have it."""
    try:
        return call(*arguments)
    except Exception:  # noqa: BLE001 - the library has an error class for each code; older ones lack functions
        return None


def _running(nvml: Any, kind: str, handle: Any) -> Any:
    """
    Return the processes of one card that compute or draw; none when neither version of the function is there.

    The binding calls version 3, which drivers have from R510 on; those from R450 on have version 2.
    """
    for version in ("", "_v2"):
        found = _value(getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses{version}", None), handle)
        if found is not None:
            return found
    return ()


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")


def read(nvml: Any) -> dict[str, Any]:
    """Return the values of all cards, and bytes of memory by process id."""
    cards: list[dict[str, Any]] = []
    processes: dict[int, int] = {}
    sensor = getattr(nvml, "NVML_TEMPERATURE_GPU", 0)
    for number in range(min(MAX_CARDS, nvml.nvmlDeviceGetCount())):
        handle = _value(nvml.nvmlDeviceGetHandleByIndex, number)
        if handle is None:
            continue
        rates, memory = (
            _value(getattr(nvml, name, None), handle)
            for name in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo")
        )
        cards.append({
            "number": number, "name": _text(_value(nvml.nvmlDeviceGetName, handle)),
            "uuid": _text(_value(nvml.nvmlDeviceGetUUID, handle)),
            "percent": getattr(rates, "gpu", None), "used": getattr(memory, "used", None),
            "total": getattr(memory, "total", None),
            "celsius": _value(nvml.nvmlDeviceGetTemperature, handle, sensor),
            "milliwatts": _value(nvml.nvmlDeviceGetPowerUsage, handle),
        })  # fmt: skip
        held: dict[int, int] = {}
        for kind in ("Compute", "Graphics"):  # a process may be in both lists, with the same memory
            for each in _running(nvml, kind, handle)[:MAX_PROCESSES]:
                held[each.pid] = max(held.get(each.pid, 0), each.usedGpuMemory or 0)
        for pid, used in held.items():
            processes[pid] = processes.get(pid, 0) + used
    return {"cards": cards, "processes": sorted(processes.items())}


def main() -> None:
    """Answer each line until there are no more."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except ImportError:
        answer: Any = {"missing": "nvidia-ml-py"}
        nvml = None
    except Exception as error:  # noqa: BLE001 - the driver and the library do not fit, or there is no card
        answer, nvml = {"error": str(error)[:200]}, None
    for _line in sys.stdin:
        if nvml is not None:
            try:
                answer = read(nvml)
            except Exception as error:  # noqa: BLE001 - a card that was lost: the parent says it and tries again
                answer = {"error": str(error)[:200]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
