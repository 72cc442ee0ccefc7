"""MLflow's protocol: the same operations as ``/v1``, in the words of MLflow's client. See docs/mlflow.md."""

from lepton.server.mlflow import artifacts, experiments, logged_models, registry, runs

MLFLOW_ROUTERS = tuple(module.router for module in (experiments, runs, artifacts, logged_models, registry))

__all__ = ["MLFLOW_ROUTERS"]
