"""Files that are kept as a version of a model and never loaded, and what of a folder can be more than that. Pure.

Formats such as pickle, joblib and TorchScript run code when they are opened. A folder that MLflow wrote says in its
file ``MLmodel`` in which formats the model is there; only a plain ONNX graph is taken as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import yaml

from lepton.core.columns import ColumnType
from lepton.models.signature import Signature, Task

FILES = "files"
"""The recipe of a version that is files only."""
NOTHING = Signature(Task.FILES, "", ColumnType.TEXT, ())
"""What such a version takes and answers."""
DESCRIPTION = "MLmodel"
MAX_DESCRIPTION = 1 << 20
NOTE = (
    "Files only: they are kept as they came and never opened here, as formats such as pickle run code when they are. "
    "This version cannot be deployed; export the model to ONNX and register that."
)


@dataclass(frozen=True)
class ModelFile:
    """One of the files.

    Attributes:
        path: Inside of the model's folder.
        sha256: Digest of its content, hex.
    """

    path: str
    size_bytes: int
    sha256: str


def to_json(files: Iterable[ModelFile]) -> bytes:
    """Write a list of files, the same one always in the same bytes."""
    return json.dumps([asdict(file) for file in sorted(files, key=lambda file: file.path)]).encode()


def from_json(text: bytes) -> tuple[ModelFile, ...]:
    """Read what `to_json` wrote."""
    return tuple(ModelFile(**file) for file in json.loads(text))


def graph_of(description: bytes) -> str | None:
    """Return which file of a folder is its ONNX graph, by its file ``MLmodel``; None if there is none."""
    try:
        read = yaml.safe_load(description)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    flavors = read.get("flavors") if isinstance(read, dict) else None
    flavor = flavors.get("onnx") if isinstance(flavors, dict) else None
    data = flavor.get("data") if isinstance(flavor, dict) else None
    return data if isinstance(data, str) and data else None
