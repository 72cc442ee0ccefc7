"""The verbs of datasets."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping

from lepton.access.records import Actor
from lepton.core.refs import Ref
from lepton.datasets.recipe import Recipe
from lepton.datasets.records import (
    DatasetDetail,
    DatasetProfile,
    DatasetReport,
    DatasetSummary,
    Export,
    ImportOptions,
    OpenDataset,
    RowsPage,
)
from lepton.runs.records import Run


class Datasets:
    """What actors may do with datasets. (Signatures first; bodies follow.)"""

    def import_(self, actor: Actor, chunks: Iterable[bytes], *, options: ImportOptions) -> Run:
        """Take in a file: keep it encrypted and submit the run that reads it."""
        raise NotImplementedError

    def list(self, actor: Actor, *, project: str = "default") -> builtins.list[DatasetSummary]:
        """List the datasets of a project by name."""
        raise NotImplementedError

    def get(self, actor: Actor, ref: Ref, *, project: str = "default") -> DatasetDetail:
        """Get one version and its schema."""
        raise NotImplementedError

    def profile(self, actor: Actor, ref: Ref, *, target: str | None = None, project: str = "default") -> DatasetProfile:
        """Get statistics of a version, and a recipe they suggest."""
        raise NotImplementedError

    def rows(self, actor: Actor, ref: Ref, *, offset: int = 0, limit: int = 50, project: str = "default") -> RowsPage:
        """Read some rows."""
        raise NotImplementedError

    def report(self, actor: Actor, ref: Ref, *, project: str = "default") -> DatasetReport:
        """Get how a version came to be."""
        raise NotImplementedError

    def clean(
        self,
        actor: Actor,
        ref: Ref,
        *,
        recipe: Recipe | None = None,
        target: str | None = None,
        project: str = "default",
    ) -> Run:
        """Submit the run that cleans a version; without a recipe, by the suggested one."""
        raise NotImplementedError

    def split(
        self,
        actor: Actor,
        ref: Ref,
        *,
        fractions: Mapping[str, float],
        seed: int = 0,
        stratify: str | None = None,
        project: str = "default",
    ) -> Run:
        """Submit the run that splits a version into datasets ``<name>-<part>``."""
        raise NotImplementedError

    def export(self, actor: Actor, ref: Ref, *, format: str = "csv", project: str = "default") -> Export:  # noqa: A002
        """Write a version out as ``csv``, ``parquet`` or ``jsonl``."""
        raise NotImplementedError

    def delete(self, actor: Actor, ref: Ref, *, project: str = "default") -> None:
        """Delete a version, or with no version all of them, by destroying their keys, then their files."""
        raise NotImplementedError

    def open(self, actor: Actor, ref: Ref, *, project: str = "default") -> OpenDataset:
        """Open a version to read its table in a worker."""
        raise NotImplementedError
