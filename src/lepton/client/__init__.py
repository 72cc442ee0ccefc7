"""The Python SDK: the platform's verbs over HTTP. Start with `connect`; see ``sdk.py``."""

from __future__ import annotations

from lepton.client.answers import Answer, Items
from lepton.client.dataset_records import DatasetDetail, DatasetVersion, Profile
from lepton.client.endpoints import Endpoint, Prediction, Predictions
from lepton.client.models import Evaluation, ModelDetail, ModelVersion
from lepton.client.runs import Run
from lepton.client.sdk import Client, connect

__all__ = [
    "Answer",
    "Client",
    "DatasetDetail",
    "DatasetVersion",
    "Endpoint",
    "Evaluation",
    "Items",
    "ModelDetail",
    "ModelVersion",
    "Prediction",
    "Predictions",
    "Profile",
    "Run",
    "connect",
]
