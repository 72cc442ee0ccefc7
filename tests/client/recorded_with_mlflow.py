"""Records runs with MLflow's own client; run as a program, since MLflow warns of much while it is imported.

Usage: python recorded_with_mlflow.py TRACKING_URI
"""

from __future__ import annotations

import pickle
import sys
from typing import Any


class Touch:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, ("unpickled", "w")


def main(uri: str) -> None:
    import mlflow

    client = mlflow.MlflowClient(uri)
    flowers = client.create_experiment("flowers")

    first = client.create_run(flowers, run_name="first", start_time=1_700_000_000_000).info.run_id
    for step in range(5):
        client.log_metric(first, "train/loss", 1 / (step + 1), step=step, timestamp=1_700_000_000_000 + step)
    client.log_metric(first, "odd", float("nan"), step=0, timestamp=1)
    client.log_metric(first, "odd", float("inf"), step=1, timestamp=2)
    client.log_metric(first, "odd", 0.5, step=2, timestamp=3)
    client.log_param(first, "depth", 3)
    client.set_tag(first, "note", "two\nlines, ü")
    client.log_text(first, "hello", "notes/hello.txt")
    with open("model.pkl", "wb") as file:
        pickle.dump(Touch(), file)
    client.log_artifact(first, "model.pkl", "model")
    client.set_terminated(first, end_time=1_700_000_060_000)

    client.create_registered_model("Iris Model", tags={"team": "botany"}, description="Tells flowers apart")
    source = f"{client.get_run(first).info.artifact_uri}/model"
    for _ in range(3):
        client.create_model_version("Iris Model", source, first, tags={"checked": "yes"}, description="the first")
    client.delete_model_version("Iris Model", "2")
    client.set_registered_model_alias("Iris Model", "champion", "3")
    client.create_registered_model("of nobody")

    client.set_terminated(client.create_run(flowers, run_name="bad").info.run_id, status="FAILED")
    client.set_terminated(client.create_run("0", run_name="stopped").info.run_id, status="KILLED")
    client.create_run("0", run_name="still running")
    client.delete_run(client.create_run("0", run_name="deleted").info.run_id)
    gone = client.create_experiment("gone")
    client.create_run(gone, run_name="of a deleted experiment")
    client.delete_experiment(gone)


if __name__ == "__main__":
    main(sys.argv[1])
