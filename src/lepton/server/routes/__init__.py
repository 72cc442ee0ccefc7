"""One router per noun; each route parses, calls one operation and renders."""

from lepton.server.routes import (
    access,
    datasets,
    endpoints,
    labels,
    launch,
    metrics,
    models,
    runs,
    session,
)

_MODULES = (session, datasets, labels, runs, models, endpoints, metrics, launch)
ROUTERS = tuple(module.router for module in _MODULES) + access.ROUTERS

__all__ = ["ROUTERS"]
