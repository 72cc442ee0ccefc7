"""How busy this machine is: processors, memory, disk, GPUs. Read from /proc and NVML; what is not there is left out."""

from __future__ import annotations

import ctypes
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any


class Machine:
    """Measures; shares of time are since the measurement before."""

    def __init__(self) -> None:
        self._gpus = Gpus(_nvml())
        self._busy = _processor_ticks()
        self._moved = _disk_sectors()

    def measure(self) -> dict[str, float]:
        """Return what can be measured now, by the name of its curve."""
        found: dict[str, float] = {}
        before, self._busy = self._busy, _processor_ticks()
        if before and self._busy and self._busy[1] > before[1]:
            found["system/cpu_percent"] = 100 * (self._busy[0] - before[0]) / (self._busy[1] - before[1])
        memory = _memory()
        if "MemTotal" in memory:
            used = memory["MemTotal"] - memory.get("MemAvailable", 0)
            found["system/memory_percent"] = 100 * used / memory["MemTotal"]
            found["system/memory_used_mib"] = used / 1024
        own = _own_memory_mib()
        if own is not None:
            found["system/process_memory_mib"] = own
        with suppress(OSError):
            disk = shutil.disk_usage(Path.cwd())
            found["system/disk_percent"] = 100 * disk.used / disk.total
        moved, self._moved = self._moved, _disk_sectors()
        if moved and self._moved:
            found["system/disk_read_mib"] = max(0, self._moved[0] - moved[0]) / 2048
            found["system/disk_written_mib"] = max(0, self._moved[1] - moved[1]) / 2048
        return found | self._gpus.measure()


class Gpus:
    """The GPUs of this machine, asked through ctypes (https://docs.nvidia.com/deploy/nvml-api/).

    Args:
        nvml: The library of NVIDIA's driver; None where there is none.
    """

    class _Use(ctypes.Structure):
        _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))

    class _Memory(ctypes.Structure):
        _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))

    def __init__(self, nvml: Any | None) -> None:
        self._handles: list[ctypes.c_void_p] = []
        self._nvml = nvml
        count = ctypes.c_uint()
        if nvml is None or nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return
        for number in range(count.value):
            handle = ctypes.c_void_p()
            if not nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(handle)):
                self._handles.append(handle)

    def measure(self) -> dict[str, float]:
        """Return what can be measured now, by the name of its curve."""
        found: dict[str, float] = {}
        nvml: Any = self._nvml
        for number, handle in enumerate(self._handles):
            use, memory, power = self._Use(), self._Memory(), ctypes.c_uint()
            if not nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)):
                found[f"system/gpu{number}_percent"] = float(use.gpu)
            if not nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
                found[f"system/gpu{number}_memory_mib"] = memory.used / 2**20
                found[f"system/gpu{number}_memory_percent"] = 100 * memory.used / memory.total
            if not nvml.nvmlDeviceGetPowerUsage(handle, ctypes.byref(power)):
                found[f"system/gpu{number}_watts"] = power.value / 1000
        return found


def _nvml() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None


def _lines(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(path).read_text().splitlines()]
    except OSError:
        return []


def _processor_ticks() -> tuple[int, int] | None:
    """Busy and all ticks of all processors since the machine started."""
    for words in _lines("/proc/stat"):
        if words and words[0] == "cpu":
            ticks = [int(word) for word in words[1:9]]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
    return None


def _memory() -> dict[str, int]:
    return {words[0].rstrip(":"): int(words[1]) for words in _lines("/proc/meminfo") if len(words) > 1}


def _own_memory_mib() -> float | None:
    pages = _lines("/proc/self/statm")
    return int(pages[0][1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else None


def _disk_sectors() -> tuple[int, int] | None:
    """Sectors of 512 bytes that whole disks have read and written."""
    folder = Path("/sys/block")
    disks = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    rows = [words for words in _lines("/proc/diskstats") if len(words) > 9 and words[2] in disks]
    rows = [words for words in rows if not words[2].startswith(("loop", "ram"))]
    return (sum(int(words[5]) for words in rows), sum(int(words[9]) for words in rows)) if rows else None
