"""Draws where a model version comes from (run, dataset, run, dataset, …, file) and the datasets it predicted.

What is drawn is looked up elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lepton.datasets.records import DatasetVersion
from lepton.models.records import Edge, Lineage, ModelVersion, Node
from lepton.runs.commands import verb_of
from lepton.runs.records import Run

_GONE = "deleted, or not for you to see"


def draw(
    version: ModelVersion,
    datasets: Mapping[str, DatasetVersion | None],
    runs: Mapping[str, Run | None],
    predicted: Sequence[tuple[Run, DatasetVersion | None]] = (),
) -> Lineage:
    """Draw the way to a model version from the file it began with, and on to what it predicted.

    Args:
        version: The model version.
        datasets: The dataset versions on it by ref, the newest first; None where one cannot be looked up.
        runs: The runs on it by id; None where one cannot be looked up.
        predicted: The runs that predicted with it, and what each made; None where that cannot be looked up.

    Returns:
        The nodes from the oldest to the model itself, then the predictions; what was deleted since is still there by
        name.
    """
    model = Node(f"model:{version.ref}", "model", version.ref, version.recipe)
    nodes = [model]
    edges = []
    if version.run_id:  # not of what was registered
        nodes.append(_run_node(version.run_id, runs))
        edges.append(Edge(f"run:{version.run_id}", model.id))
    maker = version.run_id
    for ref, known in datasets.items():
        edges.append(Edge(f"dataset:{ref}", f"run:{maker}"))
        if known is None:
            nodes.append(_dataset_node(ref, None))
            break
        maker = known.run_id
        nodes += [_dataset_node(ref, known), _run_node(maker, runs)]
        edges.append(Edge(f"run:{maker}", f"dataset:{ref}"))
        for used in _models_of(runs.get(maker)):
            nodes.append(used)
            edges.append(Edge(used.id, f"run:{maker}"))
        if known.parent is None:
            nodes.append(_file_node(maker, runs))
            edges.append(Edge(nodes[-1].id, f"run:{maker}"))
    nodes.reverse()
    edges.reverse()
    for run, made in predicted:
        _add_prediction(nodes, edges, run, made)
    unique = {node.id: node for node in nodes}  # one model may have predicted for two of the runs
    return Lineage(tuple(unique.values()), tuple(edges))


def _add_prediction(nodes: list[Node], edges: list[Edge], run: Run, made: DatasetVersion | None) -> None:
    here = f"run:{run.id}"
    nodes.append(_run_node(run.id, {run.id: run}))
    drawn = {node.id for node in nodes}
    for used in run.inputs:
        if used not in drawn:
            nodes.append(Node(used, "dataset", used.removeprefix("dataset:")))
        edges.append(Edge(used, here))
    output = run.outputs[0]
    nodes.append(_dataset_node(output.removeprefix("dataset:"), made))
    edges.append(Edge(here, output))


def _models_of(run: Run | None) -> Iterable[Node]:
    """The models a dataset was predicted with, if its run did that."""
    for used in () if run is None else run.inputs:
        if used.startswith("model:"):
            yield Node(used, "model", used.removeprefix("model:"))


def _dataset_node(ref: str, known: DatasetVersion | None) -> Node:
    detail = _GONE if known is None else f"{known.rows:,} rows × {known.columns} columns"
    return Node(f"dataset:{ref}", "dataset", ref, detail)


def _run_node(run_id: str, runs: Mapping[str, Run | None]) -> Node:
    found = runs.get(run_id)
    if found is None:
        return Node(f"run:{run_id}", "run", "run", _GONE)
    workers = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    recipe = [str(found.params["recipe"])] if "recipe" in found.params else []
    detail = ", ".join([*recipe, workers, found.state.value])
    return Node(f"run:{run_id}", "run", verb_of(found.task, found.params), detail)


def _file_node(run_id: str, runs: Mapping[str, Run | None]) -> Node:
    found = runs.get(run_id)
    params = {} if found is None else found.params
    size_bytes = params.get("size_bytes")
    detail = f"{size_bytes:,} bytes" if isinstance(size_bytes, int) else "imported"
    return Node(f"file:{run_id}", "file", str(params.get("file_name") or "file"), detail)
