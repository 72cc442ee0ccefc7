"""A bounded run of each fuzzer, always with the same seed. Longer ones: run the files themselves."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMITS = ("-seed=1", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="there is no atheris for this version of Python"
)


@pytest.mark.parametrize(("fuzzer", "runs"), [("fuzz_wire.py", 60_000), ("fuzz_bodies.py", 300_000)])
def test_no_input_breaks_what_reads_it(fuzzer: str, runs: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / fuzzer, f"-runs={runs}", *LIMITS, tmp_path / "corpus"],
        capture_output=True, text=True, errors="replace", cwd=tmp_path, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) >= runs


def test_a_fuzzer_notices_what_is_raised(tmp_path: Path) -> None:
    """Or it would pass whatever happens."""
    source = (HERE / "fuzz_bodies.py").read_text()
    source = source.replace("Path(__file__).parents[1]", repr(str(HERE.parent)))
    planted = "    if b'Paris' in data:\n        raise ZeroDivisionError('planted')\n    if not data:\n"
    (tmp_path / "broken.py").write_text(source.replace("    if not data:\n", planted))
    done = subprocess.run(
        [sys.executable, tmp_path / "broken.py", "-runs=1000", *LIMITS, tmp_path / "corpus"],
        capture_output=True, text=True, errors="replace", cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "planted" in done.stdout
