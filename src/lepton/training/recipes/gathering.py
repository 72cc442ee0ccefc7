"""Rows of all workers in one place, over the workers' own encrypted connections, for what cannot learn from parts."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from lepton.training.collective import Collective
from lepton.training.recipes.port import Features, Rows, Targets

_MESSAGE_BYTES = 1 << 26


def gather_rows(rows: Rows, collective: Collective) -> tuple[Features, Targets] | None:
    """Return the rows of all workers on worker 0, and None on the others.

    They take turns: first the first row of each worker, then the second of each, as rows were dealt out. All workers
    must call it.

    Args:
        rows: This worker's part.
        collective: The workers.

    Returns:
        Features float32 [n, width] and targets [n] of n rows in all.
    """
    features, targets = rows.matrix()
    if collective.world_size == 1:
        return features, targets
    held = _gather_array(features, collective), _gather_array(targets, collective)
    if held[0] is None or held[1] is None:
        return None
    order = np.argsort(np.concatenate([np.arange(len(part)) for part in held[0]]), kind="stable")
    return np.concatenate(held[0])[order], np.concatenate(held[1])[order]


def share_rows(rows: Rows, collective: Collective) -> tuple[Features, Targets]:
    """Return the rows of all workers, on every worker; the order is that of `gather_rows`."""
    gathered = gather_rows(rows, collective)
    if collective.world_size == 1 and gathered is not None:
        return gathered
    features, targets = gathered or (None, None)
    return broadcast_array(features, collective), broadcast_array(targets, collective)


def broadcast_array(array: npt.NDArray[np.generic] | None, collective: Collective) -> npt.NDArray[np.generic]:
    """Return an array [n, …] of worker 0 on every worker; what the others pass is ignored."""
    rows = 0 if array is None else _rows_in_a_message(array)
    messages = 0 if array is None else max(1, -(-len(array) // rows))
    count = int.from_bytes(collective.broadcast(messages.to_bytes(8, "big")), "big")
    parts = []
    for at in range(count):
        own = b"" if array is None else pack_array(array[at * rows : (at + 1) * rows])
        parts.append(unpack_array(collective.broadcast(own)))
    return np.concatenate(parts)


def pack_array(array: npt.NDArray[np.generic]) -> bytes:
    """Return an array as bytes of NumPy's own format, without pickle."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def unpack_array(data: bytes) -> npt.NDArray[np.generic]:
    """Return an array out of its bytes; anything but numbers is refused.

    Raises:
        ValueError: if it would need pickle.
    """
    loaded: npt.NDArray[np.generic] = np.load(io.BytesIO(data), allow_pickle=False)
    return loaded


def _gather_array(array: npt.NDArray[np.generic], collective: Collective) -> list[npt.NDArray[np.generic]] | None:
    rows = _rows_in_a_message(array)
    mine = max(1, -(-len(array) // rows))
    counts = collective.gather(mine.to_bytes(8, "big"))
    most = max(int.from_bytes(count, "big") for count in counts) if counts else 0
    most = int.from_bytes(collective.broadcast(most.to_bytes(8, "big")), "big")
    parts: list[list[npt.NDArray[np.generic]]] = [[] for _ in range(collective.world_size)]
    for at in range(most):
        messages = collective.gather(pack_array(array[at * rows : (at + 1) * rows]))
        for rank, message in enumerate(messages or ()):
            parts[rank].append(unpack_array(message))
    return [np.concatenate(part) for part in parts] if collective.rank == 0 else None


def _rows_in_a_message(array: npt.NDArray[np.generic]) -> int:
    each = array.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    return max(1, _MESSAGE_BYTES // max(1, each))
