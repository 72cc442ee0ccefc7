"""A training as a command: ``python -m lepton.trainer`` over a folder that says what to train, with the user's code.

So code of a user runs as confined as any command of theirs, on whichever engine, and is tried again from its last
checkpoint when it was killed. Pure; `lepton.trainer` is what is started, `delivered` is what comes back.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput, TooLarge
from lepton.datasets.schema import Schema
from lepton.models.features import Column
from lepton.models.records import TrainRequest
from lepton.models.requests import Choice, from_arguments, shown, to_arguments
from lepton.runs.commands import OURS, Command, Submission
from lepton.runs.records import Scheduling

TRAINING = "training.json"
"""The file that says what to train."""
MAX_CODE_BYTES = 2 << 20
RETRIES = 3
"""How often a training goes on from its last checkpoint when a worker or a machine is lost."""
SUFFIXES = (".py", ".json", ".toml", ".txt", ".yaml", ".yml")


@dataclass(frozen=True)
class Plan:
    """What a training has been told.

    Attributes:
        request: What was asked for, with the exact version of the dataset.
        target: The column to predict.
        columns: The columns to learn from.
        notes: What was left out, a sentence each.
    """

    request: TrainRequest
    target: Column
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Write it; `from_json` reads it."""
        told = {
            "request": to_arguments(self.request),
            "target": _told(self.target),
            "columns": [_told(column) for column in self.columns],
            "notes": self.notes,
        }
        return json.dumps(told, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Plan:
        """Read what `to_json` wrote."""
        told = json.loads(text)
        return cls(
            from_arguments(told["request"]),
            _column(told["target"]),
            tuple(_column(column) for column in told["columns"]),
            tuple(told["notes"]),
        )


def plan_of(request: TrainRequest, choice: Choice, schema: Schema) -> Plan:
    """Say what a training needs to know of a dataset's columns."""

    def column(name: str) -> Column:
        found = schema.column(name)
        return Column(name, found.type, found.column_class)

    return Plan(request, column(request.target), tuple(column(name) for name in choice.columns), choice.notes)


def submission_of(plan: Plan) -> Submission:
    """Return the command that trains."""
    request = plan.request
    return Submission(
        Command(
            OURS["models.train"], workers=request.workers, resources=request.resources, timeout_s=request.timeout_s
        ),
        params=shown(request),
        key=request.key,
        scheduling=Scheduling(retries=RETRIES),
        inputs=(f"dataset:{request.dataset}",),
    )


def folder_of(plan: Plan) -> Iterator[bytes]:
    """Pack the folder of the command.

    Raises:
        InvalidInput: if a file of the code has a name that it cannot have.
        TooLarge: if the code is.
    """
    files = {name: text.encode() for name, text in plan.request.code.items()}
    if sum(map(len, files.values())) > MAX_CODE_BYTES:
        raise TooLarge(f"The code has more than {MAX_CODE_BYTES >> 20} MiB. Send what the model needs, and no data.")
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.suffix not in SUFFIXES or name == TRAINING:
            raise InvalidInput(
                f"A file {name[:80]!r} cannot go along: names end in {', '.join(SUFFIXES)}, without '..'."
            )
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in {TRAINING: plan.to_json(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    yield made.getvalue()


def _told(column: Column) -> dict[str, str]:
    return {"name": column.name, "type": column.type.value, "class": column.column_class.value}


def _column(told: dict[str, Any]) -> Column:
    return Column(told["name"], ColumnType(told["type"]), ColumnClass(told["class"]))
