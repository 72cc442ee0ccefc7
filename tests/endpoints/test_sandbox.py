"""What a user's class may not do to the machine, and what it cannot do to the worker."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from endpoints.test_batcher import Asked

from lepton.core.confine import Limits
from lepton.core.errors import Internal, Unavailable
from lepton.endpoints.replica.batcher import Batcher
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.sandbox import PythonRuntime
from lepton.models.bundle import pack
from lepton.models.prediction import decode_rows
from lepton.testing.engines import eventually, is_running
from lepton.testing.runtimes import NUMERIC

ROW = [{"area": 2.0, "rooms": 1}]


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def running(predict: str, *, load: str = "pass", **options: Any) -> Iterator[PythonRuntime]:
    """A class whose two methods have these bodies."""
    code = "import os, sys, signal, socket, time\nfrom pathlib import Path\nimport numpy as np\n\nclass Model:\n"
    for name, body in (("load(self, folder)", load), ("predict(self, batch)", predict)):
        code += f"    def {name}:\n" + textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
    runtime = PythonRuntime(pack({"model.py": code.encode(), "data/weights": b"w" * 10}), NUMERIC, **options)
    try:
        yield runtime
    finally:
        runtime.close()


def ask(runtime: PythonRuntime) -> float:
    """What the class says of one row."""
    return float(runtime.predict(decode_rows(NUMERIC, ROW))["prediction"][0])


def found_out(expression: str, **options: Any) -> float:
    """Evaluate an expression inside: its value, or -1 if the system says no."""
    predict = f"""
        try:
            return np.full(len(batch["area"]), float({expression}))
        except (OSError, MemoryError) as error:
            return np.full(len(batch["area"]), -1.0)
    """
    with running(predict, **options) as runtime:
        return ask(runtime)


def test_a_class_has_its_files_in_a_folder_of_its_own_and_may_write_there() -> None:
    assert found_out("len(Path('data/weights').read_bytes()) + Path('new').write_text('abc')") == 13


def test_it_reads_no_file_of_its_user(tmp_path: Path) -> None:
    root_key = tmp_path / "root.key"
    root_key.write_bytes(secrets.token_bytes(32))
    assert found_out(f"len(Path({str(root_key)!r}).read_bytes())") == -1
    assert found_out(f"len(os.listdir({str(tmp_path)!r}))") == -1
    assert found_out(f"Path({str(tmp_path / 'new')!r}).write_text('x')") == -1
    assert found_out("len(Path('/etc/shadow').read_bytes())") == -1


def test_it_cannot_look_into_the_worker_or_end_it() -> None:
    pid = os.getpid()
    assert found_out(f"len(open('/proc/{pid}/mem', 'rb').read(0) + open('/proc/{pid}/environ', 'rb').read())") == -1
    assert found_out(f"os.kill({pid}, 0) or 1") == -1
    assert found_out("os.kill(-1, 0) or 1") == -1


def test_it_reaches_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert found_out(f"socket.create_connection(('127.0.0.1', {port}), 2).fileno()") == -1
        assert found_out(f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))") == -1


def test_it_inherits_nothing_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_TOKEN", "secret")
    assert found_out("'LEPTON_TOKEN' in os.environ") == 0
    kept = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        # Standard streams, the channel, and the one that lists.
        assert found_out("len(os.listdir('/proc/self/fd')) - 5") == 0
    finally:
        os.close(kept)


def test_it_has_no_powers_and_gets_none() -> None:
    status = "[line.split()[1] for line in open('/proc/self/status') if line.startswith({!r})][0]"
    assert found_out("int(" + status.format("CapEff:") + ", 16)") == 0
    assert found_out(status.format("NoNewPrivs:")) == 1


@pytest.mark.parametrize(("predict", "why"), [
    ("time.sleep(60)", "took too long"),
    ("while True: pass", "took too long"),
    ("os._exit(3)", "ended"),
    ("import ctypes; ctypes.string_at(0)", "ended"),
    ("[os.write(fd, b'x' * 100) for fd in range(3, 10) if os.path.exists(f'/proc/self/fd/{fd}')]; time.sleep(60)",
     "no answer"),
], ids=["sleeps", "spins", "exits", "crashes", "garbage"])  # fmt: skip
def test_what_hangs_dies_or_talks_garbage_is_ended_and_started_again_with_pauses(predict: str, why: str) -> None:
    clock = FakeClock()
    broken = f"if batch['area'][0] == 2.0:\n    {predict}\nreturn batch['area']"
    fine = decode_rows(NUMERIC, [{"area": 5.0, "rooms": 1}])
    with running(broken, batch_s=1.0, clock=clock) as runtime:
        with pytest.raises(Unavailable, match=why):
            ask(runtime)
        assert runtime.predict(fine)["prediction"].tolist() == [5.0]  # started again at once
        with pytest.raises(Unavailable, match=why):
            ask(runtime)
        with pytest.raises(Unavailable, match="keeps ending"):
            runtime.predict(fine)
        clock.now_s += 2.0
        assert runtime.predict(fine)["prediction"].tolist() == [5.0]


def test_eating_memory_is_an_error_of_the_class_and_no_more() -> None:
    with running("return np.ones(1 << 30) if batch['area'][0] == 2.0 else batch['area']") as runtime:
        with pytest.raises(Internal, match="MemoryError in line"):
            ask(runtime)
        fine = decode_rows(NUMERIC, [{"area": 5.0, "rooms": 1}])
        assert runtime.predict(fine)["prediction"].tolist() == [5.0]


def test_filling_its_folder_is_bounded() -> None:
    assert found_out("Path('big').write_bytes(bytes(32 << 20))", limits=Limits(folder_bytes=16 << 20)) == -1


def test_the_processes_it_starts_end_with_it() -> None:
    mark = f"{secrets.randbelow(10**9) + 10**9}"
    start = f"""
        if os.fork() == 0:
            os.setsid()
            os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(600)", {mark!r}])
        return batch["area"]
    """
    with running(start) as runtime:
        ask(runtime)
        eventually(lambda: len(_processes_with(mark)) == 1, "what the class has started runs")
    eventually(lambda: not _processes_with(mark), "what the class has started has ended")


def test_a_class_that_raises_is_named_by_its_exception_and_line_without_its_text() -> None:
    with running("raise KeyError(str(batch['area']))") as runtime, pytest.raises(Internal) as caught:
        ask(runtime)
    assert caught.value.message == "The model's code raised KeyError in line 9 of model.py. Nothing was predicted."


@pytest.mark.parametrize(("files", "why"), [
    ({"model.py": b"class Model: pass"}, "AttributeError"),
    ({"model.py": b"x = 1"}, "AttributeError"),
    ({"model.py": b"def"}, "SyntaxError"),
    ({"model.py": b"import nowhere_at_all"}, "ModuleNotFoundError in line 1"),
    ({"model.py": b"import os; os._exit(0)"}, "ended"),
    ({"model.py": b"class Mine(ValueError): pass\nraise Mine('secret')"}, "ValueError in line 2"),
    ({"model.py": b"import time; time.sleep(60)"}, "too long"),
])  # fmt: skip
def test_code_that_cannot_be_loaded_is_one_sentence(files: dict[str, bytes], why: str) -> None:
    with pytest.raises(Internal, match=why) as caught:
        PythonRuntime(pack(files), NUMERIC, load_s=3.0)
    assert "secret" not in caught.value.message


def test_it_goes_with_the_worker_and_with_all_that_it_was() -> None:
    code = textwrap.dedent("""
        import os, signal
        from lepton.endpoints.replica.sandbox import PythonRuntime
        from lepton.models.bundle import pack
        from lepton.testing.runtimes import NUMERIC
        stubborn = b"import ctypes\\nctypes.CDLL(None).prctl(1, 0)\\nclass Model:\\n  def load(self, folder): pass"
        runtime = PythonRuntime(pack({"model.py": stubborn}), NUMERIC)
        guard = runtime._sandbox.process.pid
        children = open(f"/proc/{guard}/task/{guard}/children").read().split()
        print(guard, *children, runtime._sandbox._folder, flush=True)
        signal.pause()
    """)
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert worker.stdout is not None
    *numbers, folder = worker.stdout.readline().decode().split()
    pids = [int(number) for number in numbers]
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert len(pids) == 2
    eventually(lambda: not any(map(is_running, pids)), "guard and class have ended with the worker")
    assert not Path(folder).exists()


def test_a_class_that_hangs_stops_neither_the_loop_nor_who_comes_next() -> None:
    async def go() -> None:
        hang = "if batch['area'][0] == 2.0: time.sleep(60)\nreturn batch['area'] + batch['rooms']"
        with running(hang, batch_s=0.5) as runtime:
            batcher = Batcher(runtime, Shape(NUMERIC))
            first, second = Asked(2.0), Asked(3.0)
            batcher.submit(first)
            await asyncio.sleep(0)
            turns = 0
            while not first.told.is_set():
                await asyncio.sleep(0.01)
                turns += 1
            batcher.submit(second)
            await second.told.wait()
            batcher.close()
        assert turns > 5  # the loop went on
        assert isinstance(first.error, Unavailable)
        assert second.values == second.expected

    asyncio.run(go())


def test_rows_that_break_a_class_cost_no_other_request_of_the_batch() -> None:
    async def go() -> None:
        odd = "if 13.0 in batch['area']: raise ValueError\nreturn batch['area'] + batch['rooms']"
        with running(odd) as runtime:
            batcher = Batcher(runtime, Shape(NUMERIC))
            jobs = [Asked(1.0), Asked(13.0), Asked(2.0, 3.0)]
            for job in jobs:
                batcher.submit(job)
            await asyncio.gather(*(job.told.wait() for job in jobs))
            batcher.close()
        assert isinstance(jobs[1].error, Internal)
        assert [jobs[0].values, jobs[2].values] == [jobs[0].expected, jobs[2].expected]

    asyncio.run(go())


def test_where_namespaces_are_not_allowed_nothing_is_mounted_that_others_would_see(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        from lepton.core import confine
        for flag in ("_CLONE_NEWUSER", "_CLONE_NEWPID"):
            setattr(confine, flag, 1)  # no namespace is called so, and the system refuses
        separation = confine.separate()
        confine.hide_places(separation, {str(tmp_path / "own")!r}, keep=(), folder_bytes=1 << 20)
        print(separation.alone, "no namespaces" in separation.missing[-1])
    """)
    mounts = Path("/proc/self/mounts").read_text()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "False True\n"
    assert Path("/proc/self/mounts").read_text() == mounts
    assert (tmp_path / "own").is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can enter the other namespaces without one for users")
def test_root_needs_no_user_namespace() -> None:
    code = "from lepton.core import confine\nconfine._CLONE_NEWUSER = 1\nprint(confine.separate().alone)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def _processes_with(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in words and is_running(int(entry.name)):
                found.append(int(entry.name))
    return found
