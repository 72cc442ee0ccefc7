"""Images, plots and tables of other libraries, as `lepton.start_run` keeps them; and GPUs as NVML tells of them."""

from __future__ import annotations

import ctypes
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import lepton
from lepton.client.machine import Gpus
from lepton.client.pictures import image, table
from lepton.client.recording import TrackedRun
from lepton.core.errors import InvalidInput


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackedRun:
    """A run where there is no platform: it is recorded into one that `start_run` opens in this process."""
    for name in ("LEPTON_CATALOG", "LEPTON_RUN_ID", "LEPTON_URL", "LEPTON_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "home"))
    return lepton.start_run("pictures", system_metrics=False)


def kept(run: TrackedRun, path: str, tmp_path: Path) -> bytes:
    run.end()
    with lepton.open(tmp_path / "home") as client:
        assert client.runs.get(run.id).state == "succeeded"
        return client.runs.get_artifact(run.id, path)


def test_a_figure_of_matplotlib_is_kept_as_a_png(run: TrackedRun, tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([1, 2, 3])
    run.plot("curve", figure)
    with Image.open(io.BytesIO(kept(run, "plots/curve.png", tmp_path))) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (100, 50))


def test_an_image_of_pil_is_kept_as_it_was(run: TrackedRun, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3, 2), (10, 20, 30, 40))
    run.image("small", picture)
    with Image.open(io.BytesIO(kept(run, "images/small.png", tmp_path))) as found:
        assert found.getpixel((2, 1)) == (10, 20, 30, 40)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 9), width=st.integers(1, 9))
def test_an_array_reads_back_with_another_library(mode: str, seed: int, height: int, width: int) -> None:
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    suffix, data = image(pixels)
    with Image.open(io.BytesIO(data)) as found:
        assert (suffix, found.mode) == (".png", mode)
        assert (np.asarray(found) == pixels).all()


def test_floats_from_0_to_1_are_pixels_too() -> None:
    _, data = image(np.array([[0.0, 0.5, 1.0, 2.0, -1.0]]))
    with Image.open(io.BytesIO(data)) as found:
        assert np.asarray(found).tolist() == [[0, 128, 255, 255, 0]]


@pytest.mark.parametrize("wrong", ["a text", np.zeros((2, 2, 2)), np.zeros(3), None])
def test_what_is_no_image_is_refused_with_its_shape(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="is no image"):
        image(wrong)


ROWS: list[dict[str, Any]] = [{"word": "a", "count": 1, "share": 0.5}, {"word": "ü", "count": 2, "share": None}]


@pytest.mark.parametrize("kind", [list, pl.DataFrame, pa.Table.from_pylist], ids=["dicts", "polars", "arrow"])
def test_a_table_of_any_library_is_kept_as_columns_and_rows(kind: Any, run: TrackedRun, tmp_path: Path) -> None:
    run.table("words", kind(ROWS))
    found = json.loads(kept(run, "tables/words.json", tmp_path))
    assert found == {"columns": ["word", "count", "share"], "rows": [["a", 1, 0.5], ["ü", 2, None]]}


def test_a_pandas_frame_is_kept_with_its_types(run: TrackedRun, tmp_path: Path) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-02"]), "n": np.array([3], dtype=np.int8), "x": [np.nan]})
    run.table("typed", frame)
    found = json.loads(kept(run, "tables/typed.json", tmp_path))
    assert found["columns"] == ["at", "n", "x"]
    ((at, n, x),) = found["rows"]
    assert at.startswith("2026-01-02")
    assert (n, x) == (3, None)


def test_names_that_are_no_texts_find_their_values() -> None:
    assert table([{1: "a", "b": 2}, {"b": 3}]) == (["1", "b"], [["a", 2], [None, 3]])


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="A dict is no table"):
        table({"a": [1]})


class FakeNvml:
    """Two GPUs, as the functions of NVIDIA's library tell of them; the second does not know its power."""

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: ctypes.c_uint, handle: Any) -> int:  # noqa: N802
        handle._obj.value = number.value + 1
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle: ctypes.c_void_p, use: Any) -> int:  # noqa: N802
        use._obj.gpu = 40 * int(handle.value or 0)
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:  # noqa: N802
        memory._obj.total, memory._obj.used = 80 << 30, (20 << 30) * int(handle.value or 0)
        return 0

    def nvmlDeviceGetPowerUsage(self, handle: ctypes.c_void_p, power: Any) -> int:  # noqa: N802
        power._obj.value = 250_000
        return 0 if handle.value == 1 else 3


def test_gpus_are_measured_where_there_are_some() -> None:
    assert Gpus(FakeNvml()).measure() == {
        "system/gpu0_percent": 40.0, "system/gpu0_memory_mib": 20480.0, "system/gpu0_memory_percent": 25.0,
        "system/gpu0_watts": 250.0,
        "system/gpu1_percent": 80.0, "system/gpu1_memory_mib": 40960.0, "system/gpu1_memory_percent": 50.0,
    }  # fmt: skip


def test_where_there_is_no_driver_nothing_is_said_of_gpus() -> None:
    assert Gpus(None).measure() == {}
