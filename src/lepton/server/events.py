"""A run and its live log, and how an endpoint does, as server-sent events.

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
from lepton.runs.records import LogPage, Look, Run
from lepton.server.bodies.runs import LogLineAnswer, RunAnswer
from lepton.server.identity import identify
from lepton.server.wire import Answer

FIRST_LOOK_S = 0.05
LAST_LOOK_S = 0.5
SLOWER = 1.3
"""While nothing changes, each pause between two looks is so many times the one before."""
HEARTBEAT_S = 15.0
REPEAT_S = 2.0
ASK_AGAIN_S = 60.0
"""An open stream is closed within this long after its reader was locked out."""

LIVE: dict[int | str, dict[str, object]] = {200: {"content": {"text/event-stream": {}}}}
"""How the description of the interface says that an answer can be followed."""
Begin = Callable[[Actor], Look]
"""Asks for permission to follow."""


def wants_events(request: Request) -> bool:
    """Whether the client asks for a stream of events."""
    return "text/event-stream" in request.headers.get("accept", "")


def last_line(request: Request, after: int) -> int:
    """The line of a log behind which a client goes on: the last it has seen, or where it asks to begin."""
    last_seen = request.headers.get("last-event-id", "")
    return int(last_seen) if last_seen.isdecimal() and len(last_seen) < 19 else after


def stream(platform: Platform, request: Request, look: Look, begin: Begin, *, after: int = 0) -> StreamingResponse:
    """Stream ``line``, ``run`` whenever the run changed and, when all is said, ``end``.

    Args:
        platform: Where to look up who asks.
        request: Of the one who follows.
        look: What `begin` has returned for the first time.
        begin: Asks for permission once more, now and then.
        after: The line of the log to begin behind.
    """

    def look_again() -> Look:
        return begin(identify(platform.access, request.method, request.headers))

    return StreamingResponse(
        _events(look, look_again, after, request.app.state.is_closing),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # a proxy that gathers pages would hold back what is live
    )


def repeat(
    platform: Platform, request: Request, look: Callable[[], object], begin: Callable[[Actor], Callable[[], object]],
    *, name: str, answer: type[Answer],
) -> StreamingResponse:  # fmt: skip
    """Stream what a look returns, again and again; an event ``end`` when there is nothing to look at any more.

    Args:
        platform: Where to look up who asks.
        request: Of the one who follows.
        look: What `begin` has returned for the first time.
        begin: Asks for permission once more, now and then.
        name: Of the events.
        answer: How what was seen is written.
    """

    async def events() -> AsyncIterator[bytes]:
        latest, asked = look, time.monotonic()
        while not request.app.state.is_closing():
            try:
                if time.monotonic() - asked > ASK_AGAIN_S:
                    asked = time.monotonic()
                    actor = await run_in_threadpool(identify, platform.access, request.method, request.headers)
                    latest = await run_in_threadpool(begin, actor)
                yield _event(name, answer.model_validate(await run_in_threadpool(latest)))
            except LeptonError:
                yield b"event: end\ndata: \n\n"
                return
            await anyio.sleep(REPEAT_S)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(
    look: Look, look_again: Callable[[], Look], after: int, is_closing: Callable[[], bool]
) -> AsyncIterator[bytes]:
    seen: Run | None = None
    pause_s = FIRST_LOOK_S
    spoken = asked = time.monotonic()
    while not is_closing():  # who follows opens the stream again when the next server is there
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            try:
                look = await run_in_threadpool(look_again)
            except LeptonError:
                return
        run, page = await run_in_threadpool(look, after)
        after = page.next
        for event in _new(run, page, seen):
            spoken, pause_s = time.monotonic(), FIRST_LOOK_S
            yield event
        seen = run
        if page.ended:
            yield _event("end", RunAnswer.model_validate(run))
            return
        if not page.lines:
            if time.monotonic() - spoken > HEARTBEAT_S:
                spoken = time.monotonic()
                yield b": still here\n\n"
            await anyio.sleep(pause_s)
            pause_s = min(pause_s * SLOWER, LAST_LOOK_S)


def _new(run: Run, page: LogPage, seen: Run | None) -> Iterator[bytes]:
    for line in page.lines:
        yield _event("line", LogLineAnswer.model_validate(line), number=line.seq)
    if run != seen:
        yield _event("run", RunAnswer.model_validate(run))


def _event(name: str, data: Answer, *, number: int | None = None) -> bytes:
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {name}\ndata: {data.model_dump_json(by_alias=True)}\n\n".encode()
