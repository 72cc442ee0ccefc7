"""Rows on the disk are the same rows as those in memory, in an order of their own, and nobody else can read them."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.trainer import spool as module
from lepton.trainer.spool import Spool, SpooledPart
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Features, Part


def _spooled(features: Features, folder: Path, *, longest: int = 0, cuts: int = 7, seed: int = 0) -> SpooledPart:
    spool = Spool(folder, features.shape[1])
    for piece in np.array_split(features, cuts):
        spool.append(piece)
    return SpooledPart(spool, np.arange(len(features)), longest=longest, seed=seed)


def _numbered(rows: int, width: int = 3) -> Features:
    """Rows whose first column is their number."""
    matrix = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    matrix[:, 0] = np.arange(rows)
    return matrix


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of ten rows of three columns, in windows of four."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 120)
    monkeypatch.setattr(module, "WINDOW_BYTES", 480)


@given(
    rows=st.integers(1, 300), size=st.integers(1, 90), more=st.integers(0, 2), epoch=st.none() | st.integers(0, 3),
    cuts=st.integers(1, 9),
)  # fmt: skip
def test_an_epoch_has_each_row_once_with_its_target_and_as_many_batches_as_in_memory(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, more: int, epoch: int | None, cuts: int
) -> None:
    features = _numbered(rows)
    part = _spooled(features, tmp_path_factory.getbasetemp(), longest=rows + more, cuts=cuts)
    memory = Part(features, np.arange(rows), longest=rows + more)
    found = list(part.batches(size, epoch=epoch))
    assert [len(targets) for _, targets in found] == [len(t) for _, t in memory.batches(size, epoch=epoch)]
    assert len(found) == part.steps(size) == memory.steps(size)
    targets = np.concatenate([one for _, one in found])
    assert sorted(targets[:rows]) == list(range(rows))
    assert (np.concatenate([one for one, _ in found]) == features[targets]).all()
    if epoch is None:
        assert targets[:rows].tolist() == list(range(rows))


@given(rows=st.integers(1, 300), size=st.integers(1, 90), skip=st.integers(0, 30))
def test_an_epoch_goes_on_where_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, skip: int
) -> None:
    part = _spooled(_numbered(rows), tmp_path_factory.getbasetemp())
    whole = [targets.tolist() for _, targets in part.batches(size, epoch=5)]
    assert [targets.tolist() for _, targets in part.batches(size, epoch=5, skip=skip)] == whole[skip:]


def test_epochs_and_seeds_have_orders_of_their_own_and_a_window_is_mixed_from_all_over(tmp_path: Path) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        part = _spooled(_numbered(2000), tmp_path, seed=seed)
        return np.concatenate([targets for _, targets in part.batches(64, epoch=epoch)]).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    first = np.array(order(0, 0)[:40])
    assert len(set(first // 10)) == 4  # the window's blocks
    assert (np.diff(first) != 1).mean() > 0.8  # neighbors are apart: 1 in 40 is next to its own by chance


def test_what_a_batch_gave_stays_as_it_was_while_more_are_taken(tmp_path: Path) -> None:
    features = _numbered(500)
    kept = list(_spooled(features, tmp_path).batches(8, epoch=1))
    assert all((one == features[targets]).all() for one, targets in kept)


def test_two_epochs_at_a_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    features = _numbered(200)
    part = _spooled(features, tmp_path)
    for (one, at), (other, there) in zip(part.batches(7, epoch=0), part.batches(7, epoch=1), strict=True):
        assert (one == features[at]).all()
        assert (other == features[there]).all()


def test_an_epoch_that_is_left_can_be_begun_again(tmp_path: Path) -> None:
    part = _spooled(_numbered(500), tmp_path)
    begun = [targets.tolist() for _, targets in islice(part.batches(8, epoch=1), 3)]
    assert [targets.tolist() for _, targets in islice(part.batches(8, epoch=1), 3)] == begun


def test_all_rows_come_in_their_order(tmp_path: Path) -> None:
    features = _numbered(123)
    part = _spooled(features, tmp_path)
    assert (part.matrix()[0] == features).all()
    assert (np.concatenate([block for block, _ in part.blocks()]) == features).all()
    assert np.concatenate([targets for _, targets in part.blocks()]).tolist() == list(range(123))


def test_the_file_has_no_name_and_none_of_the_values_in_it(tmp_path: Path) -> None:
    features = np.full((100, 3), 1234.5, np.float32)
    spool = Spool(tmp_path, 3)
    spool.append(features)
    assert not list(tmp_path.iterdir())
    stored = os.pread(spool._file.fileno(), 1 << 20, 0)
    assert len(stored) > 1000
    assert np.float32(1234.5).tobytes() not in stored


def test_a_worker_without_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="fewer workers"):
        SpooledPart(Spool(tmp_path, 3), np.empty(0), longest=0, seed=0)
