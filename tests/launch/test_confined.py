"""What a command gives up before it is one, tried with small programs of the system."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lepton.launch.cgroups import ControlGroup
from lepton.launch.child import Child, Limits
from lepton.launch.confined import Confinement
from lepton.launch.redact import Redactor
from lepton.runs.records import LaunchExit
from lepton.testing.engines import eventually, is_running

ENDLESS = Limits(memory_bytes=0, timeout_s=0, grace_s=0.5)


def confinement(folder: Path, *argv: str, **more: object) -> Confinement:
    values: dict[str, object] = {
        "argv": list(argv), "environment": {"PATH": "/usr/bin:/bin"}, "folder": str(folder), "readable": [],
        "writable": [str(folder)], "user": None, "locked": True, **more,
    }  # fmt: skip
    return Confinement(**values)  # type: ignore[arg-type]


def started(
    confined: Confinement, limits: Limits = ENDLESS, group: ControlGroup | None = None
) -> tuple[int, list[str]]:
    lines: list[bytes] = []
    child = Child(confined, limits, redactor=Redactor([]), write=lines.append, group=group)
    code = child.run(threading.Event())
    return code, b"".join(lines).decode().splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_where_we_are_root_a_command_is_somebody_else_without_any_powers(tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(0o755)
    os.chown(tmp_path, 45_678, 45_678)
    script = "id -u; id -g; id -G; grep -E 'CapEff|CapPrm|CapBnd|NoNewPrivs' /proc/self/status; ulimit -u; ulimit -c"
    code, lines = started(confinement(tmp_path, "bash", "-c", script, user=45_678, locked=False, processes=77))
    assert code == 0
    assert lines[:3] == ["45678"] * 3
    assert lines[3:6] == ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", lines[5]]
    assert lines[-3:] == ["NoNewPrivs:\t1", "77", "0"]


def test_files_are_limited_and_processors_are_chosen(tmp_path: Path) -> None:
    script = "ulimit -n; grep Cpus_allowed_list /proc/self/status"
    first = min(os.sched_getaffinity(0))
    _, lines = started(confinement(tmp_path, "bash", "-c", script, files=99, cpus=[first]))
    assert lines == ["99", f"Cpus_allowed_list:\t{first}"]


def test_only_its_own_folder_can_be_written(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    (other / "file").write_text("x")
    script = f"echo 1 > a && cat {own}/a; cat {other}/file; echo 1 > {other}/b; ls {other}; echo > /dev/null && echo ok"
    _, lines = started(confinement(own, "bash", "-c", script))
    assert lines[0] == "1"
    assert lines[-1] == "ok"
    assert sum("Permission denied" in line for line in lines) == 3
    assert [path.name for path in other.iterdir()] == ["file"]


def test_it_ends_with_the_launcher_however_that_ends(tmp_path: Path) -> None:
    code = f"""
import threading
from lepton.launch.child import Child, Limits
from lepton.launch.confined import Confinement
from lepton.launch.redact import Redactor
import sys
confined = Confinement(["sleep", "60"], {{"PATH": "/usr/bin:/bin"}}, {str(tmp_path)!r}, [], [], None, True)
child = Child(confined, Limits(0, 0, 1), redactor=Redactor([]), write=sys.stdout.buffer.write)
print(child._process.pid, flush=True)
child.run(threading.Event())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        handle = os.pidfd_open(pid)
        launcher.send_signal(signal.SIGKILL)
        assert select.select([handle], [], [], 10)[0], "the command has ended too"
        os.close(handle)


def test_a_command_that_does_not_listen_is_ended_after_its_time_to_do_so(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=0, timeout_s=0.3, grace_s=0.3)
    code, lines = started(
        confinement(tmp_path, "bash", "-c", "trap 'echo no' TERM; while true; do sleep 0.1; done"), limits
    )
    assert code == LaunchExit.TIMED_OUT
    assert "no" in lines


def test_a_command_that_does_nothing_is_ended_if_that_was_asked_for(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=0, timeout_s=0, grace_s=0.3, hang_timeout_s=1)
    assert started(confinement(tmp_path, "sleep", "60"), limits) == (LaunchExit.SILENT, [])
    talks = "for n in 1 2 3 4 5 6; do sleep 0.5; echo $n; done"
    assert started(confinement(tmp_path, "bash", "-c", talks), limits) == (0, list("123456"))


def test_a_command_that_is_stopped_is_noticed_within_ten_seconds_and_ended_with_all_it_has_started(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    code, lines = started(confinement(tmp_path, "bash", "-c", "sleep 61 & echo $!; kill -STOP $$; echo never"))
    assert code == LaunchExit.HUNG
    pid, why = lines
    assert re.fullmatch(r"\[the command hangs and is ended: its process \d+ was stopped by a signal .* for 8 s\]", why)
    eventually(lambda: not is_running(int(pid)), "what it had started is gone")
    # 10 s, and half as long again for a machine that has other tests to run.
    assert 7 < time.monotonic() - began < 15


def test_what_is_no_program_is_told(tmp_path: Path) -> None:
    code, lines = started(confinement(tmp_path, "no-such-program"))
    assert (code, lines) == (
        LaunchExit.NOT_STARTED,
        ["[no-such-program could not be started: No such file or directory]"],
    )


def test_what_it_becomes_is_in_no_argument(tmp_path: Path) -> None:
    confined = confinement(
        tmp_path, "cat", "/proc/self/cmdline", environment={"PATH": "/bin:/usr/bin", "KEY": "hidden"}
    )
    assert "hidden" not in repr(confined)
    _, lines = started(confined)
    assert lines == ["cat\0/proc/self/cmdline\0"]


def mounted(folder: Path, *, delegated: bool = True) -> Path:
    """Lay out what a mount of control groups shows us, as this machine may have none."""
    (folder / "us").mkdir()
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    if not delegated:
        (folder / "us").rmdir()
    return folder


def test_a_control_group_gets_the_limits(tmp_path: Path) -> None:
    root = mounted(tmp_path)
    group = ControlGroup.make("run", memory_bytes=512 << 20, cpus=1.5, processes=99, root=root, own="/us")
    assert group is not None
    made = root / "us" / "run"
    wanted = {"memory.max": str(512 << 20), "memory.swap.max": "0", "cpu.max": "150000 100000", "pids.max": "99"}
    assert {name: (made / name).read_text() for name in wanted} == wanted
    assert group.entrance == str(made / "cgroup.procs")
    assert not group.ran_out_of_memory()
    (made / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n")
    assert group.ran_out_of_memory()


def test_where_no_control_groups_are_ours_there_is_none(tmp_path: Path) -> None:
    assert ControlGroup.make("run", memory_bytes=1, cpus=1, processes=1, root=tmp_path, own="/us") is None
    root = mounted(tmp_path, delegated=False)
    assert ControlGroup.make("run", memory_bytes=1, cpus=1, processes=1, root=root, own="/us") is None


def test_a_kill_by_the_kernel_in_a_control_group_is_one_for_want_of_memory(tmp_path: Path) -> None:
    root = mounted(tmp_path)
    (tmp_path / "work").mkdir()
    group = ControlGroup.make("run", memory_bytes=0, cpus=1, processes=9, root=root, own="/us")
    assert group is not None
    (root / "us" / "run" / "memory.events").write_text("oom_kill 1\n")
    confined = confinement(tmp_path / "work", "bash", "-c", "kill -KILL $$", cgroup=group.entrance)
    assert started(confined, group=group)[0] == LaunchExit.OUT_OF_MEMORY
    assert (root / "us" / "run" / "cgroup.procs").read_text().isdecimal()
