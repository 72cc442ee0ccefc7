"""What a model has learned from, to compare later rows with."""

from __future__ import annotations

from lepton.access.records import Actor
from lepton.datasets.operations import Datasets
from lepton.datasets.records import OpenDataset
from lepton.models.records import TrainingProfile
from lepton.models.signature import Signature


def profile_of(
    datasets: Datasets, actor: Actor, dataset: OpenDataset, signature: Signature, *, project: str
) -> TrainingProfile:
    """Return what the columns that a model takes looked like; whoever trains may read all of them."""
    known = datasets.profile(actor, dataset.ref, project=project)
    taken = {column.name for column in signature.inputs}
    return TrainingProfile(known.version.rows, tuple(column for column in known.columns if column.name in taken))
