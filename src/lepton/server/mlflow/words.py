"""What the routes of MLflow's protocol are written in: the project, bodies, times, tags, pages."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from lepton.access.records import Actor
from lepton.core.errors import InvalidInput
from lepton.runs.points import microseconds, moment
from lepton.runs.tracking import place_of
from lepton.server.wire import Body, Who

T = TypeVar("T")
Json = dict[str, Any]
Millis = Annotated[int, Field(ge=-62_135_596_800_000, le=253_402_300_799_999)]
"""A time: ms since 1970."""
MAX_PAGE = 1000


class Asked(Body, extra="ignore"):
    """JSON that comes in; what MLflow's client of tomorrow adds is passed over."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Asked:
        if any("\0" in text for text in _texts(self)):
            raise PydanticCustomError("broken_text", "text must not hold the character of number 0")
        return self


class Pair(Asked):
    """A tag or a param."""

    key: str
    value: str = ""


def new_router() -> APIRouter:
    """Return a router for some addresses of the protocol; they are not in Lepton's own description of its interface."""
    return APIRouter(include_in_schema=False, dependencies=[Depends(_check_address)])


async def _check_address(request: Request) -> None:
    if "\0" in request.url.path or any("\0" in text for pair in request.query_params.multi_items() for text in pair):
        raise InvalidInput("The address holds the character of number 0, which no name has. Leave it out.")


def _texts(body: Asked) -> list[str]:
    """Return the texts that a body holds itself, one by one or in a list; a body in a body has looked at its own."""
    found: list[str] = []
    for value in vars(body).values():
        found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    return found


async def _project(request: Request, actor: Who) -> str:
    """The project in front of the address; without one the default project, or the first that the actor is in."""
    named: str | None = request.scope["lepton.project"]
    return named if named is not None else _own(actor)


def _own(actor: Actor) -> str:
    return place_of(actor, None)


In = Annotated[str, Depends(_project)]


def millis(moment: datetime | None) -> int | None:
    """Write a time."""
    return None if moment is None else microseconds(moment) // 1000


def when(millis: int | None) -> datetime | None:
    """Read a time."""
    return None if millis is None else moment(millis * 1000).astimezone(UTC)


def pairs(words: Mapping[str, str]) -> list[Json]:
    """Write tags or params."""
    return [{"key": key, "value": value} for key, value in sorted(words.items())]


def by_key(pairs: Iterable[Pair]) -> dict[str, str]:
    """Read tags or params; of two with one key, the last one counts."""
    return {pair.key: pair.value for pair in pairs}


def offset_of(token: str | None) -> int:
    """Return how many a page passes over.

    Raises:
        InvalidInput: if the token is none of ours.
    """
    if not token:
        return 0
    try:
        offset = int(base64.urlsafe_b64decode(token))
    except ValueError:
        offset = -1
    if not 0 <= offset < 1 << 53:
        raise InvalidInput("The page token is not one that this server gave. Begin with the first page.")
    return offset


def token_of(offset: int) -> str:
    """Return the token of the page that passes over so many."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def page(found: Sequence[T], most: int | None, token: str | None) -> tuple[Sequence[T], Json]:
    """Cut a page out of all that was found; return it with what points to the next one."""
    offset, limit = offset_of(token), min(most or MAX_PAGE, MAX_PAGE)
    if limit < 1:
        raise InvalidInput("max_results must be 1 or more.")
    following = {"next_page_token": token_of(offset + limit)} if offset + limit < len(found) else {}
    return found[offset : offset + limit], following
