"""What a training that ran as a command brings: a graph, and what it says of it. Read with suspicion, as its code is.

What it learned from, and so who may see what of it, is decided here by the dataset's columns, never by what it says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lepton.core.errors import Forbidden, InvalidInput
from lepton.datasets.schema import Schema
from lepton.models import bundle
from lepton.models.records import Plot, Trained
from lepton.models.signature import Input, Signature

TRAINED = "trained.json"
MAX_BYTES = 512 << 20
_MAX_PLOTS, _MAX_TEXT, _MAX_NOTES = 40, 2000, 100
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
_METRIC = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def pack(trained: Trained) -> bytes:
    """Write what was trained as an archive; `read` reads it."""
    told = {
        "name": trained.name,
        "recipe": trained.recipe,
        "dataset": trained.dataset,
        "signature": json.loads(trained.signature.to_json()),
        "metrics": dict(trained.metrics),
        "plots": [{"kind": plot.kind, "data": plot.data} for plot in trained.plots],
        "notes": trained.notes,
    }
    return bundle.pack({bundle.GRAPH: trained.graph, TRAINED: json.dumps(told, ensure_ascii=False).encode()})


def read(data: bytes) -> Trained:
    """Read an archive; whose columns those are is not looked at, see `classified`.

    Raises:
        InvalidInput: if it is none, or its graph takes or answers anything but what it says.
    """
    files = bundle.unpack(data, max_bytes=MAX_BYTES)
    try:
        told = json.loads(files[TRAINED])
        signature = Signature.from_json(json.dumps(told["signature"]).encode())
        trained = Trained(
            name=str(told["name"]),
            recipe=str(told["recipe"]),
            dataset=str(told["dataset"]),
            signature=signature,
            graph=files[bundle.GRAPH],
            metrics=_metrics(told["metrics"]),
            plots=tuple(_plot(plot) for plot in told["plots"][:_MAX_PLOTS]),
            notes=tuple(str(note)[:_MAX_TEXT] for note in told["notes"][:_MAX_NOTES]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidInput(
            "What the training brought cannot be read. Train again with this version of Lepton."
        ) from None
    _check_graph(trained.graph, signature)
    return trained


def classified(trained: Trained, schema: Schema) -> Trained:
    """Say how sensitive what it learned from is, as the dataset's columns are.

    Args:
        trained: As it was read.
        schema: The columns of its dataset, as its submitter sees them.

    Raises:
        InvalidInput: if it takes a column that the dataset does not have.
        Forbidden: if it has learned from one that its submitter may not read.
    """
    signature = trained.signature
    for name in (signature.target, *(column.name for column in signature.inputs)):
        if name not in schema:
            raise InvalidInput(f"The model takes a column {name[:80]!r}, which its dataset does not have.")
        if schema.column(name).masked:
            raise Forbidden(f"The model has learned from column {name!r}, which you may not read.")

    def as_there(column: Input) -> Input:
        return replace(column, column_class=schema.column(column.name).column_class)

    signature = replace(
        signature,
        inputs=tuple(as_there(column) for column in signature.inputs),
        target_class=schema.column(signature.target).column_class,
    )
    plots = tuple(replace(plot, learned_from=signature.classes_held) for plot in trained.plots)
    return replace(trained, signature=signature, plots=plots)


def _metrics(told: Mapping[str, Any]) -> dict[str, float]:
    found = {str(name): float(value) for name, value in told.items()}
    return {name: value for name, value in found.items() if _METRIC.fullmatch(name) and math.isfinite(value)}


def _plot(told: Mapping[str, Any]) -> Plot:
    if not _KIND.fullmatch(told["kind"]) or not isinstance(told["data"], dict):
        raise ValueError("no plot")
    return Plot(told["kind"], told["data"])


def _check_graph(graph: bytes, signature: Signature) -> None:
    from lepton.models import adopted

    adopted.check_ours(graph, signature)
