"""Follows a model version back to where it comes from: run, dataset, run, dataset, …, file."""

from __future__ import annotations

from collections.abc import Callable

from lepton.core.errors import Forbidden, NotFound
from lepton.core.refs import Ref, parse_ref
from lepton.datasets.records import DatasetVersion
from lepton.models.records import Edge, Lineage, ModelVersion, Node
from lepton.runs.records import Run

_GONE = "deleted, or not for you to see"


def trace(version: ModelVersion, *, dataset: Callable[[Ref], DatasetVersion], run: Callable[[str], Run]) -> Lineage:
    """Trace a model version back to the file it began with.

    Args:
        version: Where to begin.
        dataset: Looks a dataset version up.
        run: Looks a run up.

    Returns:
        The nodes from the oldest to the model itself; what was deleted since is still there by name.
    """
    model = Node(f"model:{version.ref}", "model", version.ref, version.recipe)
    nodes, edges = [model, _run_node(version.run_id, run)], [Edge(f"run:{version.run_id}", model.id)]
    maker, ref, seen = version.run_id, version.dataset, set[str]()
    while ref not in seen:
        seen.add(ref)
        edges.append(Edge(f"dataset:{ref}", f"run:{maker}"))
        try:
            known = dataset(parse_ref(ref))
        except (NotFound, Forbidden):
            nodes.append(Node(f"dataset:{ref}", "dataset", ref, _GONE))
            break
        maker = known.run_id
        nodes += [
            Node(f"dataset:{ref}", "dataset", ref, f"{known.rows:,} rows × {known.columns} columns"),
            _run_node(maker, run),
        ]
        edges.append(Edge(f"run:{maker}", f"dataset:{ref}"))
        if known.parent is None:
            nodes.append(_file_node(maker, run))
            edges.append(Edge(nodes[-1].id, f"run:{maker}"))
            break
        ref = known.parent
    return Lineage(tuple(reversed(nodes)), tuple(reversed(edges)))


def _run_node(run_id: str, look_up: Callable[[str], Run]) -> Node:
    try:
        found = look_up(run_id)
    except (NotFound, Forbidden):
        return Node(f"run:{run_id}", "run", "run", _GONE)
    workers = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    return Node(f"run:{run_id}", "run", found.task, f"{workers}, {found.state.value}")


def _file_node(run_id: str, look_up: Callable[[str], Run]) -> Node:
    try:
        params = look_up(run_id).params
    except (NotFound, Forbidden):
        params = {}
    size_bytes = params.get("size_bytes")
    detail = f"{size_bytes:,} bytes" if isinstance(size_bytes, int) else "imported"
    return Node(f"file:{run_id}", "file", str(params.get("file_name") or "file"), detail)
