"""The replica's decisions about tokens, against a control plane that answers as told over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from endpoints.planes import FakeControlPlane

from lepton.core.errors import Forbidden, LeptonError, Unauthenticated, Unavailable
from lepton.endpoints.replica import grants as grants_module
from lepton.endpoints.replica.grants import Grants


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    plane = FakeControlPlane()
    yield plane
    if plane.thread.is_alive():
        plane.stop()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The replica's clock in seconds, for the test to move."""
    current = [1000.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return current[0]

    monkeypatch.setattr(grants_module, "time", Clock)
    return current


def check(plane: FakeControlPlane, *headers: str, grants: Grants | None = None) -> list[type[LeptonError] | None]:
    grants = grants or made(plane)

    async def one(header: str) -> type[LeptonError] | None:
        try:
            await grants.check(header)
        except LeptonError as error:
            return type(error)
        return None

    async def together() -> list[type[LeptonError] | None]:
        return list(await asyncio.gather(*(one(header) for header in headers)))

    return asyncio.run(together())


def made(plane: FakeControlPlane) -> Grants:
    return Grants(control_url=plane.url, project="default", endpoint="churn", secret="of-the-platform")


def test_the_control_plane_decides_who_may_predict(plane: FakeControlPlane) -> None:
    answers = check(plane, "Bearer good", "Bearer unknown", "Bearer viewer")
    assert answers == [None, Unauthenticated, Forbidden]
    assert plane.path == "/v1/endpoints/churn/grant?project=default"


@pytest.mark.parametrize("header", ["", "good", "Basic good", "Bearer", "Bearer "])
def test_a_request_without_a_token_is_refused_without_asking(plane: FakeControlPlane, header: str) -> None:
    assert check(plane, header) == [Unauthenticated]
    assert not plane.asked


def test_the_platform_itself_is_let_in_without_asking(plane: FakeControlPlane) -> None:
    assert check(plane, "Bearer of-the-platform") == [None]
    assert not plane.asked


def test_requests_that_arrive_together_ask_once(plane: FakeControlPlane) -> None:
    assert check(plane, *["Bearer good"] * 50) == [None] * 50
    assert plane.asked["good"] == 1


def test_a_revoked_token_is_refused_once_its_grant_is_over(plane: FakeControlPlane, now: list[float]) -> None:
    grants = made(plane)
    assert check(plane, "Bearer good", grants=grants) == [None]
    plane.allowed.clear()
    now[0] += plane.expires_in_s - 0.1
    assert check(plane, "Bearer good", grants=grants) == [None]
    now[0] += 0.2
    assert check(plane, "Bearer good", grants=grants) == [Unauthenticated]


def test_while_the_platform_is_away_known_tokens_go_on_for_a_day(plane: FakeControlPlane, now: list[float]) -> None:
    grants = made(plane)
    assert check(plane, "Bearer good", grants=grants) == [None]
    plane.stop()
    now[0] += 12 * 3600
    assert check(plane, "Bearer good", grants=grants) == [None]
    assert check(plane, "Bearer other", grants=grants) == [Unavailable]
    now[0] += 12 * 3600 + 1
    assert check(plane, "Bearer good", grants=grants) == [Unavailable]
