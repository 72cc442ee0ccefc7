"""CPU time and memory are those of the whole tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from benchmarks.serving import processes

# A parent that does nothing, its child that burns 0.2 s of CPU in a thread that then ends, a grandchild with 64 MiB.
GRANDCHILD = "data = bytearray(b'x') * (64 << 20); print('ready', flush=True); input()"
CHILD = f"""
import subprocess, sys, threading, time
def burn():
    while time.thread_time() < 0.2:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
subprocess.run([sys.executable, "-c", {GRANDCHILD!r}])
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def family() -> Iterator[int]:
    """The process id of the parent, once the grandchild is ready."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid
    process.communicate(b"\n")


def test_the_tree_holds_children_and_grandchildren(family: int) -> None:
    assert len(processes.tree([family])) == 3
    assert os.getpid() not in processes.tree([family])


def test_cpu_time_counts_the_whole_tree_and_threads_that_have_ended(family: int) -> None:
    spent = processes.CpuTime.of([family]).since(processes.CpuTime({}))
    assert 0.2 <= spent < 5.0
    alone = processes.CpuTime.of([family]).seconds[family]
    assert alone < spent - 0.2


def test_cpu_time_agrees_with_the_kernel_in_hundredths(family: int) -> None:
    told = 0
    for pid in processes.tree([family]):
        with open(f"/proc/{pid}/stat") as file:
            told += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    spent = processes.CpuTime.of([family]).since(processes.CpuTime({}))
    # Each of three processes rounds user and system time down to 10 ms.
    assert told / os.sysconf("SC_CLK_TCK") == pytest.approx(spent, abs=0.07)


def test_what_was_spent_before_the_window_is_not_counted(family: int) -> None:
    before = processes.CpuTime.of([family])
    assert processes.CpuTime.of([family]).since(before) < 0.1


def test_cpu_time_of_children_that_ended_meanwhile_stays_counted() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print(1, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    spent = processes.CpuTime.of([process.pid]).since(processes.CpuTime({}))
    process.communicate(b"\n")
    assert spent >= 0.2


BURN = "import time\nwhile time.process_time() < 0.2: pass"


def test_memory_counts_the_whole_tree(family: int) -> None:
    memory = processes.Memory.of([family])
    assert memory.pss >= 64
    assert memory.rss >= memory.pss


def test_who_listens_is_found_by_the_port() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert processes.listeners(port) == [os.getpid()]
    assert processes.listeners(port) == []
