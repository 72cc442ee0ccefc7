"""The app over a platform: the edge, the routes of each noun, the web page. `serve.py` lets it listen."""

from __future__ import annotations

import anyio
from fastapi import FastAPI

from lepton import __version__
from lepton.platform import Platform
from lepton.server.edge import Edge
from lepton.server.errors import answer_framework_errors
from lepton.server.mlflow import MLFLOW_ROUTERS
from lepton.server.page import Page
from lepton.server.routes import ROUTERS
from lepton.server.upload import AT_ONCE
from lepton.server.wire import FailureAnswer


def create_app(platform: Platform) -> FastAPI:
    """Make the app over a platform that somebody else starts, stops and closes."""
    app = FastAPI(
        title="Lepton",
        version=__version__,
        description="From raw data to secured real-time predictions. The nouns are those of the SDK and of the CLI.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": FailureAnswer, "description": "What went wrong, in one sentence."}},
    )
    app.state.platform = platform
    app.state.is_closing = lambda: False
    """Whether streams are to end, as the server does; set by whoever lets the app listen."""
    app.state.uploads = anyio.CapacityLimiter(AT_ONCE)
    answer_framework_errors(app)
    for router in (*ROUTERS, *MLFLOW_ROUTERS):
        app.include_router(router)
    app.router.default = Page()  # not mounted: a mount would swallow "405 method not allowed"
    app.add_middleware(Edge, platform=platform)
    return app
