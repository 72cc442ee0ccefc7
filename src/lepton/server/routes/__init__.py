"""One router per noun; each route parses, calls one operation and renders."""

from lepton.server.routes import (
    access,
    datasets,
    endpoints,
    labels,
    metrics,
    models,
    runs,
    session,
)

ROUTERS = (
    tuple(module.router for module in (session, datasets, labels, runs, models, endpoints, metrics)) + access.ROUTERS
)

__all__ = ["ROUTERS"]
