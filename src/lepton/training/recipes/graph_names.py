"""Names in ONNX graphs that say nothing of the process that wrote them, so that one training gives one graph."""

from __future__ import annotations

from typing import Any


def name_in_order(data: bytes) -> bytes:
    """Return a graph whose values and nodes are named in the order of their use.

    Exporters count names up from graph to graph, so that the same network gets others the second time. The one input
    becomes ``features``. What the values are (``value_info``) is dropped, which runtimes find out themselves.
    """
    import onnx

    model = onnx.load_from_string(data)
    names = {"": "", model.graph.input[0].name: "features"}
    _name(model.graph, names)
    return bytes(model.SerializeToString())


def _name(graph: Any, names: dict[str, str]) -> None:
    """Name what a graph holds; one inside of another sees the names of that."""

    def named(value: str) -> str:
        return names.setdefault(value, f"v{len(names)}")

    del graph.value_info[:]
    for position, node in enumerate(graph.node):
        node.name = f"n{position}"
        node.input[:] = [named(value) for value in node.input]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    _name(inner, names)
        node.output[:] = [named(value) for value in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = named(value.name)
    weights = sorted(graph.initializer, key=lambda weight: int(weight.name[1:]))
    del graph.initializer[:]
    graph.initializer.extend(weights)
