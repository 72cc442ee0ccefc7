"""Draws where a model version comes from: run, dataset, run, dataset, …, file. What is drawn is looked up elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from lepton.datasets.records import DatasetVersion
from lepton.models.records import Edge, Lineage, ModelVersion, Node
from lepton.runs.records import Run

_GONE = "deleted, or not for you to see"


def draw(
    version: ModelVersion, datasets: Mapping[str, DatasetVersion | None], runs: Mapping[str, Run | None]
) -> Lineage:
    """Draw the way to a model version from the file it began with.

    Args:
        version: Where the way ends.
        datasets: The dataset versions on it by ref, the newest first; None where one cannot be looked up.
        runs: The runs on it by id; None where one cannot be looked up.

    Returns:
        The nodes from the oldest to the model itself; what was deleted since is still there by name.
    """
    model = Node(f"model:{version.ref}", "model", version.ref, version.recipe)
    nodes = [model, _run_node(version.run_id, runs)]
    edges = [Edge(f"run:{version.run_id}", model.id)]
    maker = version.run_id
    for ref, known in datasets.items():
        edges.append(Edge(f"dataset:{ref}", f"run:{maker}"))
        if known is None:
            nodes.append(Node(f"dataset:{ref}", "dataset", ref, _GONE))
            break
        maker = known.run_id
        nodes += [
            Node(f"dataset:{ref}", "dataset", ref, f"{known.rows:,} rows × {known.columns} columns"),
            _run_node(maker, runs),
        ]
        edges.append(Edge(f"run:{maker}", f"dataset:{ref}"))
        if known.parent is None:
            nodes.append(_file_node(maker, runs))
            edges.append(Edge(nodes[-1].id, f"run:{maker}"))
    return Lineage(tuple(reversed(nodes)), tuple(reversed(edges)))


def _run_node(run_id: str, runs: Mapping[str, Run | None]) -> Node:
    found = runs.get(run_id)
    if found is None:
        return Node(f"run:{run_id}", "run", "run", _GONE)
    workers = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    return Node(f"run:{run_id}", "run", found.task, f"{workers}, {found.state.value}")


def _file_node(run_id: str, runs: Mapping[str, Run | None]) -> Node:
    found = runs.get(run_id)
    params = {} if found is None else found.params
    size_bytes = params.get("size_bytes")
    detail = f"{size_bytes:,} bytes" if isinstance(size_bytes, int) else "imported"
    return Node(f"file:{run_id}", "file", str(params.get("file_name") or "file"), detail)
