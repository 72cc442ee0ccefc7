"""What all routes are written in: who asks, what they ask of, and how records become JSON.

Answers read plain records by their attributes; NaN and infinity become null. Neighbours: ``routes/``.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, model_validator
from pydantic_core import PydanticCustomError
from starlette.concurrency import run_in_threadpool

from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.refs import Ref, parse_ref
from lepton.platform import Platform
from lepton.server.identity import identify

T = TypeVar("T")
FRESH_S = 1.0
"""Who asks is looked up again when the body took longer than this."""
Scalar = str | int | float | bool | None


class Answer(BaseModel):
    """JSON that leaves."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class Body(BaseModel):
    """JSON that comes in; what is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, data: object) -> object:
        try:
            json.dumps(data if isinstance(data, dict) else None, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # JSON can write half of a surrogate pair, which no database and no hash takes
            raise PydanticCustomError("broken_text", "text must be whole") from None
        return data


class Items(Answer, Generic[T]):
    """A list."""

    items: list[T]


class Failure(BaseModel):
    """What every failure says."""

    code: str
    message: str
    request_id: str


class FailureAnswer(BaseModel):
    """The one shape of every failure."""

    error: Failure


class Merged:
    """Several records read as one; of an attribute that many have, the first record's counts."""

    def __init__(self, *records: object) -> None:
        self._records = records

    def __getattr__(self, name: str) -> object:
        for record in self._records:
            if hasattr(record, name):
                return getattr(record, name)
        raise AttributeError(name)


def items(found: object) -> dict[str, object]:
    """Wrap a list for an `Items` answer."""
    return {"items": found}


async def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


async def _actor(request: Request) -> Actor:
    actor: Actor = request.scope["lepton.actor"]  # put there by the edge; a route it does not guard has none
    if time.monotonic() - request.scope["lepton.identified_at"] > FRESH_S:
        # The body came slowly, and whoever sent it may have been locked out meanwhile.
        access = request.app.state.platform.access
        actor = await run_in_threadpool(identify, access, request.method, request.headers)
    return actor


async def _dataset(ref: str) -> Ref:
    return parse_ref(ref, "dataset")


async def _model(ref: str) -> Ref:
    return parse_ref(ref, "model")


async def _raw(request: Request) -> bytes:
    return await request.body()


def _recipe(recipe: Any) -> Any:
    return recipe.to_json() if hasattr(recipe, "to_json") else recipe


On = Annotated[Platform, Depends(_platform)]
Who = Annotated[Actor, Depends(_actor)]
Project = Annotated[str, Query(description="The project that is meant.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
DatasetRef = Annotated[Ref, Depends(_dataset)]
ModelRef = Annotated[Ref, Depends(_model)]
RawBody = Annotated[bytes, Depends(_raw)]
RecipeJson = Annotated[dict[str, JsonValue], BeforeValidator(_recipe)]
IN = DEFAULT_PROJECT
"""The project when none is named."""
