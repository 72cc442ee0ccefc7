"""A body read by a worker thread while it arrives: nothing is kept on disk, a slow reader slows the sender."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import anyio.from_thread
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from lepton.core.errors import InvalidInput

T = TypeVar("T")
AT_ONCE = 8
"""Uploads that are read at the same time; more wait, and leave the other threads to everybody else."""


async def with_chunks(request: Request, operation: Callable[[Iterator[bytes]], T]) -> T:
    """Run a blocking operation in a thread, over the body as it arrives."""
    limiter: anyio.CapacityLimiter = request.app.state.uploads
    return await anyio.to_thread.run_sync(operation, _chunks(request.stream()), limiter=limiter)


def _chunks(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    while (chunk := anyio.from_thread.run(_next, stream)) is not None:
        if chunk:
            yield chunk


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(stream, None)
    except ClientDisconnect:
        raise InvalidInput(
            "The upload broke off before the file was complete; nothing was kept. Send it again."
        ) from None
