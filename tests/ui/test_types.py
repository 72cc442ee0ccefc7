"""The page's hand-written types have exactly the fields that the server answers with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from lepton.server.bodies import access, datasets, endpoints, models, runs, studies
from lepton.training.auto.report import SENTENCES

TYPES = Path(__file__).parents[2] / "ui" / "src" / "api" / "types.ts"

ANSWERS: dict[str, type[BaseModel]] = {
    "Me": access.MeAnswer,
    "ProjectAccess": access.MembershipAnswer,
    "User": access.UserAnswer,
    "NewUser": access.NewUserAnswer,
    "Token": access.TokenAnswer,
    "NewToken": access.NewTokenAnswer,
    "AuditRow": access.AuditAnswer,
    "Dataset": datasets.DatasetAnswer,
    "DatasetVersion": datasets.VersionAnswer,
    "DatasetDetail": datasets.DetailAnswer,
    "SchemaColumn": datasets.ColumnAnswer,
    "Profile": datasets.ProfileAnswer,
    "ColumnProfile": datasets.ProfileColumnAnswer,
    "Rows": datasets.RowsAnswer,
    "Report": datasets.ReportAnswer,
    "StepReport": datasets.StepAnswer,
    "Run": runs.RunAnswer,
    "Resources": runs.ResourcesAnswer,
    "Quota": runs.QuotaAnswer,
    "Use": runs.UseAnswer,
    "ProjectUse": runs.ProjectUseAnswer,
    "QueuedRun": runs.QueuedRunAnswer,
    "Queue": runs.QueueAnswer,
    "Schedule": runs.ScheduleAnswer,
    "Artifact": runs.ArtifactAnswer,
    "Tracked": runs.TrackedAnswer,
    "LogLine": runs.LogLineAnswer,
    "LogPage": runs.LogPageAnswer,
    "MetricSeries": runs.MetricAnswer,
    "ModelSummary": models.ModelAnswer,
    "ModelVersion": models.VersionAnswer,
    "ModelDetail": models.DetailAnswer,
    "Signature": models.SignatureAnswer,
    "SignatureInput": models.InputAnswer,
    "Evaluation": models.EvaluationAnswer,
    "StudySummary": studies.StudySummaryAnswer,
    "Study": studies.StudyAnswer,
    "Trial": studies.TrialAnswer,
    "Dimension": studies.DimensionAnswer,
    "Lineage": models.LineageAnswer,
    "Proposal": models.ProposalAnswer,
    "Proposed": models.ProposedAnswer,
    "LineageNode": models.NodeAnswer,
    "Endpoint": endpoints.EndpointAnswer,
    "EndpointDetail": endpoints.DetailAnswer,
    "LoggedRequest": endpoints.LoggedRequestAnswer,
    "Companion": endpoints.CompanionAnswer,
    "Compared": endpoints.ComparedAnswer,
    "Deployed": endpoints.DeployedAnswer,
}


def written_fields() -> dict[str, set[str]]:
    """Fields of each interface in the page's types, those it inherits included."""
    text = re.sub(r"/\*.*?\*/", "", TYPES.read_text(encoding="utf-8"), flags=re.DOTALL)
    fields: dict[str, set[str]] = {}
    for name, parent, body in re.findall(r"export interface (\w+)(?: extends (\w+))? \{\n(.*?)\n\}", text, re.DOTALL):
        own = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))
        fields[name] = own | fields.get(parent, set())
    return fields


WRITTEN = written_fields()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_type_of_the_page_has_the_fields_of_the_answer(name: str) -> None:
    answered = {field.serialization_alias or field.alias or key for key, field in ANSWERS[name].model_fields.items()}
    assert WRITTEN[name] == answered


def test_the_page_has_every_sentence_of_a_report_as_the_report_writes_it() -> None:
    written = (TYPES.parents[1] / "i18n" / "en.ts").read_text("utf-8")
    for key, sentence in SENTENCES.items():
        assert f'"told.{key}": "{sentence}",' in written
