"""The JSON of endpoints."""

from __future__ import annotations

from datetime import datetime

from lepton.endpoints.records import EndpointState
from lepton.server.bodies.models import SignatureAnswer
from lepton.server.wire import Answer, Body


class EndpointAnswer(Answer):
    """An endpoint; `url` is where programs ask it directly, null until it listens."""

    name: str
    model: str
    state: EndpointState
    url: str | None
    message: str
    created_at: datetime
    created_by: str


class DetailAnswer(EndpointAnswer):
    """An endpoint and what it takes."""

    signature: SignatureAnswer


class DeployBody(Body):
    """Which model answers under which name."""

    name: str
    model: str
