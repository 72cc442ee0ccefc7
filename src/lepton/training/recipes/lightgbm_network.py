"""LightGBM's sums between workers over the workers' own encrypted connections, instead of LightGBM's plain sockets.

LightGBM lets its caller bring the two operations it is made of (``LGBM_NetworkInitWithFunctions`` in its C interface,
types in its ``meta.h``). Sums are taken on worker 0 in the order of ranks, so every worker goes on with the same bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lepton.training.collective import Collective

_Sizes = ctypes.POINTER(ctypes.c_int32)
_Reduce = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int32)
_ReduceScatter = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,  # what this worker adds to the sum
    ctypes.c_int32,  # its bytes
    ctypes.c_int,  # bytes of one element
    _Sizes,  # where the part of each worker begins
    _Sizes,  # and how many bytes it has
    ctypes.c_int,  # how many parts there are
    ctypes.c_void_p,  # where this worker's part of the sum goes
    ctypes.c_int32,
    ctypes.POINTER(ctypes.c_void_p),  # how two are added
)
_Allgather = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int32, _Sizes, _Sizes, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32
)


class Network:
    """What LightGBM calls while it learns.

    An error cannot pass through LightGBM. It is kept, zeros are answered from then on, with which no tree grows, and
    `check` raises it as soon as LightGBM returns.
    """

    def __init__(self, collective: Collective) -> None:
        self._collective = collective
        self._error: BaseException | None = None
        self.reduce_scatter = _ReduceScatter(self._reduce_scatter)
        self.allgather = _Allgather(self._allgather)

    def check(self) -> None:
        """Raise what went wrong in between, such as the loss of a worker."""
        if self._error is not None:
            raise self._error

    def _reduce_scatter(  # noqa: PLR0913, PLR0917 - as LightGBM calls it
        self,
        source: int,
        size: int,
        element: int,
        starts: Any,
        lengths: Any,
        _parts: int,
        target: int,
        target_size: int,
        reducer: Any,
    ) -> None:
        def call() -> bytes:
            parts = self._collective.gather(ctypes.string_at(source, size))
            total = None if parts is None else _add(parts, element, reducer)
            total = self._collective.broadcast(total)
            rank = self._collective.rank
            return total[starts[rank] : starts[rank] + lengths[rank]]

        self._answer(call, target, target_size)

    def _allgather(
        self, source: int, _size: int, starts: Any, lengths: Any, parts: int, target: int, target_size: int
    ) -> None:
        def call() -> bytes:
            held = self._collective.gather(ctypes.string_at(source, lengths[self._collective.rank]))
            whole = self._collective.broadcast(None if held is None else b"".join(held))
            answer, at = bytearray(target_size), 0
            for part in range(parts):
                answer[starts[part] : starts[part] + lengths[part]] = whole[at : at + lengths[part]]
                at += lengths[part]
            return bytes(answer)

        self._answer(call, target, target_size)

    def _answer(self, call: Callable[[], bytes], target: int, size: int) -> None:
        if self._error is None:
            try:
                answer = call()
            except BaseException as error:  # noqa: BLE001 - ctypes would print it and go on
                self._error = error
            else:
                ctypes.memmove(target, answer, len(answer))
        if self._error is not None:
            ctypes.memset(target, 0, size)


@contextmanager
def joined(collective: Collective) -> Iterator[Network]:
    """Let LightGBM in this thread work with the other workers until the end of the block."""
    from lightgbm.basic import _LIB, _safe_call

    network = Network(collective)
    if collective.world_size == 1:
        yield network
        return
    _safe_call(
        _LIB.LGBM_NetworkInitWithFunctions(
            ctypes.c_int(collective.world_size),
            ctypes.c_int(collective.rank),
            ctypes.cast(network.reduce_scatter, ctypes.c_void_p),
            ctypes.cast(network.allgather, ctypes.c_void_p),
        )
    )
    try:
        yield network
        network.check()
    finally:
        _safe_call(_LIB.LGBM_NetworkFree())


def _add(parts: list[bytes], element: int, reducer: Any) -> bytes:
    """Return the sum of what all workers sent, in the order of ranks, with LightGBM's own addition."""
    add = _Reduce(reducer[0])
    total = ctypes.create_string_buffer(parts[0], len(parts[0]))
    for part in parts[1:]:
        add(ctypes.cast(ctypes.c_char_p(part), ctypes.c_void_p), ctypes.addressof(total), element, len(part))
    return total.raw
