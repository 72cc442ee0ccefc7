"""An iterator that is worked off in a thread, a few items ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def ahead(items: Generator[T, None, None], depth: int = 1) -> Iterator[Iterator[T]]:
    """Make items in a thread while others are worked on; when the block ends no more are made, and they are closed.

    Args:
        items: What is taken; only that thread runs it. What it raises is raised where its item is taken.
        depth: How many may wait, besides the one that is being made.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting = deque(thread.submit(_next, items) for _ in range(depth + 1))

        def take() -> Iterator[T]:
            while found := waiting.popleft().result():
                waiting.append(thread.submit(_next, items))
                yield found[0]

        try:
            yield take()
        finally:
            for item in waiting:
                item.cancel()
            thread.submit(items.close)


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None
