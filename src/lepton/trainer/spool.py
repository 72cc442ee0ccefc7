"""A worker's rows when they are more than its memory should hold: on its disk, encrypted, in blocks of 256 KB.

The key is in this process only and the file has no name, so nothing is left when the process ends, however it does.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton.store.ciphers import new_key
from lepton.store.scratch import mapped_full_disk
from lepton.training.ahead import ahead
from lepton.training.recipes.port import Features, Targets, check_count

BLOCK_BYTES = 1 << 18
WINDOW_BYTES = 1 << 24
"""Rows that are shuffled with each other, those of 64 blocks from anywhere; three times as much is in memory."""
_TAG_BYTES = 16


class Spool:
    """A matrix float32 [n, width] that is written once, row after row, and read in blocks.

    Args:
        folder: Where the file is.
        width: Columns.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self.width, self.rows = width, 0
        self.block_rows = max(1, BLOCK_BYTES // (4 * max(1, width)))
        self.sealed_bytes = self.block_rows * width * 4 + _TAG_BYTES
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - as long as the rows are needed
        weakref.finalize(self, self._file.close)
        self._cipher = AESGCM(new_key())
        self._open = np.empty((self.block_rows, width), np.float32)
        self._sealed = 0

    @property
    def blocks(self) -> int:
        """How many blocks there are; the last one may have fewer rows."""
        return -(-self.rows // self.block_rows)

    def length(self, number: int) -> int:
        """Return how many rows a block has."""
        return min(self.block_rows, self.rows - number * self.block_rows)

    def append(self, features: Features) -> None:
        """Add rows [m, width].

        Raises:
            StorageFull: if the disk is full.
        """
        at = 0
        while at < len(features):
            held = self.rows % self.block_rows
            taken = min(self.block_rows - held, len(features) - at)
            self._open[held : held + taken] = features[at : at + taken]
            self.rows, at = self.rows + taken, at + taken
            if held + taken == self.block_rows:
                self._seal()

    def read(self, number: int, into: Features, sealed: bytearray) -> int:
        """Write the rows of a block into the first rows of a matrix; returns how many.

        Args:
            number: Which block.
            into: float32 [at least as many, width], contiguous.
            sealed: `sealed_bytes` of memory, for the block as it lies on the disk.
        """
        rows = self.length(number)
        if number >= self._sealed:
            into[:rows] = self._open[:rows]
        else:
            os.preadv(self._file.fileno(), [sealed], number * self.sealed_bytes)
            plain = into[:rows].reshape(-1).view(np.uint8).data
            self._cipher.decrypt_into(_nonce(number), sealed, None, plain)
        return rows

    def _seal(self) -> None:
        # A block has a nonce of its own and is written once, under a key that is used for nothing else.
        left = memoryview(self._cipher.encrypt(_nonce(self._sealed), self._open.reshape(-1).view(np.uint8).data, None))
        with mapped_full_disk():
            while left:  # a disk that is nearly full takes a part first
                left = left[self._file.write(left) :]
        self._sealed += 1


class SpooledPart:
    """Rows of one worker in a spool; see `lepton.training.recipes.port.Rows`.

    An epoch takes the blocks in another order each time and shuffles the rows of `WINDOW_BYTES` of them; the next ones
    are read and decrypted meanwhile.

    Args:
        spool: The features.
        targets: [n].
        longest: Rows of the worker that has the most.
        seed: Decides the order of the rows in an epoch.
    """

    def __init__(self, spool: Spool, targets: Targets, *, longest: int, seed: int) -> None:
        check_count(spool.rows)
        self._spool, self.targets, self._seed = spool, targets, seed
        self._longest = max(longest, spool.rows)
        self._at_once = min(spool.blocks, max(1, WINDOW_BYTES // BLOCK_BYTES))
        self._spare: list[list[tuple[Features, Targets]]] = []

    @property
    def count(self) -> int:
        """How many rows this worker has."""
        return self._spool.rows

    def matrix(self) -> tuple[Features, Targets]:
        """Return all rows at once: for what cannot learn from fewer."""
        features = np.empty((self.count, self._spool.width), np.float32)
        sealed = bytearray(self._spool.sealed_bytes)
        for number in range(self._spool.blocks):
            self._spool.read(number, features[number * self._spool.block_rows :], sealed)
        return features, self.targets

    def blocks(self) -> Iterator[tuple[Features, Targets]]:
        """Pass over all rows once, in their order."""
        spool = self._spool
        sealed = bytearray(spool.sealed_bytes)
        for number in range(spool.blocks):
            block = np.empty((spool.length(number), spool.width), np.float32)
            spool.read(number, block, sealed)
            at = number * spool.block_rows
            yield block, self.targets[at : at + len(block)]

    def steps(self, size: int) -> int:
        """Return how many batches of `size` rows an epoch has: the same on every worker."""
        return -(-self._longest // size)

    def batches(self, size: int, *, epoch: int | None = None, skip: int = 0) -> Iterator[tuple[Features, Targets]]:
        """Pass over the rows once, `steps` batches; a worker with fewer rows than others takes some again."""
        left = self._longest - skip * size
        with self._memory() as buffers, ahead(self._windows(buffers, epoch, skip * size)) as windows:
            window = next(windows)
            at = 0
            while left > 0:
                wanted = min(size, left)
                taken: list[tuple[Features, Targets]] = []
                while wanted:
                    if at == len(window.order):
                        window, at = next(windows), 0
                    taken.append(window.rows(at, at + wanted))
                    found = len(taken[-1][1])
                    wanted, at, left = wanted - found, at + found, left - found
                if len(taken) == 1:
                    yield taken[0]
                else:
                    yield np.concatenate([one for one, _ in taken]), np.concatenate([one for _, one in taken])

    def _windows(
        self, buffers: Sequence[tuple[Features, Targets]], epoch: int | None, skip: int
    ) -> Generator[_Window, None, None]:
        """Read windows of blocks in the order of an epoch, without its first rows; when they are over, again."""
        spool = self._spool
        sealed = bytearray(spool.sealed_bytes)
        order = np.arange(spool.blocks)
        if epoch is not None:
            order = np.random.default_rng([self._seed, epoch]).permutation(order)
        for number in count():
            window = number % -(-len(order) // self._at_once)
            chosen = order[window * self._at_once : (window + 1) * self._at_once]
            rows = sum(spool.length(block) for block in chosen)
            if skip >= rows:
                skip -= rows
                continue
            features, targets = buffers[number % 3]
            at = 0
            for block in chosen:
                held, first = spool.read(block, features[at:], sealed), block * spool.block_rows
                targets[at : at + held] = self.targets[first : first + held]
                at += held
            positions = np.arange(rows)
            if epoch is not None:
                positions = np.random.default_rng([self._seed, epoch, window]).permutation(positions)
            yield _Window(features, targets, positions[skip:])
            skip = 0

    @contextmanager
    def _memory(self) -> Iterator[list[tuple[Features, Targets]]]:
        """Lend memory for three windows: one is taken from, one waits and one is being read.

        It is kept for the next epoch, as fresh memory costs more than the reading; of two epochs at a time, the second
        has its own.
        """
        rows = self._at_once * self._spool.block_rows
        try:
            buffers = self._spare.pop()
        except IndexError:
            features = np.empty((3, rows, self._spool.width), np.float32)
            targets = np.empty_like(self.targets, shape=(3, rows))
            buffers = list(zip(features, targets, strict=True))
        try:
            yield buffers
        finally:
            self._spare.append(buffers)


@dataclass(frozen=True)
class _Window:
    """Rows that are in memory, and the order in which they are taken; the memory is used again."""

    features: Features
    targets: Targets
    order: npt.NDArray[np.int64]

    def rows(self, first: int, end: int) -> tuple[Features, Targets]:
        """Return copies of rows in their order."""
        chosen = self.order[first:end]
        return self.features[chosen], self.targets[chosen]


def _nonce(number: int) -> bytes:
    return int(number).to_bytes(12, "big")
