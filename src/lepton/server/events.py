"""A run, and its live log, as server-sent events.

Source: WHATWG HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from lepton.access.records import Actor
from lepton.core.errors import LeptonError
from lepton.platform import Platform
from lepton.runs.records import Run, RunChange
from lepton.runs.watch import RunWatch
from lepton.server.bodies.runs import LogLineAnswer, RunAnswer
from lepton.server.identity import identify
from lepton.server.wire import Answer

FIRST_LOOK_S = 0.05
LAST_LOOK_S = 0.5
SLOWER = 1.3
"""While nothing changes, each pause between two looks is so many times the one before."""
HEARTBEAT_S = 15.0
ASK_AGAIN_S = 60.0
"""An open stream is closed within this long after its reader was locked out."""

Watch = Callable[[Actor, int], RunWatch]
"""Asks for permission and begins to follow from a line of the log on."""


def wants_events(request: Request) -> bool:
    """Whether the client asks for a stream of events."""
    return "text/event-stream" in request.headers.get("accept", "")


def follow(platform: Platform, actor: Actor, request: Request, run_id: str) -> StreamingResponse:
    """Stream ``run`` whenever the run changed and, when it has ended, ``end``.

    Raises:
        NotFound: if there is no such run.
        Forbidden: if the actor may not see it.
    """
    return _stream(platform, actor, request, lambda who, _: platform.runs.watch(who, run_id), 0)


def follow_log(platform: Platform, actor: Actor, request: Request, run_id: str, after: int) -> StreamingResponse:
    """Stream ``line``, ``run`` and, when all is said, ``end``; a client that reconnects goes on where it was.

    Raises:
        NotFound: if there is no such run.
        Forbidden: if the actor may not read its log.
    """
    last_seen = request.headers.get("last-event-id", "")
    start = int(last_seen) if last_seen.isdecimal() and len(last_seen) < 19 else after
    return _stream(platform, actor, request, lambda who, line: platform.runs.watch_log(who, run_id, after=line), start)


def _stream(platform: Platform, actor: Actor, request: Request, watch: Watch, start: int) -> StreamingResponse:
    def ask_again(after: int) -> RunWatch:
        return watch(identify(platform.access, request.method, request.headers), after)

    return StreamingResponse(
        _events(watch(actor, start), ask_again),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # a proxy that gathers pages would hold back what is live
    )


async def _events(watch: RunWatch, ask_again: Callable[[int], RunWatch]) -> AsyncIterator[bytes]:
    run: Run | None = None
    pause_s = FIRST_LOOK_S
    spoken = asked = time.monotonic()
    while True:
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            try:
                watch = await run_in_threadpool(ask_again, watch.after)
            except LeptonError:
                return
        change = await run_in_threadpool(watch.poll)
        run = change.run or run
        for event in _written(change):
            spoken, pause_s = time.monotonic(), FIRST_LOOK_S
            yield event
        if change.page.ended and run is not None:
            yield _event("end", RunAnswer.model_validate(run))
            return
        if not change.page.lines:
            if time.monotonic() - spoken > HEARTBEAT_S:
                spoken = time.monotonic()
                yield b": still here\n\n"
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * SLOWER, LAST_LOOK_S)


def _written(change: RunChange) -> Iterator[bytes]:
    for line in change.page.lines:
        yield _event("line", LogLineAnswer.model_validate(line), number=line.seq)
    if change.run is not None:
        yield _event("run", RunAnswer.model_validate(change.run))


def _event(name: str, data: Answer, *, number: int | None = None) -> bytes:
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {name}\ndata: {data.model_dump_json(by_alias=True)}\n\n".encode()
